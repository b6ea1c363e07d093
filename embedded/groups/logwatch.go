package groups

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// logWatch tells when a log was written to, by the kernel's word.
type logWatch struct {
	// changed is signalled when there is something to read, or another file.
	changed chan struct{}
	// closed says that the runtime has closed the log: it writes no more, or it
	// was ended and the next one writes on.
	closed atomic.Bool

	name    string
	events  *os.File
	reading sync.WaitGroup
}

// watchLog watches a log through its directory, for it may be put aside. Call
// close in the end.
func watchLog(path string) (*logWatch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch log: %w", err)
	}
	w := &logWatch{changed: make(chan struct{}, 1), name: filepath.Base(path), events: os.NewFile(uintptr(fd), "inotify")}
	if _, err := unix.InotifyAddWatch(fd, filepath.Dir(path), unix.IN_MODIFY|unix.IN_CLOSE_WRITE|unix.IN_CREATE); err != nil {
		w.events.Close()
		return nil, fmt.Errorf("watch log: %w", err)
	}
	w.reading.Go(w.read)
	return w, nil
}

func (w *logWatch) close() {
	w.events.Close()
	w.reading.Wait()
}

// read passes events on until close.
func (w *logWatch) read() {
	buffer := make([]byte, 4096)
	for {
		n, err := w.events.Read(buffer)
		if err != nil {
			return
		}
		for rest := buffer[:n]; len(rest) >= unix.SizeofInotifyEvent; {
			mask, length := binary.NativeEndian.Uint32(rest[4:]), binary.NativeEndian.Uint32(rest[12:])
			name := rest[unix.SizeofInotifyEvent : unix.SizeofInotifyEvent+length]
			if strings.TrimRight(string(name), "\x00") == w.name {
				w.closed.Store(mask&unix.IN_CLOSE_WRITE != 0)
			}
			rest = rest[unix.SizeofInotifyEvent+length:]
		}
		select {
		case w.changed <- struct{}{}:
		default: // a signal is pending already
		}
	}
}
