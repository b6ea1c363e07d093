package process

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

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
	if len(c.Args) == 0 {
		return 0, errors.New("no command is given")
	}
	if info, err := os.Stat(s.dir); err != nil {
		return 0, fmt.Errorf("enter working directory: %w", err)
	} else if !info.IsDir() {
		return 0, fmt.Errorf("enter working directory: %s is not a directory", s.dir)
	}
	path, err := s.find(c.Args[0])
	if err != nil {
		return 0, err
	}
	attr := &syscall.ProcAttr{
		Dir: s.dir,
		Env: s.environment(c.Terminal),
		Sys: &syscall.SysProcAttr{Credential: s.credential, Setsid: true, Setctty: c.Terminal, Cloneflags: s.cloneFlags},
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
