package crilog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newLog(t *testing.T, limit int64) (*Log, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "web", "1.log")
	l, err := Create(path, limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Remove() })
	return l, path
}

// readAll reads what there is from an offset on.
func readAll(t *testing.T, l *Log, offset int64) (text string, start int64) {
	t.Helper()
	start = -1
	buf := make([]byte, 1000)
	var all strings.Builder
	for {
		n, at, err := l.ReadAt(context.Background(), buf, offset, false)
		if start < 0 {
			start = at
		}
		if err == io.EOF {
			return all.String(), start
		}
		if err != nil {
			t.Fatal(err)
		}
		all.Write(buf[:n])
		offset = at + int64(n)
	}
}

func write(t *testing.T, w *Writer, text string) {
	t.Helper()
	if n, err := io.WriteString(w, text); n != len(text) || err != nil {
		t.Fatalf("wrote %d of %d: %v", n, len(text), err)
	}
}

// withoutTimes replaces the time of each line, after checking its form.
func withoutTimes(t *testing.T, text string) string {
	t.Helper()
	stamp := regexp.MustCompile(`(?m)^(\S+) (stdout|stderr) ([FP]) `)
	for _, m := range stamp.FindAllStringSubmatch(text, -1) {
		if _, err := time.Parse(time.RFC3339Nano, m[1]); err != nil {
			t.Error(err)
		}
	}
	return stamp.ReplaceAllString(text, "$2 $3 ")
}

func TestLines(t *testing.T) {
	long := strings.Repeat("l", longest)
	tests := map[string]struct {
		writes []string
		want   string
	}{
		"whole":                {[]string{"a\nb\n"}, "stdout F a\nstdout F b\n"},
		"empty":                {[]string{"\n\n"}, "stdout F \nstdout F \n"},
		"in pieces":            {[]string{"a", "b", "\nc"}, "stdout F ab\nstdout P c\n"},
		"carriage return":      {[]string{"a\r\n"}, "stdout F a\r\n"},
		"as long as can be":    {[]string{long, "\n"}, "stdout F " + long + "\n"},
		"too long":             {[]string{long + "x\n"}, "stdout P " + long + "\nstdout F x\n"},
		"too long, in pieces":  {[]string{long, "x", "\n"}, "stdout P " + long + "\nstdout F x\n"},
		"far too long, no end": {[]string{long + long + "x"}, "stdout P " + long + "\nstdout P " + long + "\nstdout P x\n"},
		"nothing":              {[]string{""}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l, _ := newLog(t, Limit)
			w := l.Writer(Stdout)
			for _, text := range test.writes {
				write(t, w, text)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			text, _ := readAll(t, l, 0)
			if got := withoutTimes(t, text); got != test.want {
				t.Errorf("got %.200q, want %.200q", got, test.want)
			}
		})
	}
}

func TestStreamsDoNotMix(t *testing.T) {
	l, _ := newLog(t, Limit)
	out, err := l.Writer(Stdout), l.Writer(Stderr)
	write(t, out, "begun ")
	write(t, err, "oops\n")
	write(t, out, "and ended\n")
	text, _ := readAll(t, l, 0)
	if got, want := withoutTimes(t, text), "stderr F oops\nstdout F begun and ended\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLogIsBoundedAndOffsetsKeepTheirMeaning(t *testing.T) {
	const limit = 4000
	l, path := newLog(t, limit)
	w := l.Writer(Stdout)
	var offsets []int64 // of each line
	for i := range 500 {
		_, end := readEnd(t, l)
		offsets = append(offsets, end)
		write(t, w, fmt.Sprintf("line %d\n", i))
	}
	if files, _ := filepath.Glob(path + "*"); len(files) != 2 {
		t.Errorf("log has the files %v", files)
	} else {
		for _, f := range files {
			if info, err := os.Stat(f); err != nil || info.Size() > limit {
				t.Errorf("%s: %v, %v", f, info, err)
			}
		}
	}
	text, start := readAll(t, l, 0)
	if start == 0 || !strings.HasSuffix(text, " line 499\n") {
		t.Errorf("the oldest lines should be gone and the last one there; log starts at %d", start)
	}
	// A line that is kept is found at its offset.
	if text, _ := readAll(t, l, offsets[490]); !strings.Contains(strings.SplitN(text, "\n", 2)[0], " line 490") {
		t.Errorf("at the offset of line 490 is %.60q", text)
	}
	// What is kept starts with a whole line, at the start that was told.
	first := 0
	for offsets[first] != start {
		if first++; first == len(offsets) {
			t.Fatalf("offset %d is not that of a line", start)
		}
	}
	if !strings.Contains(strings.SplitN(text, "\n", 2)[0], fmt.Sprintf(" line %d", first)) {
		t.Errorf("log starts with %.60q, want line %d", text, first)
	}
}

// readEnd is the offset after all that was written.
func readEnd(t *testing.T, l *Log) (int, int64) {
	t.Helper()
	n, at, err := l.ReadAt(context.Background(), make([]byte, 1), 1<<40, false)
	if err != io.EOF {
		t.Fatal(err)
	}
	_ = at
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.files[len(l.files)-1]
	return n, last.start + last.size
}

func TestALogThatCannotBeSetAsideGoesOnLater(t *testing.T) {
	l, _ := newLog(t, 50)
	w := l.Writer(Stdout)
	write(t, w, "one\n")
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := unix.Rlimit{Cur: 0, Max: limit.Max} // no file can be opened
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	_, err := io.WriteString(w, "lost\n")
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err == nil {
		t.Fatal("a second file was made though none can be")
	}
	write(t, w, "two\n")
	text, _ := readAll(t, l, 0)
	if got, want := withoutTimes(t, text), "stdout F one\nstdout F two\n"; got != want {
		t.Errorf("the log is %q, want %q", got, want)
	}
	if err := l.Remove(); err != nil {
		t.Error(err)
	}
}

func TestFollowing(t *testing.T) {
	l, _ := newLog(t, Limit)
	w := l.Writer(Stdout)
	lines := make(chan string)
	go func() {
		defer close(lines)
		buf := make([]byte, 100)
		for offset := int64(0); ; {
			n, at, err := l.ReadAt(context.Background(), buf, offset, true)
			if err != nil {
				if err != io.EOF {
					t.Error(err)
				}
				return
			}
			lines <- string(buf[:n])
			offset = at + int64(n)
		}
	}()
	for _, text := range []string{"one", "two"} {
		write(t, w, text+"\n")
		if got := <-lines; !strings.HasSuffix(got, " "+text+"\n") {
			t.Errorf("followed %q, want %s", got, text)
		}
	}
	write(t, w, "unfinished")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l.End()
	if got := <-lines; !strings.HasSuffix(got, " unfinished\n") {
		t.Errorf("followed %q", got)
	}
	if got, more := <-lines; more {
		t.Errorf("followed %q after the end", got)
	}
}

func TestFollowingCanBeGivenUp(t *testing.T) {
	l, _ := newLog(t, Limit)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		_, _, err := l.ReadAt(ctx, make([]byte, 1), 0, true)
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestRemove(t *testing.T) {
	l, path := newLog(t, 10)
	w := l.Writer(Stdout)
	write(t, w, "one\n")
	write(t, w, "two\n")
	if err := l.Remove(); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(path + "*"); files != nil {
		t.Errorf("left are %v", files)
	}
	if _, err := w.Write([]byte("three\n")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("writing to a removed log: %v", err)
	}
}

func TestLogDirectoryMustBeOurs(t *testing.T) {
	dir := t.TempDir()
	elsewhere := t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(dir, "web")); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(filepath.Join(dir, "web", "1.log"), Limit); err == nil {
		t.Error("a log was written through a link")
	}
	if entries, _ := os.ReadDir(elsewhere); len(entries) != 0 {
		t.Errorf("there is now %v", entries)
	}
}
