package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"frankenetes.dev/agent/protocol"
)

// beside starts a process that does nothing, for commands to run beside.
func beside(t *testing.T, c *protocol.Client) {
	t.Helper()
	p := shell("main", "exec sleep 1000")
	p.Env = append(p.Env, "COLOR=red")
	p.Dir = "/usr"
	start(t, c, p)
}

func command(args ...string) protocol.Exec { return protocol.Exec{Process: "main", Args: args} }

func TestExec(t *testing.T) {
	c := newClient(t)
	beside(t, c)
	var stdout, stderr bytes.Buffer
	e := command("sh", "-c", "cat; echo $COLOR $PWD; echo oops >&2; exit 5")
	e.Stdin = true
	code, err := c.Exec(bounded(t), e, protocol.Streams{
		Stdin: strings.NewReader("from stdin\n"), Stdout: &stdout, Stderr: &stderr,
	})
	if err != nil {
		t.Fatal(err)
	}
	if code != 5 || stdout.String() != "from stdin\nred /usr\n" || stderr.String() != "oops\n" {
		t.Errorf("got %d, %q, %q", code, &stdout, &stderr)
	}
}

func TestExecWithoutInputDoesNotWaitForIt(t *testing.T) {
	c := newClient(t)
	beside(t, c)
	if code, err := c.Exec(bounded(t), command("cat"), protocol.Streams{}); code != 0 || err != nil {
		t.Errorf("got %d, %v", code, err)
	}
}

func TestExecRefuses(t *testing.T) {
	c := newClient(t)
	beside(t, c)
	_, err := c.Exec(bounded(t), command("nope"), protocol.Streams{})
	if refusal(err) != http.StatusUnprocessableEntity || !strings.Contains(err.Error(), "executable file not found in $PATH") {
		t.Errorf("no such program: %v", err)
	}
	_, err = c.Exec(bounded(t), protocol.Exec{Process: "other", Args: []string{"true"}}, protocol.Streams{})
	if refusal(err) != http.StatusNotFound {
		t.Errorf("no such process: %v", err)
	}
	if err := c.Signal(bounded(t), "main", "KILL"); err != nil {
		t.Fatal(err)
	}
	awaitExit(t, c, "main")
	if _, err = c.Exec(bounded(t), command("true"), protocol.Streams{}); refusal(err) != http.StatusConflict {
		t.Errorf("process has ended: %v", err)
	}
}

func TestExecEndsWithItsProcess(t *testing.T) {
	c := newClient(t)
	beside(t, c)
	r, w := io.Pipe()
	var conversation sync.WaitGroup
	conversation.Go(func() {
		defer w.Close()
		code, err := c.Exec(bounded(t), command("sh", "-c", "echo ready; sleep 1000"), protocol.Streams{Stdout: w})
		if code != 137 || err != nil {
			t.Errorf("got %d, %v", code, err)
		}
	})
	readUntil(t, r, "ready")
	if err := c.Signal(bounded(t), "main", "KILL"); err != nil {
		t.Fatal(err)
	}
	conversation.Wait()
}

// readUntil reads until the text has come.
func readUntil(t *testing.T, r io.Reader, text string) {
	t.Helper()
	var seen []byte
	buf := make([]byte, 1000)
	for !bytes.Contains(seen, []byte(text)) {
		n, err := r.Read(buf)
		if err != nil {
			t.Fatalf("read %q, then %v, while waiting for %q", seen, err, text)
		}
		seen = append(seen, buf[:n]...)
	}
}

func TestCancellingExecKillsTheCommandAndItsChildren(t *testing.T) {
	c := newClient(t)
	beside(t, c)
	fifo := t.TempDir() + "/fifo"
	ctx, cancel := context.WithCancel(bounded(t))
	r, w := io.Pipe()
	var conversation sync.WaitGroup
	conversation.Go(func() {
		defer w.Close()
		script := "mkfifo " + fifo + "; sleep 1000 3> " + fifo + " & exec 3> " + fifo + "; echo ready; sleep 1000"
		if _, err := c.Exec(ctx, command("sh", "-c", script), protocol.Streams{Stdout: w}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	// Both the command and its child hold the pipe: its end is theirs.
	alive := openWhenThere(t, fifo)
	defer alive.Close()
	readUntil(t, r, "ready")
	cancel()
	if data, err := io.ReadAll(alive); len(data) != 0 || err != nil {
		t.Errorf("got %q, %v", data, err)
	}
	conversation.Wait()
}

// openWhenThere opens a named pipe that the command makes, having waited for
// it by a second command.
func openWhenThere(t *testing.T, path string) *os.File {
	t.Helper()
	for {
		f, err := os.Open(path) // waits for the other side
		if err == nil {
			return f
		}
		if !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
}

func TestTerminal(t *testing.T) {
	c := newClient(t)
	beside(t, c)
	e := command("sh", "-c", `test -t 0 && test -t 2 && echo "$TERM"; read line; stty size; echo "got $line"; exit 4`)
	e.TTY, e.Stdin = true, true
	in, type_ := io.Pipe()
	out, screen := io.Pipe()
	sizes := make(chan protocol.Size, 1)
	sizes <- protocol.Size{Width: 132, Height: 50}
	var conversation sync.WaitGroup
	conversation.Go(func() {
		defer screen.Close()
		code, err := c.Exec(bounded(t), e, protocol.Streams{Stdin: in, Stdout: screen, Resize: sizes})
		if code != 4 || err != nil {
			t.Errorf("got %d, %v", code, err)
		}
	})
	readUntil(t, out, "xterm\r\n")
	// The size was sent before this line, on the same stream, so it is there.
	sizes <- protocol.Size{Width: 80, Height: 24}
	sizes <- protocol.Size{Width: 80, Height: 24}
	sizes <- protocol.Size{Width: 80, Height: 24}
	if _, err := io.WriteString(type_, "hello\n"); err != nil {
		t.Fatal(err)
	}
	readUntil(t, out, "24 80\r\ngot hello\r\n")
	go func() { _, _ = io.Copy(io.Discard, out) }()
	conversation.Wait()
	type_.Close()
}

func TestExecMovesMuchDataWithLittleMemory(t *testing.T) {
	c := newClient(t)
	beside(t, c)
	const size = 64 << 20
	e := command("cat")
	e.Stdin = true
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	peak := uint64(0)
	count := &counter{each: 8 << 20, do: func() {
		runtime.ReadMemStats(&after)
		peak = max(peak, after.HeapAlloc)
	}}
	code, err := c.Exec(bounded(t), e, protocol.Streams{Stdin: io.LimitReader(&pattern{}, size), Stdout: count})
	if code != 0 || err != nil {
		t.Fatalf("got %d, %v", code, err)
	}
	if count.n != size || count.wrong {
		t.Errorf("%d bytes came back of %d, wrong: %v", count.n, size, count.wrong)
	}
	if used := peak - min(peak, before.HeapAlloc); used > 32<<20 {
		t.Errorf("%d MiB were in use", used>>20)
	}
}

// block is what pattern repeats; its length has nothing to do with any buffer's.
var block = strings.Repeat("all work and no play makes jack a dull boy\n", 1000)

// pattern is endless data, made of blocks.
type pattern struct{ at int }

func (r *pattern) Read(p []byte) (int, error) {
	n := copy(p, block[r.at:])
	r.at = (r.at + n) % len(block)
	return n, nil
}

// counter checks that it gets pattern, and calls do every so many bytes.
type counter struct {
	n, each int
	wrong   bool
	do      func()
}

func (c *counter) Write(p []byte) (int, error) {
	before := c.n
	for rest := p; len(rest) > 0; {
		want := block[c.n%len(block):]
		k := min(len(rest), len(want))
		c.wrong = c.wrong || string(rest[:k]) != want[:k]
		rest, c.n = rest[k:], c.n+k
	}
	if before/c.each != c.n/c.each {
		c.do()
	}
	return len(p), nil
}

func TestOutputSurvivesASlowReader(t *testing.T) {
	c := newClient(t)
	beside(t, c)
	// The command has long ended when its last output is read.
	r, w := io.Pipe()
	var conversation sync.WaitGroup
	conversation.Go(func() {
		defer w.Close()
		if code, err := c.Exec(bounded(t), command("head", "-c", "60000", "/dev/zero"), protocol.Streams{Stdout: w}); code != 0 || err != nil {
			t.Errorf("got %d, %v", code, err)
		}
	})
	n := 0
	buf := make([]byte, 100)
	for {
		m, err := r.Read(buf)
		n += m
		if err != nil {
			break
		}
	}
	if n != 60000 {
		t.Errorf("%d bytes of 60000", n)
	}
	conversation.Wait()
}

func TestExecDoesNotWaitForDaemons(t *testing.T) {
	c := newClient(t)
	beside(t, c)
	var stdout bytes.Buffer
	code, err := c.Exec(bounded(t), command("sh", "-c", "sleep 1000 & echo started"), protocol.Streams{Stdout: &stdout})
	if code != 0 || err != nil || stdout.String() != "started\n" {
		t.Errorf("got %d, %v, %q", code, err, &stdout)
	}
}

func TestAttach(t *testing.T) {
	c := newClient(t)
	p := shell("p", `while read line; do echo "got $line"; done; echo done; exit 6`)
	p.Stdin, p.StdinOnce = true, true
	start(t, c, p)
	in, keyboard := io.Pipe()
	out, screen := io.Pipe()
	var conversation sync.WaitGroup
	conversation.Go(func() {
		defer screen.Close()
		if err := c.Attach(bounded(t), "p", protocol.Streams{Stdin: in, Stdout: screen}); err != nil {
			t.Error(err)
		}
	})
	for i := range 3 {
		fmt.Fprintf(keyboard, "%d\n", i)
		readUntil(t, out, fmt.Sprintf("got %d\n", i))
	}
	keyboard.Close() // which, with StdinOnce, ends the process's input
	readUntil(t, out, "done\n")
	conversation.Wait()
	if state := awaitExit(t, c, "p"); state.ExitCode != 6 {
		t.Errorf("got %+v", state)
	}
	if text := output(t, c, "p"); !strings.Contains(text, "got 2") {
		t.Errorf("what was seen is not in the log: %s", text)
	}
}

func TestDetachingLeavesTheProcessAndItsInput(t *testing.T) {
	c := newClient(t)
	p := shell("p", `read line; echo "got $line"; read line; echo "got $line"`)
	p.Stdin = true
	start(t, c, p)
	for _, text := range []string{"one", "two"} {
		ctx, cancel := context.WithCancel(bounded(t))
		out, screen := io.Pipe()
		var conversation sync.WaitGroup
		conversation.Go(func() {
			defer screen.Close()
			_ = c.Attach(ctx, "p", protocol.Streams{Stdin: strings.NewReader(text + "\n"), Stdout: screen})
		})
		readUntil(t, out, "got "+text+"\n")
		cancel()
		conversation.Wait()
	}
	if state := awaitExit(t, c, "p"); state.ExitCode != 0 {
		t.Errorf("got %+v", state)
	}
}
