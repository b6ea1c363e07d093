package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Step is one line of what a verb does.
type Step struct {
	// Name is what the user sees; Needs are the names of the steps that must
	// be done before.
	Name  string
	Needs []string
	// Run does it, and returns a few words about the result.
	Run func(ctx context.Context) (detail string, err error)
}

// Progress is told of every step, from several goroutines at once.
type Progress interface {
	// Start says that a step runs; index counts from 1.
	Start(name string, index, total int)
	// Done says that it ended, and how.
	Done(name string, index, total int, detail string, took time.Duration, err error)
}

// StepError says which step failed.
type StepError struct {
	Step string
	Err  error
}

func (e *StepError) Error() string { return e.Step + ": " + e.Err.Error() }

// Unwrap returns the step's own error.
func (e *StepError) Unwrap() error { return e.Err }

// run does the steps, each as soon as those it needs are done, side by side.
// The first failure cancels the rest; its error is returned.
func run(ctx context.Context, steps []Step, progress Progress) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(map[string]chan struct{}, len(steps))
	for _, s := range steps {
		done[s.Name] = make(chan struct{})
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
	)
	for i, s := range steps {
		wg.Go(func() {
			if !awaitNeeds(ctx, s, done) {
				return
			}
			if err := s.do(ctx, i+1, len(steps), progress); err != nil {
				mu.Lock()
				if first == nil {
					first = &StepError{Step: s.Name, Err: err}
				}
				mu.Unlock()
				cancel()
				return
			}
			close(done[s.Name])
		})
	}
	wg.Wait()
	if first == nil {
		return ctx.Err()
	}
	return first
}

func awaitNeeds(ctx context.Context, s Step, done map[string]chan struct{}) bool {
	for _, need := range s.Needs {
		ch, ok := done[need]
		if !ok {
			panic(fmt.Sprintf("step %s needs %s, which is not in the list", s.Name, need))
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}

func (s Step) do(ctx context.Context, index, total int, progress Progress) error {
	progress.Start(s.Name, index, total)
	start := time.Now()
	detail, err := s.Run(ctx)
	progress.Done(s.Name, index, total, detail, time.Since(start), err)
	return err
}

// both runs functions side by side and returns all their errors.
func both(fns ...func() error) error {
	errs := make([]error, len(fns))
	var wg sync.WaitGroup
	for i, fn := range fns {
		wg.Go(func() { errs[i] = fn() })
	}
	wg.Wait()
	return errors.Join(errs...)
}
