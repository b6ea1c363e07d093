package rootless

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"frankenetes.dev/agent/process"
	"golang.org/x/sys/unix"
)

// hold starts programs until the agent has no more to ask. It can do nothing
// that the root of the container cannot; what it needed more for is done.
func (s Stages) hold() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("hide own memory: %w", err)
	}
	// What a program sends to everybody is not meant for this one. They are
	// not ignored, since the programs would inherit that.
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2)
	unix.CloseOnExec(stageSocket)
	c, err := newConn(os.NewFile(stageSocket, "socket"))
	if err != nil {
		return err
	}
	for {
		var q request
		files, err := c.receive(&q)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("receive request: %w", err)
		}
		a, err := s.do(q, files)
		closeAll(files)
		if err != nil {
			a.Error = err.Error()
		}
		if err := c.send(a); err != nil {
			return err
		}
	}
}

// do does what the agent asks for.
func (s Stages) do(q request, files []*os.File) (a answer, err error) {
	switch {
	case q.Begin != nil:
		var setting *process.Setting
		if setting, err = process.NewSetting(q.Begin.Process); err == nil {
			a.UID = setting.UID()
		}
	case q.Start != nil:
		a.PID, err = startGate(q.Start.Terminal, files)
	case q.Message != "":
		a.Text = s.Message(q.Message)
	default:
		err = errors.New("nothing is asked that the holder can do")
	}
	return a, err
}

// startGate starts the gate of a program, as a child of this process's parent
// in a session of its own. The files are its streams and its socket.
func startGate(terminal bool, files []*os.File) (int, error) {
	attr := &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Setsid: true, Setctty: terminal, Cloneflags: unix.CLONE_PARENT}}
	for _, f := range files {
		attr.Files = append(attr.Files, f.Fd())
	}
	return syscall.ForkExec(self, []string{"agent", GateStage}, attr)
}

// gate becomes the program that the agent says.
func (s Stages) gate() error {
	c, err := stageConn()
	if err != nil {
		return err
	}
	unix.CloseOnExec(stageSocket)
	var q request
	files, err := c.receive(&q)
	closeAll(files)
	if err != nil {
		return fmt.Errorf("receive request: %w", err)
	}
	if q.Become == nil || q.Become.Process == nil {
		return errors.New("no program is given")
	}
	setting, err := process.NewSetting(*q.Become.Process)
	if err == nil {
		err = setting.Become(q.Become.Args, q.Become.Terminal)
	}
	return c.send(answerOf(err)) // our standard error is the program's
}
