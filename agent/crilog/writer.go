package crilog

import (
	"bytes"
	"time"
)

// longest is how much of a line is kept in one piece, in bytes. Longer lines
// become several, all but the last marked as partial.
const longest = 16 << 10

// The names of a process's streams in its log.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

// Writer turns one stream of a process into lines of its log. It is not safe
// for concurrent use; the writers of one log are independent of each other.
type Writer struct {
	log    *Log
	stream string
	// begun is a line whose end has not come yet.
	begun []byte
	lines []byte
}

// Writer returns a writer for a stream, Stdout or Stderr.
func (l *Log) Writer(stream string) *Writer { return &Writer{log: l, stream: stream} }

// Write adds output. All lines that it ends have the time of this call.
func (w *Writer) Write(output []byte) (int, error) {
	w.lines = w.lines[:0]
	now := time.Now()
	for rest := output; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		if room := longest - len(w.begun); len(line) > room {
			line, after, whole = rest[:room], rest[room:], false
		}
		w.begun = append(w.begun, line...)
		switch {
		case whole:
			w.end(now, 'F')
		case len(w.begun) == longest && len(after) > 0:
			w.end(now, 'P')
		}
		rest = after
	}
	return len(output), w.flush()
}

// Close ends a line that the process has left unfinished: as a partial one, so
// that whoever reads the log adds no end that was not there.
func (w *Writer) Close() error {
	w.lines = w.lines[:0]
	if len(w.begun) > 0 {
		w.end(time.Now(), 'P')
	}
	return w.flush()
}

func (w *Writer) end(now time.Time, tag byte) {
	w.lines = now.UTC().AppendFormat(w.lines, time.RFC3339Nano)
	w.lines = append(w.lines, ' ')
	w.lines = append(w.lines, w.stream...)
	w.lines = append(w.lines, ' ', tag, ' ')
	w.lines = append(w.lines, w.begun...)
	w.lines = append(w.lines, '\n')
	w.begun = w.begun[:0]
}

func (w *Writer) flush() error {
	if len(w.lines) == 0 {
		return nil
	}
	return w.log.append(w.lines)
}
