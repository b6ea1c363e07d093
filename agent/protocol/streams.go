package protocol

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// Streams are the caller's ends of a command's standard streams; any may be
// nil. With a terminal all output comes on Stdout.
//
// Stdin may be read once more after the call that got it has returned, since a
// read cannot be interrupted: close it to end that.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Resize gives the terminal's sizes.
	Resize <-chan Size
}

// Attachment is the Begin of an attach.
type Attachment struct {
	// Stdin says that this client has input for the process.
	Stdin bool `json:"stdin,omitempty"`
}

// Exec runs a command in the container of a running process and returns its
// exit code: 128 plus the signal's number if a signal ended it. Cancelling the
// context kills the command.
func (c *Client) Exec(ctx context.Context, e Exec, s Streams) (int32, error) {
	return c.converse(ctx, ExecPath, e, s)
}

// Attach joins the standard streams of a running process, from now on, until
// the process ends or the context is done, which leaves the process running.
func (c *Client) Attach(ctx context.Context, processID string, s Streams) error {
	_, err := c.converse(ctx, processPath(processID)+AttachPath, Attachment{Stdin: s.Stdin != nil}, s)
	return err
}

// converse sends begin, stdin and sizes as frames, and passes on the frames
// that come back until one says how it ended.
func (c *Client) converse(ctx context.Context, path string, begin any, s Streams) (int32, error) {
	ctx, cancel := context.WithCancel(ctx)
	first, err := json.Marshal(begin)
	if err != nil {
		cancel()
		return 0, fmt.Errorf("ask agent POST %s: %w", path, err)
	}
	body, upload := io.Pipe()
	out := NewFrameWriter(upload, nil)
	var senders sync.WaitGroup
	defer senders.Wait()
	defer body.Close() // the senders' writes fail from here on
	defer cancel()
	defer abortOnDone(ctx, upload)()
	senders.Go(func() {
		if out.Write(Begin, first) != nil {
			return
		}
		// Not waited for: see Streams. Input that cannot be read has ended.
		go func() {
			if sendData(out, Input, s.Stdin) != nil {
				_ = out.Write(EndOfData, nil)
			}
		}()
		sendSizes(ctx, out, s.Resize)
	})
	resp, err := c.do(ctx, http.MethodPost, path, frameType, body)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	code, err := receive(NewFrameReader(resp.Body), s)
	if err != nil {
		return 0, fmt.Errorf("talk to agent POST %s: %w", path, ended(ctx, err))
	}
	return code, nil
}

// abortOnDone makes a request end with its context. HTTP/2 would otherwise look
// at that only after it has got more of the request's body.
func abortOnDone(ctx context.Context, upload *io.PipeWriter) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = upload.CloseWithError(context.Cause(ctx)) })
}

// sendData sends all of r, which may be nil, and then the end of data.
func sendData(out *FrameWriter, kind Kind, r io.Reader) error {
	if r != nil {
		if _, err := io.CopyBuffer(out.Data(kind), onlyReader{r}, make([]byte, MaxData)); err != nil {
			return err
		}
	}
	return out.Write(EndOfData, nil)
}

// onlyReader hides WriterTo, by which some readers would write in pieces of
// their own choice.
type onlyReader struct{ io.Reader }

func sendSizes(ctx context.Context, out *FrameWriter, sizes <-chan Size) {
	for {
		select {
		case size, ok := <-sizes:
			if !ok {
				return
			}
			data, err := json.Marshal(size)
			if err != nil || out.Write(Resize, data) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func receive(in *FrameReader, s Streams) (int32, error) {
	for {
		kind, data, err := in.Next()
		if err != nil {
			return 0, noEOF(err)
		}
		var w io.Writer
		switch kind {
		case Output:
			w = s.Stdout
		case ErrorOutput:
			w = s.Stderr
		case Exit:
			var o Outcome
			if err := json.Unmarshal(data, &o); err != nil {
				return 0, err
			}
			if o.Error != "" {
				return 0, &Error{Status: http.StatusInternalServerError, Message: o.Error}
			}
			return o.ExitCode, nil
		}
		if w != nil {
			if _, err := w.Write(data); err != nil {
				return 0, fmt.Errorf("pass on output: %w", err)
			}
		}
	}
}

// PortForward joins stream to a port on the group's loopback address. Each
// side may end its data while the other goes on; when the group's side ends,
// stream's CloseWrite is called if it has one and its Close if not. Stream is
// closed when PortForward returns; a read of it that does not end with that
// (Close of a SPDY stream ends only writing) goes on by itself until it does.
func (c *Client) PortForward(ctx context.Context, port int32, stream io.ReadWriteCloser) error {
	path := fmt.Sprintf("%s?port=%d", ForwardPath, port)
	ctx, cancel := context.WithCancel(ctx)
	body, upload := io.Pipe()
	defer stream.Close()
	defer body.Close()
	defer cancel()
	defer abortOnDone(ctx, upload)()
	// A done context must also interrupt a write to stream.
	defer context.AfterFunc(ctx, func() { _ = stream.Close() })()
	go func() {
		_ = upload.CloseWithError(sendData(NewFrameWriter(upload, nil), Input, stream))
	}()
	resp, err := c.do(ctx, http.MethodPost, path, frameType, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	err = forwardTo(stream, NewFrameReader(resp.Body))
	if err == nil {
		err = context.Cause(ctx) // which may have been what ended it
	}
	if err != nil {
		return fmt.Errorf("forward port %d: %w", port, ended(ctx, err))
	}
	return nil
}

// forwardTo writes the group's data to stream until the agent says, by ending
// the answer, that both directions are done.
func forwardTo(stream io.WriteCloser, in *FrameReader) error {
	for {
		kind, data, err := in.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case kind == Output:
			if _, err := stream.Write(data); err != nil {
				return err
			}
		case kind == EndOfData:
			closeWrite(stream)
		}
	}
}

func closeWrite(stream io.Closer) {
	if half, ok := stream.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // the peer may be gone already, which is as good
		return
	}
	_ = stream.Close()
}

// LogReader reads a process's log.
type LogReader struct {
	body    io.ReadCloser
	frames  *FrameReader
	offset  int64
	pending []byte
}

// Offset is the place in the log of the byte that Read will return next, once
// something has been read. It jumps when the log has dropped older lines.
func (l *LogReader) Offset() int64 { return l.offset }

// Read reads whole and part lines of the log.
func (l *LogReader) Read(p []byte) (int, error) {
	for len(l.pending) == 0 {
		kind, data, err := l.frames.Next()
		if err != nil {
			return 0, noEOF(err)
		}
		switch kind {
		case Output:
			l.pending = data
		case Offset:
			if len(data) != 8 {
				return 0, fmt.Errorf("read log: an offset of %d bytes", len(data))
			}
			l.offset = int64(binary.BigEndian.Uint64(data))
		case EndOfData:
			return 0, io.EOF
		}
	}
	n := copy(p, l.pending)
	l.pending = l.pending[n:]
	l.offset += int64(n)
	return n, nil
}

// Close ends the reading.
func (l *LogReader) Close() error { return l.body.Close() }

// noEOF is for places where the end of the stream is not the end of the talk.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
