package rootless

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"frankenetes.dev/agent/disk"
	"frankenetes.dev/agent/process"
	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/agent/volume"
	"golang.org/x/sys/unix"
)

// Keeper is a process of the pod agent's that has the pod's volumes in memory,
// in namespaces of its own. Only there can they be mounted, and only from there
// can they be given to others, as mounts that are open files. It is safe for
// concurrent use.
type Keeper struct {
	child *process.Child

	mu   sync.Mutex
	conn *conn
}

// keep asks the keeper for a volume to be there.
type keep struct {
	Name   string          `json:"name"`
	Volume protocol.Volume `json:"volume"`
}

// lend asks it for a mount of one.
type lend struct {
	Name  string `json:"name"`
	Token string `json:"token"`
}

// keeperSocket is where agents of other containers ask a keeper, below Root.
const keeperSocket = "memory.sock"

// StartKeeper starts a keeper. It is to be closed.
func StartKeeper(reaper *process.Reaper, dirs Dirs) (*Keeper, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	child, err := reaper.StartHelper(func() (int, error) { return fork(KeepStage, theirs) })
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start keeper of volumes in memory: %w", err), ours.Close())
	}
	_ = theirs.Close() // so that we notice its end
	k := &Keeper{child: child, conn: ours}
	if _, err := k.ask(request{Begin: &begin{Dirs: dirs}}); err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

// Close ends the keeper. What is mounted elsewhere stays there.
func (k *Keeper) Close() {
	_ = k.conn.Close()
	end(k.child)
}

// Put makes a volume, or gives one that is there its mode, group and token.
func (k *Keeper) Put(name string, v protocol.Volume) error {
	_, err := k.ask(request{Keep: &keep{name, v}})
	return err
}

// Usage is what a volume holds.
func (k *Keeper) Usage(name string) (protocol.Disk, error) {
	a, err := k.ask(request{Measure: name})
	return a.Disk, err
}

func (k *Keeper) ask(q request) (answer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var a answer
	if err := k.conn.call(q, &a, patience); err != nil {
		return a, fmt.Errorf("ask keeper of volumes in memory: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// borrow asks the pod's keeper for a mount of a volume.
func borrow(dirs Dirs, name, token string) (*os.File, error) {
	c, err := net.Dial("unix", filepath.Join(dirs.Root, keeperSocket))
	if err != nil {
		return nil, fmt.Errorf("ask keeper of volumes in memory: %w", err)
	}
	k := &conn{c.(*net.UnixConn)}
	defer k.Close()
	var a answer
	files, err := k.exchange(request{Lend: &lend{name, token}}, &a, patience)
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	if err == nil && len(files) != 1 {
		err = errors.New("the keeper sent no mount")
	}
	if err != nil {
		closeAll(files)
		return nil, fmt.Errorf("borrow volume %s: %w", name, err)
	}
	return files[0], nil
}

// keeper is the stage's own side.
type keeper struct {
	dirs Dirs

	mu     sync.Mutex
	tokens map[string]string // by volume
}

// keep is the life of a keeper. It has every capability in its namespaces; no
// program of the pod's is in its container.
func (s Stages) keep() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("hide own memory: %w", err)
	}
	c, err := stageConn()
	if err != nil {
		return err
	}
	b, err := c.receiveBegin()
	if err != nil {
		return err
	}
	k := &keeper{dirs: b.Dirs, tokens: map[string]string{}}
	listener, err := k.listen()
	if err != nil {
		return c.send(answer{Error: err.Error()})
	}
	defer listener.Close()
	go k.serve(listener) // ends with the process
	if err := c.send(answer{}); err != nil {
		return err
	}
	for {
		var q request
		files, err := c.receive(&q)
		closeAll(files)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("receive request: %w", err)
		}
		if err := c.send(k.do(q)); err != nil {
			return err
		}
	}
}

// do does what the pod agent asks for.
func (k *keeper) do(q request) answer {
	switch {
	case q.Keep != nil:
		return answerOf(k.put(*q.Keep))
	case q.Measure != "":
		used, err := k.measure(q.Measure)
		a := answerOf(err)
		a.Disk = used
		return a
	}
	return answer{Error: "nothing is asked that the keeper can do"}
}

// measure asks the kernel, which counts what a file system in memory holds.
func (k *keeper) measure(name string) (protocol.Disk, error) {
	k.mu.Lock()
	_, there := k.tokens[name]
	k.mu.Unlock()
	if !there {
		return protocol.Disk{}, fmt.Errorf("there is no volume %s in memory", name)
	}
	room, err := disk.Room(filepath.Join(k.dirs.Volumes, name))
	return protocol.Disk{Time: time.Now(), Bytes: room.Bytes - room.BytesFree, Inodes: room.Inodes - room.InodesFree, Room: room}, err
}

func answerOf(err error) answer {
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{}
}

func (k *keeper) listen() (net.Listener, error) {
	if err := isolate(""); err != nil {
		return nil, err
	}
	path := filepath.Join(k.dirs.Root, keeperSocket)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// serve lends mounts until the listener is closed.
func (k *keeper) serve(listener net.Listener) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		if err := k.lend(&conn{c.(*net.UnixConn)}); err != nil {
			slog.Warn("a volume in memory is not lent", "error", err)
		}
	}
}

// put mounts a volume, the first time.
func (k *keeper) put(q keep) error {
	if q.Volume.Memory == nil {
		return fmt.Errorf("volume %s is not in memory", q.Name)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	dir := filepath.Join(k.dirs.Volumes, q.Name)
	if _, there := k.tokens[q.Name]; !there {
		options := "mode=0777"
		if q.Volume.Memory.Size > 0 {
			options += ",size=" + strconv.FormatInt(q.Volume.Memory.Size, 10)
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
			return fmt.Errorf("mount memory for volume %s: %w", q.Name, err)
		}
	}
	k.tokens[q.Name] = q.Volume.Memory.Token
	return volume.Put(dir, q.Volume)
}

// lend sends a mount to one who knows the volume's token.
func (k *keeper) lend(c *conn) error {
	defer c.Close()
	var q request
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	files, err := c.receive(&q)
	closeAll(files)
	if err != nil {
		return err
	}
	if q.Lend == nil {
		return errors.New("nothing is asked for")
	}
	mount, err := k.mount(*q.Lend)
	if err != nil {
		return errors.Join(err, c.send(answerOf(err)))
	}
	defer mount.Close()
	return c.send(answer{}, mount)
}

func (k *keeper) mount(q lend) (*os.File, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	token := k.tokens[q.Name]
	if token == "" || subtle.ConstantTimeCompare([]byte(token), []byte(q.Token)) != 1 {
		return nil, fmt.Errorf("volume %s is not for who asks", q.Name)
	}
	at, err := os.OpenFile(filepath.Join(k.dirs.Volumes, q.Name), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer at.Close()
	return clone(at, false)
}
