package groups

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/gorilla/websocket"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
)

// stream joins a client's websocket to a command's terminal, which the runtime
// serves at a URL, until the command ends or the client goes.
func stream(ctx context.Context, at string, conn *websocket.Conn, size terminalSize) error {
	to, err := url.Parse(at)
	if err != nil {
		return fmt.Errorf("read address of exec: %w", err)
	}
	executor, err := remotecommand.NewSPDYExecutor(&rest.Config{}, "POST", to)
	if err != nil {
		return fmt.Errorf("connect to exec: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	stdin, typed := io.Pipe()
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		defer cancel() // the client has gone
		readMessages(conn, typed)
	}()
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{
		Stdin: stdin, Stdout: messages{conn}, Tty: true, TerminalSizeQueue: newOnce(size),
	})
	if ctx.Err() == nil && neverRan(err) {
		_, _ = messages{conn}.Write([]byte(err.Error() + "\r\n")) // the client hears of nothing else
	}
	cancel()
	typed.Close() // the end of input, for who reads it and for who writes it
	closing(conn, websocket.CloseNormalClosure, "")
	conn.Close()
	<-reading
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("exec: %w", err)
	}
	return nil
}

// neverRan reports whether an error is not just a command's exit code.
func neverRan(err error) bool {
	var exited exec.CodeExitError
	return err != nil && !errors.As(err, &exited)
}

// readMessages passes what the client types on, text or binary.
func readMessages(conn *websocket.Conn, to *io.PipeWriter) {
	for {
		_, data, err := conn.ReadMessage()
		if err == nil {
			_, err = to.Write(data)
		}
		if err != nil {
			to.CloseWithError(io.EOF)
			return
		}
	}
}

// messages writes each piece of output as one binary message.
type messages struct{ conn *websocket.Conn }

func (m messages) Write(p []byte) (int, error) {
	if err := m.conn.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// once is a queue with one terminal size: the protocol has no way to tell another.
type once chan remotecommand.TerminalSize

func newOnce(size terminalSize) once {
	q := make(once, 1)
	if size.Rows > 0 && size.Cols > 0 {
		q <- remotecommand.TerminalSize{Width: size.Cols, Height: size.Rows}
	}
	close(q)
	return q
}

// Next returns the size, and then nothing.
func (q once) Next() *remotecommand.TerminalSize {
	size, ok := <-q
	if !ok {
		return nil
	}
	return &size
}
