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

// The bytes of the lock file that are locked.
const (
	// has is locked by whoever has the data directory.
	has = iota
	// ends is locked, from before that, by one who has it only to end what a
	// dead daemon left: nobody needs to tell it to.
	ends
)

func lockOf(kind int16, at int64) *unix.Flock_t { return &unix.Flock_t{Type: kind, Start: at, Len: 1} }

// takeLock takes the data directory, or returns ErrLocked when another process
// has it. ending says what for.
func takeLock(home string, ending bool) (*homeLock, error) {
	file, err := os.OpenFile(lockPath(home), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if ending {
		err = lockByte(file, ends)
	}
	if err == nil {
		err = lockByte(file, has)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", home, err), file.Close())
	}
	return &homeLock{file}, nil
}

func lockByte(file *os.File, at int64) error {
	err := unix.FcntlFlock(file.Fd(), unix.F_SETLK, lockOf(unix.F_WRLCK, at))
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return ErrLocked
	}
	return err
}

func (l *homeLock) release() { l.file.Close() }

// holder returns the process that has the data directory, or 0, and whether it
// has it only to end what is left there.
func holder(home string) (pid int, ending bool, err error) {
	file, err := os.Open(lockPath(home))
	if errors.Is(err, os.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("open lock: %w", err)
	}
	defer file.Close()
	pid, err = lockedBy(file, has)
	if err != nil || pid == 0 {
		return 0, false, err
	}
	ender, err := lockedBy(file, ends)
	return pid, ender == pid, err
}

func lockedBy(file *os.File, at int64) (int, error) {
	asked := lockOf(unix.F_WRLCK, at)
	if err := unix.FcntlFlock(file.Fd(), unix.F_GETLK, asked); err != nil {
		return 0, fmt.Errorf("ask who locks %s: %w", file.Name(), err)
	}
	if asked.Type == unix.F_UNLCK {
		return 0, nil
	}
	return int(asked.Pid), nil
}
