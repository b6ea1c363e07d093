package agent

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"frankenetes.dev/agent/protocol"
)

// awaitLine follows a log until a line ends with the given text.
func awaitLine(t *testing.T, c *protocol.Client, id, text string) {
	t.Helper()
	r, err := c.Logs(bounded(t), id, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if strings.HasSuffix(lines.Text(), " "+text) {
			return
		}
	}
	t.Fatalf("log of %s ended without %q", id, text)
}

func TestBothStreamsAreLogged(t *testing.T) {
	_, text := runScript(t, newClient(t), "echo out; echo err >&2; printf 'no end'")
	for _, line := range []string{"stdout F out\n", "stderr F err\n", "stdout P no end\n"} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in %q", line, text)
		}
	}
}

func TestLogGoesOnWhereTheReaderStopped(t *testing.T) {
	c := newClient(t)
	start(t, c, shell("p", "seq 1000; echo between; read x < /dev/null; seq 1001 2000"))
	all, err := c.Logs(bounded(t), "p", 0, true)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := io.ReadAll(all)
	if err != nil {
		t.Fatal(err)
	}
	var parts strings.Builder
	for offset := int64(0); offset < int64(len(whole)); {
		r, err := c.Logs(bounded(t), "p", offset, false)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.CopyN(&parts, r, 1777)
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		offset += n
		if got := r.(*protocol.LogReader).Offset(); got != offset {
			t.Errorf("reader is at %d, want %d", got, offset)
		}
		r.Close()
	}
	if parts.String() != string(whole) {
		t.Errorf("%d bytes in parts, %d in one", parts.Len(), len(whole))
	}
	if n := strings.Count(string(whole), "\n"); n != 2001 {
		t.Errorf("%d lines", n)
	}
}

func TestOffsetsOfALogThatDroppedItsOldLines(t *testing.T) {
	c := newClient(t)
	// 30 MiB, of which the last 10 to 20 are kept.
	line := strings.Repeat("x", 1023)
	start(t, c, shell("p", "yes "+line+" | head -n 30720"))
	awaitExit(t, c, "p")
	r, err := c.Logs(bounded(t), "p", 0, true)
	if err != nil {
		t.Fatal(err)
	}
	buffered := bufio.NewReader(r)
	first, err := buffered.ReadString('\n')
	if err != nil || !strings.HasSuffix(first, " stdout F "+line+"\n") {
		t.Errorf("log starts with %.60q (%v)", first, err)
	}
	n, err := io.Copy(io.Discard, buffered)
	if err != nil {
		t.Fatal(err)
	}
	kept := n + int64(len(first))
	if end := r.(*protocol.LogReader).Offset(); end < 30<<20 || kept < 9<<20 || kept > 20<<20 {
		t.Errorf("log ends at %d, %d bytes are kept", end, kept)
	}
}

func TestLogsOfNothing(t *testing.T) {
	c := newClient(t)
	if _, err := c.Logs(bounded(t), "nope", 0, false); refusal(err) != http.StatusNotFound {
		t.Errorf("got %v", err)
	}
	start(t, c, shell("p", "true"))
	if _, err := c.Logs(bounded(t), "p", -1, false); refusal(err) != http.StatusBadRequest {
		t.Errorf("a negative offset: %v", err)
	}
}

func TestFollowingALogCanBeGivenUp(t *testing.T) {
	c := newClient(t)
	start(t, c, shell("p", "echo one; sleep 1000"))
	awaitLine(t, c, "p", "one")
	ctx, cancel := context.WithCancel(bounded(t))
	r, err := c.Logs(ctx, "p", 0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	lines := bufio.NewReader(r)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := lines.ReadString('\n'); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
