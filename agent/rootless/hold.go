package rootless

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

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
	h := holder{stages: s}
	for {
		var q request
		files, err := c.receive(&q)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("receive request: %w", err)
		}
		a, err := h.do(q, files)
		closeAll(files)
		if err != nil {
			a.Error = err.Error()
		}
		if err := c.send(a); err != nil {
			return err
		}
	}
}

type holder struct {
	stages  Stages
	setting *process.Setting
}

func (h *holder) do(q request, files []*os.File) (a answer, err error) {
	switch {
	case q.Begin != nil:
		if h.setting, err = process.NewSetting(q.Begin.Process); err != nil {
			return a, err
		}
		h.setting = h.setting.Siblings()
		a.UID = h.setting.UID()
	case q.Start != nil && h.setting != nil:
		a.PID, err = h.setting.StartProgram(process.Command{Args: q.Start.Args, Terminal: q.Start.Terminal, Files: files})
	case q.Message != "":
		a.Text = h.stages.Message(q.Message)
	default:
		err = errors.New("nothing is asked that the holder can do")
	}
	return a, err
}
