// Package rootless gives a container's programs namespaces of their own, made
// by an agent that has no privileges: a user namespace, in which it may mount.
// It exists because a plain container of a group cannot have what Kubernetes
// promises of mounts, host names and root file systems.
//
// Nothing can enter a user namespace but a process with a single thread, which
// no Go program is. So a process of the agent's stays inside: the holder. It
// comes to be in two stages, both this same program. Setup is made inside new
// namespaces, where it has every capability, and mounts what is to be mounted.
// Then it gives up all but those that the agent itself has and becomes Hold.
//
// The holder starts a third stage for each program, the gate, as a child of the
// agent. The agent is told which process that is before it lets it become the
// program: one that at once kills all that it can (kill -9 -1) must not take
// that knowledge with it.
package rootless

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"frankenetes.dev/agent/disk"
	"frankenetes.dev/agent/process"
	"frankenetes.dev/agent/protocol"
	"golang.org/x/sys/unix"
)

// The first arguments by which this program is called to be a stage.
const (
	SetupStage = "setup"
	HoldStage  = "hold"
	GateStage  = "gate"
	TrialStage = "trial"
	KeepStage  = "keep"
)

const (
	// patience bounds what a helper may take for a request. Only a container's
	// root that stops it makes the holder late.
	patience = 30 * time.Second
	// openPatience bounds the making of a room, for which files are copied.
	openPatience = time.Minute
)

// Room is the namespaces of one run of a container's program, with the holder
// inside. It is safe for concurrent use.
type Room struct {
	holder  *process.Child
	process protocol.Process
	uid     int
	store   string
	// before is what was in the store at the beginning: copies of files.
	before protocol.Disk

	mu   sync.Mutex
	conn *conn
}

// Dirs are the agent's directories in the container. Programs do not see them.
type Dirs struct {
	// Root and Volumes are those of these names in package protocol.
	Root    string `json:"root"`
	Volumes string `json:"volumes"`
}

// request is what the agent asks of a stage; one field is set.
type request struct {
	Begin   *begin   `json:"begin,omitempty"`
	Start   *program `json:"start,omitempty"`
	Become  *program `json:"become,omitempty"`
	Message string   `json:"message,omitempty"`
	Keep    *keep    `json:"keep,omitempty"`
	Lend    *lend    `json:"lend,omitempty"`
	Measure string   `json:"measure,omitempty"`
}

// begin is the first request to a stage.
type begin struct {
	Dirs    Dirs             `json:"dirs"`
	Process protocol.Process `json:"process"`
	// Bounding is all that programs may ever have.
	Bounding process.Capabilities `json:"bounding"`
	// Store is a directory for what is written to the root file system, or that
	// itself if it is the process's own; empty means that it is written there.
	Store string `json:"store,omitempty"`
	// Memory are the names of the volumes in memory whose mounts come along.
	Memory []string `json:"memory,omitempty"`

	volumes []*os.File
}

// program is one to be started. The holder, which gets its streams and the
// socket of its gate, need not know what it is.
type program struct {
	Process  *protocol.Process `json:"process,omitempty"`
	Args     []string          `json:"args,omitempty"`
	Terminal bool              `json:"terminal,omitempty"`
}

// answer is a stage's; Error is empty if all is well.
type answer struct {
	Error string `json:"error,omitempty"`
	UID   int    `json:"uid,omitempty"`
	PID   int    `json:"pid,omitempty"`
	Text  string `json:"text,omitempty"`
	// Disk is what a volume in memory holds.
	Disk protocol.Disk `json:"disk,omitzero"`
}

// Open makes the namespaces of a process and waits until programs can be
// started in them.
func Open(reaper *process.Reaper, dirs Dirs, p protocol.Process) (*Room, error) {
	r := &Room{}
	err := r.open(reaper, begin{Dirs: dirs, Process: p, Bounding: process.Bounding()})
	if err != nil {
		r.Close()
		return nil, errors.Join(err, r.Forget())
	}
	return r, nil
}

func (r *Room) open(reaper *process.Reaper, b begin) error {
	ours, theirs, err := socketPair()
	if err != nil {
		return err
	}
	defer theirs.Close()
	r.conn = ours
	if r.holder, err = reaper.StartHelper(func() (int, error) { return fork(SetupStage, theirs) }); err != nil {
		return fmt.Errorf("make namespaces: %w", err)
	}
	_ = theirs.Close() // so that we notice its end
	defer func() { closeAll(b.volumes) }()
	if err := b.borrow(); err != nil {
		return err
	}
	if b.Process.Exact.OwnRoot {
		r.store = OwnRoot(b.Dirs, b.Process.ID)
		b.Store = r.store
	} else if b.Process.Exact.CleanRoot && !b.Process.Exact.ReadOnlyRoot {
		if r.store, err = os.MkdirTemp(b.Dirs.Root, "written-"); err != nil {
			return fmt.Errorf("make room for what is written: %w", err)
		}
		b.Store = r.store
	}
	b.Process.Args = nil // come with the start
	r.process = b.Process
	for range 2 { // setup, then the holder
		a, err := r.ask(request{Begin: &b}, openPatience, b.volumes...)
		if err != nil {
			return fmt.Errorf("prepare namespaces: %w", err)
		}
		r.uid = a.UID
	}
	if r.store != "" && !r.process.Exact.OwnRoot {
		if r.before, err = disk.Tree(context.Background(), r.store, time.Time{}); err != nil {
			return fmt.Errorf("look at what will be written: %w", err)
		}
	}
	return nil
}

// MeasuresItself reports whether Written knows what is written to the container's
// root file system, and a look at that does not tell.
func (r *Room) MeasuresItself() bool {
	return !r.process.Exact.OwnRoot && (r.store != "" || r.process.Exact.ReadOnlyRoot)
}

// Written measures what was written to the root file system.
func (r *Room) Written(ctx context.Context) (protocol.Disk, error) {
	if r.store == "" {
		return protocol.Disk{Time: time.Now()}, nil
	}
	d, err := disk.Tree(ctx, r.store, time.Time{})
	d.Bytes -= min(r.before.Bytes, d.Bytes)
	d.Inodes -= min(r.before.Inodes, d.Inodes)
	return d, err
}

// OwnRoot is the directory of a process's own root file system.
func OwnRoot(dirs Dirs, id string) string { return filepath.Join(dirs.Root, "root-"+id) }

// borrow gets the volumes in memory that the process mounts.
func (b *begin) borrow() error {
	for _, m := range b.Process.Exact.Mounts {
		if m.Memory == "" || slices.Contains(b.Memory, m.Volume) {
			continue
		}
		mount, err := borrow(b.Dirs, m.Volume, m.Memory)
		if err != nil {
			return err
		}
		b.Memory, b.volumes = append(b.Memory, m.Volume), append(b.volumes, mount)
	}
	return nil
}

// UID is the number of the process's user.
func (r *Room) UID() int { return r.uid }

// StartProgram starts a program inside.
func (r *Room) StartProgram(c process.Command) (int, error) {
	gate, theirs, err := socketPair()
	if err != nil {
		return 0, err
	}
	defer gate.Close()
	a, err := r.ask(request{Start: &program{Terminal: c.Terminal}}, patience, append(slices.Clone(c.Files), theirs)...)
	_ = theirs.Close()
	if err != nil {
		return 0, err
	}
	var refusal answer
	err = gate.call(request{Become: &program{Process: &r.process, Args: c.Args, Terminal: c.Terminal}}, &refusal, patience)
	switch {
	case errors.Is(err, io.EOF):
		return a.PID, nil // the socket was closed by the program's execution
	case err != nil:
		_ = unix.Kill(a.PID, unix.SIGKILL) // still our child: nobody reaps meanwhile
		return 0, fmt.Errorf("let a program start: %w", err)
	}
	return 0, errors.New(refusal.Error)
}

// Message is the end of what the process left at its termination message path.
func (r *Room) Message(path string) string {
	if path == "" {
		return ""
	}
	a, err := r.ask(request{Message: path}, patience)
	if err != nil {
		return ""
	}
	return a.Text
}

// ask asks the holder. One that has not answered is never asked again: what it
// says later would be taken for another answer.
func (r *Room) ask(q request, wait time.Duration, files ...*os.File) (answer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var a answer
	if err := r.conn.call(q, &a, wait, files...); err != nil {
		_ = r.conn.Close()
		return a, fmt.Errorf("ask the process that holds the container's namespaces, which its root can end: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// Close ends the holder, when no program is left.
func (r *Room) Close() {
	if r.conn != nil {
		_ = r.conn.Close()
	}
	if r.holder != nil {
		end(r.holder)
	}
}

// Forget removes what was written to a root file system that forgets, or one of
// the process's own.
func (r *Room) Forget() error {
	if r.store == "" {
		return nil
	}
	if err := os.RemoveAll(r.store); err != nil {
		return fmt.Errorf("remove what was written: %w", err)
	}
	return nil
}

// end kills a helper and waits until it is gone.
func end(helper *process.Child) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	helper.KillTree(ctx)
	select {
	case <-helper.Done():
	case <-ctx.Done():
	}
}
