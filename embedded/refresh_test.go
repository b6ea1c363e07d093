package embedded

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
)

// layouts is an image store with only the part that takes layouts.
type layouts struct {
	imageStore
	take func(context.Context, string) error
}

func (l layouts) Import(ctx context.Context, layout string) error { return l.take(ctx, layout) }

// serveTo answers on the socket of a new cloud as its daemon does.
func serveTo(t *testing.T, take func(context.Context, string) error) (Options, *statusServer) {
	t.Helper()
	o, err := Options{Home: t.TempDir(), Images: "/bin/new images&"}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	o.runtimeDir = t.TempDir()
	if err := os.MkdirAll(o.state(), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := serveStatus(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	s.set(answers(nil, func(mux *http.ServeMux) { serveImages(mux, layouts{take: take}, nil) }))
	return o, s
}

func TestARunningDaemonTakesTheImagesOfWhoStartsIt(t *testing.T) {
	var took string
	broken := error(nil)
	o, s := serveTo(t, func(_ context.Context, layout string) error {
		took = layout
		return broken
	})
	if err := refresh(t.Context(), o); err != nil || took != o.Images {
		t.Errorf("it took %q: %v", took, err)
	}
	broken = errors.New("the disk is full")
	if err := refresh(t.Context(), o); err == nil || !strings.HasSuffix(err.Error(), broken.Error()) {
		t.Errorf("want its own words, got %v", err)
	}
	s.set(nil)
	if err := refresh(t.Context(), o); !errors.Is(err, errStopping) {
		t.Errorf("while it stops: %v", err)
	}
}

func TestADaemonThatStopsTakesNoMoreImages(t *testing.T) {
	importing, ended := make(chan struct{}), make(chan struct{})
	o, s := serveTo(t, func(ctx context.Context, _ string) error {
		close(importing)
		<-ctx.Done()
		close(ended)
		return ctx.Err()
	})
	answer := make(chan error, 1)
	go func() { answer <- refresh(t.Context(), o) }()
	<-importing
	s.set(nil)
	select {
	case <-ended:
	default:
		t.Error("the daemon goes on stopping while images are imported")
	}
	if err := <-answer; err == nil {
		t.Error("who asked was told that all is well")
	}
}
