package rootless

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxBody bounds a message, in bytes; the environment of a process is the
	// most of it.
	maxBody = 64 << 20
	// maxFiles bounds the files that come with a message: it is the kernel's.
	maxFiles   = 253
	headerSize = 4
)

// conn is one end of a socket on which messages go both ways: JSON after its
// length, and open files.
type conn struct{ *net.UnixConn }

// socketPair makes a connection and the file that is its other end.
func socketPair() (*conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make socket: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "socket")
	ours, err := newConn(os.NewFile(uintptr(fds[0]), "socket"))
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return ours, theirs, nil
}

// newConn makes a connection of a socket, which it takes.
func newConn(f *os.File) (*conn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	unixConn, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(errors.New("open socket: it is no Unix socket"), c.Close())
	}
	return &conn{unixConn}, nil
}

// call sends a message and awaits the answer.
func (c *conn) call(question, answer any, wait time.Duration, files ...*os.File) error {
	received, err := c.exchange(question, answer, wait, files...)
	closeAll(received)
	return err
}

// exchange is a call whose answer may come with files.
func (c *conn) exchange(question, answer any, wait time.Duration, files ...*os.File) ([]*os.File, error) {
	if err := c.SetDeadline(time.Now().Add(wait)); err != nil {
		return nil, err
	}
	if err := c.send(question, files...); err != nil {
		return nil, err
	}
	return c.receive(answer)
}

// receiveBegin reads the first request to a stage.
func (c *conn) receiveBegin() (begin, error) {
	var q request
	received, err := c.receive(&q)
	if err == nil && q.Begin == nil {
		err = errors.New("it does not begin")
	}
	if err != nil {
		closeAll(received)
		return begin{}, fmt.Errorf("receive first request: %w", err)
	}
	q.Begin.volumes = received
	return *q.Begin, nil
}

func (c *conn) send(message any, files ...*os.File) error {
	body, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd()) // Fd also makes it blocking, as programs expect
	}
	header := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	if _, _, err := c.WriteMsgUnix(header, unix.UnixRights(fds...), nil); err != nil {
		return fmt.Errorf("send message: %w", err)
	}
	if _, err := c.Write(body); err != nil {
		return fmt.Errorf("send message: %w", err)
	}
	return nil
}

// receive reads a message and the files that came with it.
func (c *conn) receive(message any) ([]*os.File, error) {
	header, control := make([]byte, headerSize), make([]byte, unix.CmsgSpace(4*maxFiles))
	n, got, _, _, err := c.ReadMsgUnix(header, control)
	if err != nil {
		return nil, err
	}
	files, err := filesIn(control[:got])
	if err != nil {
		return nil, err
	}
	if err := c.receiveBody(header, n, message); err != nil {
		closeAll(files)
		return nil, err
	}
	return files, nil
}

func (c *conn) receiveBody(header []byte, n int, message any) error {
	if n == 0 {
		return io.EOF
	}
	if _, err := io.ReadFull(c, header[n:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(header)
	if size > maxBody {
		return fmt.Errorf("a message of %d bytes is too large", size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(c, body); err != nil {
		return err
	}
	if err := json.Unmarshal(body, message); err != nil {
		return fmt.Errorf("decode message: %w", err)
	}
	return nil
}

func filesIn(control []byte) ([]*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, fmt.Errorf("receive files: %w", err)
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			closeAll(files)
			return nil, fmt.Errorf("receive files: %w", err)
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
