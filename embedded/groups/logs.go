package groups

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"

	"frankenetes.dev/embedded/arm"
)

// logLimit is how much of the log of a container can be had, in bytes, while its
// group runs.
const logLimit = 4 << 20

// Once the group has ended there are only its last words, in bytes and in lines.
const (
	endedLogLimit = 16 << 10
	endedLogLines = 1000
)

// logs answers with what a container has written, both streams as one.
func (s *Service) logs(_ context.Context, r *arm.Request) (*arm.Response, error) {
	g, err := s.lookup(r)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	uid, state, spec, isStopped := g.record.UID, g.snapshot(), g.record.Group, g.record.Stopped
	g.mu.Unlock()
	container, ok := containerOf(&spec, r.Var("c"))
	if !ok {
		return nil, containerNotFound(r)
	}
	tail, timestamps, err := logOptions(r)
	if err != nil {
		return nil, err
	}
	p := state.Containers[container]
	if !p.Started && state.Provisioning != succeeded && state.Provisioning != failed {
		return nil, transitioning(spec.Name) // it had no chance to write anything
	}
	most := logLimit
	if now := groupState(&spec, state); isStopped || now == succeeded || now == failed {
		most, tail = endedLogLimit, min(tail, endedLogLines)
	}
	text, err := s.engine.readLog(uid, container, p.Attempt, tail, timestamps)
	if err != nil {
		return nil, err
	}
	return &arm.Response{Status: http.StatusOK, Body: map[string]string{"content": lastLines(text, most)}}, nil
}

// logOptions reads how many lines a request asks for, and whether with their times.
func logOptions(r *arm.Request) (tail int, timestamps bool, err error) {
	tail = math.MaxInt
	if value := r.Query("tail"); value != "" {
		if tail, err = strconv.Atoi(value); err != nil || tail < 0 {
			return 0, false, invalid("InvalidTail", "The value '%s' of 'tail' is not a number of lines.", value)
		}
	}
	if value := r.Query("timestamps"); value != "" {
		if timestamps, err = strconv.ParseBool(value); err != nil {
			return 0, false, invalid("InvalidTimestamps", "The value '%s' of 'timestamps' is neither 'true' nor 'false'.", value)
		}
	}
	return tail, timestamps, nil
}

func containerNotFound(r *arm.Request) error {
	return &arm.Error{Status: http.StatusNotFound, Code: "ContainerNotFound",
		Message: fmt.Sprintf("The container '%s' in container group '%s' was not found.", r.Var("c"), r.Var("cg"))}
}

// readLog returns the latest lines of a run's log, at most tail.
func (e *engine) readLog(uid, container string, attempt uint32, tail int, timestamps bool) (string, error) {
	path := e.logPath(uid, container, attempt)
	var files []io.Reader
	for _, p := range []string{path + rotated, path} {
		f, err := os.Open(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("open log: %w", err)
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.Size() > rotateSize {
			_, _ = f.Seek(-rotateSize, io.SeekEnd) // it is within an entry, which then is none
		}
		files = append(files, f)
	}
	lines := parseLog(io.MultiReader(files...), timestamps)
	return strings.Join(lines[max(0, len(lines)-tail):], ""), nil
}

// lastLines returns the lines at the end of a text that fit into a number of
// bytes, or, where not even one does, as much of it as does.
func lastLines(text string, most int) string {
	if len(text) <= most {
		return text
	}
	cut := text[len(text)-most-1:]
	if end := strings.IndexByte(cut, '\n'); end >= 0 && end < most {
		return cut[end+1:]
	}
	return strings.ToValidUTF8(cut[1:], "") // a character may have been cut as well
}

// removeLog removes the log of a run.
func (e *engine) removeLog(uid, container string, attempt uint32) error {
	path := e.logPath(uid, container, attempt)
	for _, p := range []string{path, path + rotated} {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove log: %w", err)
		}
	}
	return nil
}

// removeLogs removes all logs of a deployment.
func (e *engine) removeLogs(uid string) error {
	if err := os.RemoveAll(e.logDir(uid)); err != nil {
		return fmt.Errorf("remove logs: %w", err)
	}
	return nil
}
