package protocol

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// Kind says what a frame carries. Exec, attach, port-forward and logs put
// several things on one HTTP/2 stream, so their bodies are frames: one byte of
// kind, four of length (big endian), then the payload.
type Kind byte

// The kinds of frames.
const (
	// Begin is the first frame of a request: JSON saying what is asked.
	Begin Kind = iota + 1
	// Input is data for a command's standard input.
	Input
	// Output and ErrorOutput are what a command wrote.
	Output
	ErrorOutput
	// Resize is a JSON Size.
	Resize
	// EndOfData says that the sender will send no more data; frames in the
	// other direction go on.
	EndOfData
	// Exit is a JSON Outcome and ends an exec or attach.
	Exit
	// Offset is where in the log the following Output starts: eight bytes,
	// big endian.
	Offset
)

const (
	// MaxData is the most data that one frame of a stream carries. It bounds
	// what either side must hold in memory.
	MaxData = 32 << 10
	// maxFrame bounds Begin, which carries a whole argument list.
	maxFrame   = 8 << 20
	headerSize = 5
)

// Outcome is how a command ended.
type Outcome struct {
	ExitCode int32 `json:"exitCode"`
	// Error is set when the command's end could not be learned.
	Error string `json:"error,omitempty"`
}

// FrameWriter writes frames. It is safe for concurrent use.
type FrameWriter struct {
	mu  sync.Mutex
	w   io.Writer
	buf []byte
	// flush is called after each frame, so that no data waits for more.
	flush func()
}

// NewFrameWriter returns a writer of frames to w. If flush is not nil it is
// called after every frame.
func NewFrameWriter(w io.Writer, flush func()) *FrameWriter {
	return &FrameWriter{w: w, flush: flush}
}

// Write writes one frame.
func (f *FrameWriter) Write(kind Kind, payload []byte) error {
	if len(payload) > maxFrame {
		return fmt.Errorf("write frame: %d bytes are more than the %d that one may have", len(payload), maxFrame)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.buf = append(f.buf[:0], byte(kind), 0, 0, 0, 0)
	binary.BigEndian.PutUint32(f.buf[1:], uint32(len(payload)))
	f.buf = append(f.buf, payload...)
	if _, err := f.w.Write(f.buf); err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	if f.flush != nil {
		f.flush()
	}
	return nil
}

// Data returns a writer whose every Write becomes frames of the given kind, of
// at most MaxData bytes each.
func (f *FrameWriter) Data(kind Kind) io.Writer { return dataWriter{f, kind} }

type dataWriter struct {
	frames *FrameWriter
	kind   Kind
}

func (d dataWriter) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n := min(len(p)-done, MaxData)
		if err := d.frames.Write(d.kind, p[done:done+n]); err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// FrameReader reads frames. It is not safe for concurrent use.
type FrameReader struct {
	r      io.Reader
	header [headerSize]byte
	buf    []byte
}

// NewFrameReader returns a reader of frames from r.
func NewFrameReader(r io.Reader) *FrameReader { return &FrameReader{r: r} }

// Next reads one frame. The payload is valid until the next call. At a clean
// end it returns io.EOF, inside a frame io.ErrUnexpectedEOF.
func (f *FrameReader) Next() (Kind, []byte, error) {
	if _, err := io.ReadFull(f.r, f.header[:]); err != nil {
		return 0, nil, err
	}
	size := int(binary.BigEndian.Uint32(f.header[1:]))
	if size > maxFrame {
		return 0, nil, fmt.Errorf("read frame: %d bytes are more than the %d that one may have", size, maxFrame)
	}
	if cap(f.buf) < size {
		f.buf = make([]byte, max(size, 4<<10))
	}
	f.buf = f.buf[:size]
	if _, err := io.ReadFull(f.r, f.buf); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return Kind(f.header[0]), f.buf, nil
}
