package embedded

import (
	"context"
	"errors"
	"os"
	"testing"
)

// TestStatusOfADaemonThatStarts uses the status server as a daemon does: the
// one who asks early, even before there is anybody to ask, is answered when it
// is decided.
func TestStatusOfADaemonThatStarts(t *testing.T) {
	o, err := Options{Home: t.TempDir()}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	o.runtimeDir = t.TempDir()
	if err := spawnStandIn(t, o.Home, "runs"); err != nil { // it holds the lock
		t.Fatal(err)
	}
	defer func() {
		if err := Stop(context.Background(), o); err != nil {
			t.Error(err)
		}
	}()
	heard := make(chan Status)
	go func() {
		status, err := Stat(t.Context(), o)
		if err != nil {
			t.Error(err)
		}
		heard <- status
	}()
	if err := os.MkdirAll(o.state(), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := serveStatus(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	select {
	case status := <-heard:
		t.Fatalf("answered %+v before it was decided", status)
	default:
	}
	s.set(answers(func(context.Context) Status { return Status{Running: true, PID: os.Getpid(), Groups: 3} }))
	if got := <-heard; !got.Running || got.Groups != 3 {
		t.Errorf("%+v", got)
	}
	s.set(nil)
	if _, err := Stat(t.Context(), o); !errors.Is(err, errStopping) {
		t.Errorf("while it stops: %v", err)
	}
}
