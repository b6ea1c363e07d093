package process

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Command is a program to start.
type Command struct {
	Args []string
	// Files are its standard streams.
	Files []*os.File
	// Terminal says that they are a terminal, which is to be its own.
	Terminal bool
}

// Starter starts programs: a Setting beside the agent, a rootless.Room in
// namespaces of their own.
type Starter interface {
	// UID is the number of the user they run as.
	UID() int
	// StartProgram starts one, as a child of the agent in a session of its
	// own, and returns its PID.
	StartProgram(Command) (int, error)
}

// Start starts a program. Owner groups programs for Sweep. The program's side
// of stdio is closed when Start returns, ours too if it fails.
func (r *Reaper) Start(owner string, s Starter, args []string, stdio *Stdio) (*Child, error) {
	defer stdio.closeChild()
	command := Command{Args: args, Files: stdio.child, Terminal: stdio.terminal != nil}
	child, err := r.start(owner, func() (int, error) { return s.StartProgram(command) })
	if err != nil {
		return nil, errors.Join(err, stdio.Close())
	}
	return child, nil
}

// StartHelper runs fork, which starts a process of the agent's own and returns
// its PID. No Sweep ends it.
func (r *Reaper) StartHelper(fork func() (int, error)) (*Child, error) { return r.start(helper, fork) }

// StartProgram starts a program.
func (s *Setting) StartProgram(c Command) (int, error) {
	path, err := s.check(c.Args)
	if err != nil {
		return 0, err
	}
	attr := &syscall.ProcAttr{
		Dir: s.dir,
		Env: s.environment(c.Terminal),
		Sys: &syscall.SysProcAttr{Credential: s.credential, Setsid: true, Setctty: c.Terminal},
	}
	for _, f := range c.Files {
		attr.Files = append(attr.Files, f.Fd()) // Fd also makes it blocking, as programs expect
	}
	pid, err := s.forkLimited(func() (int, error) { return syscall.ForkExec(path, c.Args, attr) })
	if err != nil {
		return 0, fmt.Errorf("exec %s: %w", path, err)
	}
	return pid, nil
}

// Become turns this process into a program. It returns only if it cannot.
func (s *Setting) Become(args []string, terminal bool) error {
	path, err := s.check(args)
	if err != nil {
		return err
	}
	runtime.LockOSThread() // what follows is a thread's, and the program has no other
	if err := s.limitThread(); err != nil {
		return err
	}
	if err := s.assume(); err != nil {
		return fmt.Errorf("become user %d: %w", s.id.uid, err)
	}
	if err := unix.Chdir(s.dir); err != nil {
		return fmt.Errorf("enter working directory: %w", err)
	}
	return fmt.Errorf("exec %s: %w", path, syscall.Exec(path, args, s.environment(terminal)))
}

// assume makes the calling thread one of the user's.
func (s *Setting) assume() error {
	c := s.credential
	if c == nil {
		return nil
	}
	var groups unsafe.Pointer
	if len(c.Groups) > 0 {
		groups = unsafe.Pointer(&c.Groups[0])
	}
	for _, call := range []struct{ number, first, second uintptr }{
		{unix.SYS_SETGROUPS, uintptr(len(c.Groups)), uintptr(groups)},
		{unix.SYS_SETGID, uintptr(c.Gid), 0},
		{unix.SYS_SETUID, uintptr(c.Uid), 0},
	} {
		if _, _, errno := unix.RawSyscall(call.number, call.first, call.second, 0); errno != 0 {
			return errno
		}
	}
	runtime.KeepAlive(c)
	return nil
}

// check finds a program, and says what is in the way of starting it.
func (s *Setting) check(args []string) (string, error) {
	if len(args) == 0 {
		return "", errors.New("no command is given")
	}
	if info, err := os.Stat(s.dir); err != nil {
		return "", fmt.Errorf("enter working directory: %w", err)
	} else if !info.IsDir() {
		return "", fmt.Errorf("enter working directory: %s is not a directory", s.dir)
	}
	return s.find(args[0])
}

// forkLimited calls fork on a thread that has the setting's limits, and that
// ends with the call. What a thread may do is inherited by the processes that
// it forks, so that no second program is needed between the agent and the
// one to start.
func (s *Setting) forkLimited(fork func() (int, error)) (int, error) {
	if s.limits == nil && !s.noNewPrivs {
		return fork()
	}
	type result struct {
		pid int
		err error
	}
	forked := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: Go then ends the thread
		if unix.Gettid() == os.Getpid() {
			// The first thread cannot end, and it is the one that others see
			// in /proc: keep it occupied and let another do it.
			defer runtime.UnlockOSThread()
			pid, err := s.forkLimited(fork)
			forked <- result{pid, err}
			return
		}
		if err := s.limitThread(); err != nil {
			forked <- result{0, err}
			return
		}
		pid, err := fork()
		forked <- result{pid, err}
	}()
	r := <-forked
	return r.pid, r.err
}

func (s *Setting) limitThread() error {
	if s.limits != nil {
		if err := s.limits.Limit(); err != nil {
			return err
		}
	}
	if s.noNewPrivs {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("forbid new privileges: %w", err)
		}
	}
	return nil
}
