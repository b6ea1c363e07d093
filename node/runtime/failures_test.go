package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"frankenetes.dev/node/provider"
)

func TestARefusedGroupIsAskedForLessAndLess(t *testing.T) {
	var f failures
	refusal := fmt.Errorf("quota: %w", provider.ErrRefused)
	start := time.Now()
	var asked []int
	for at := 0; at <= 600; at += 10 { // as the kubelet does
		now := start.Add(time.Duration(at) * time.Second)
		if err := f.hold("uid", now); err == nil {
			asked = append(asked, at)
			f.note("uid", refusal, now)
		} else if !errors.Is(err, refusal) {
			t.Fatalf("held back because of %v", err)
		}
	}
	if got, want := fmt.Sprint(asked), "[0 10 30 70 150 270 390 510]"; got != want {
		t.Errorf("asked at %s s, want %s", got, want)
	}
	if f.hold("another", start) != nil {
		t.Error("another pod is held back")
	}
	late := start.Add(610 * time.Second)
	f.room()
	if f.hold("uid", late) != nil {
		t.Error("it is held back when there is room again")
	}
	f.note("uid", refusal, late)
	f.note("uid", nil, late)
	if f.hold("uid", late) != nil {
		t.Error("it is held back though it was not refused")
	}
}

func TestOnlyRefusalsCount(t *testing.T) {
	for _, err := range []error{
		errors.New("connection refused"),
		fmt.Errorf("%w, %w", provider.ErrRefused, provider.ErrThrottled),
	} {
		var f failures
		f.note("uid", err, time.Now())
		if f.hold("uid", time.Now()) != nil {
			t.Errorf("after %q it is held back", err)
		}
	}
}

// stubborn is a place that takes its time to delete.
type stubborn struct {
	provider.Provider
	deletes chan string
	proceed chan struct{}
}

func (s stubborn) List(context.Context, map[string]string) ([]provider.Listed, error) {
	return []provider.Listed{{Name: "stray"}}, nil
}

func (s stubborn) Delete(_ context.Context, name string) error {
	s.deletes <- name
	<-s.proceed
	return nil
}

func TestAStrayIsDeletedByOneAtATime(t *testing.T) {
	place := stubborn{deletes: make(chan string, 8), proceed: make(chan struct{})}
	r := &Runtime{opts: Options{Provider: place, Agents: callers{}}, log: slog.New(slog.DiscardHandler), strays: map[string]bool{}, life: t.Context()}
	if err := r.reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-place.deletes
	for range 2 { // the next looks
		r.deleteStray("stray")
	}
	close(place.proceed)
	r.tasks.wait()
	if n := len(place.deletes); n > 0 {
		t.Errorf("it was deleted %d times more", n)
	}
	if len(r.strays) > 0 {
		t.Errorf("%v are still being deleted", r.strays)
	}
}
