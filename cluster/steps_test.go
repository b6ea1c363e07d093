package cluster

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

// recorder notes which steps ended, in order.
type recorder struct {
	mu    sync.Mutex
	ended []string
	fails []string
}

func (*recorder) Start(string, int, int) {}

func (r *recorder) Done(name string, _, _ int, _ string, _ time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended = append(r.ended, name); err != nil {
		r.fails = append(r.fails, name)
	}
}

func fine(context.Context) (string, error) { return "", nil }

func TestAStepWaitsForThoseItNeeds(t *testing.T) {
	var r recorder
	release := make(chan struct{})
	err := run(t.Context(), []Step{
		{Name: "last", Needs: []string{"left", "right"}, Run: fine},
		// left and right can only end if they run side by side.
		{Name: "left", Needs: []string{"first"}, Run: func(context.Context) (string, error) { <-release; return "", nil }},
		{Name: "right", Needs: []string{"first"}, Run: func(context.Context) (string, error) { close(release); return "", nil }},
		{Name: "first", Run: fine},
	}, &r)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.ended) != 4 || r.ended[0] != "first" || r.ended[3] != "last" {
		t.Errorf("they ended as %v", r.ended)
	}
}

func TestTheFirstFailureEndsTheList(t *testing.T) {
	var r recorder
	broken := errors.New("it broke")
	err := run(t.Context(), []Step{
		{Name: "breaks", Run: func(context.Context) (string, error) { return "", broken }},
		{Name: "after", Needs: []string{"breaks"}, Run: func(context.Context) (string, error) {
			t.Error("a step ran though what it needs had failed")
			return "", nil
		}},
		{Name: "beside", Run: func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() }},
	}, &r)
	var step *StepError
	if !errors.As(err, &step) || step.Step != "breaks" || !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if slices.Contains(r.ended, "after") {
		t.Errorf("they ended as %v", r.ended)
	}
}

func TestAnInterruptEndsTheList(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := run(ctx, []Step{
		{Name: "one", Run: func(context.Context) (string, error) { cancel(); return "", nil }},
		{Name: "two", Needs: []string{"one"}, Run: fine},
	}, &recorder{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
