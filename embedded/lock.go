package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// homeLock is the lock by which a data directory has one daemon at most. It is
// a POSIX record lock: the kernel drops it with its process and can say whose
// it is, so that no file with a number in it has to be believed.
type homeLock struct{ file *os.File }

func lockPath(home string) string { return filepath.Join(home, "daemon.lock") }

func whole(kind int16) *unix.Flock_t { return &unix.Flock_t{Type: kind} }

// takeLock returns ErrLocked when another process holds it.
func takeLock(home string) (*homeLock, error) {
	file, err := os.OpenFile(lockPath(home), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	err = unix.FcntlFlock(file.Fd(), unix.F_SETLK, whole(unix.F_WRLCK))
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", home, ErrLocked), file.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", home, err), file.Close())
	}
	return &homeLock{file}, nil
}

func (l *homeLock) release() { l.file.Close() }

// holder returns the process that holds the lock, or 0.
func holder(home string) (int, error) {
	file, err := os.Open(lockPath(home))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("open lock: %w", err)
	}
	defer file.Close()
	asked := whole(unix.F_WRLCK)
	if err := unix.FcntlFlock(file.Fd(), unix.F_GETLK, asked); err != nil {
		return 0, fmt.Errorf("ask who locks %s: %w", home, err)
	}
	if asked.Type == unix.F_UNLCK {
		return 0, nil
	}
	return int(asked.Pid), nil
}
