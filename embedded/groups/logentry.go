package groups

import (
	"bufio"
	"bytes"
	"io"
	"strings"
)

// entry is an entry of a log as the CRI has it, "time stream tag text": a line,
// or a part of one that the next entry of the same stream goes on with. What a
// container wrote at its end without a line break is such a part, too.
type entry struct {
	time, stream, text []byte
	partial            bool
}

// parseEntry reads an entry, without its line break. What has lost its
// beginning is none.
func parseEntry(line []byte) (entry, bool) {
	fields := bytes.SplitN(line, []byte(" "), 4)
	if len(fields) != 4 || string(fields[1]) != "stdout" && string(fields[1]) != "stderr" {
		return entry{}, false
	}
	tag, _, _ := bytes.Cut(fields[2], []byte(":"))
	return entry{time: fields[0], stream: fields[1], text: fields[3], partial: string(tag) == "P"}, true
}

// lineReader makes lines of entries.
type lineReader struct {
	timestamps bool
	lines      []string
	// open are the lines of each stream that have not ended.
	open map[string]*strings.Builder
}

// parseLog returns the lines of a log, the last ones perhaps without an end.
func parseLog(r io.Reader, timestamps bool) []string {
	l := lineReader{timestamps: timestamps, open: map[string]*strings.Builder{}}
	for in := bufio.NewReader(r); ; {
		raw, err := in.ReadBytes('\n')
		if err != nil { // an entry that is being written, if there is something
			return l.end()
		}
		if e, ok := parseEntry(raw[:len(raw)-1]); ok {
			l.add(e)
		}
	}
}

func (l *lineReader) add(e entry) {
	stream := string(e.stream)
	line := l.open[stream]
	if line == nil {
		line = &strings.Builder{}
		if l.timestamps {
			line.Write(e.time)
			line.WriteByte(' ')
		}
		l.open[stream] = line
	}
	line.Write(e.text)
	if !e.partial {
		line.WriteByte('\n')
		l.flush(stream)
	}
}

func (l *lineReader) flush(stream string) {
	if line := l.open[stream]; line != nil {
		l.lines = append(l.lines, strings.ToValidUTF8(line.String(), "\uFFFD"))
		delete(l.open, stream)
	}
}

func (l *lineReader) end() []string {
	l.flush("stdout")
	l.flush("stderr")
	return l.lines
}
