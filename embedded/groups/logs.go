package groups

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"frankenetes.dev/embedded/arm"
)

// logLimit is how much of a container's log can be had, in bytes.
const logLimit = 4 << 20

// logs answers with what a container has written, both streams as one.
func (s *Service) logs(_ context.Context, r *arm.Request) (*arm.Response, error) {
	g, err := s.lookup(r)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	uid, state, spec := g.record.UID, g.snapshot(), g.record.Group
	g.mu.Unlock()
	container, ok := containerOf(&spec, r.Var("c"))
	if !ok {
		return nil, containerNotFound(r)
	}
	tail := -1
	if value := r.URL.Query().Get("tail"); value != "" {
		if tail, err = strconv.Atoi(value); err != nil || tail < 0 {
			return nil, invalid("InvalidTail", "The value '%s' of 'tail' is not a number of lines.", value)
		}
	}
	timestamps, _ := strconv.ParseBool(r.URL.Query().Get("timestamps"))
	text, err := s.engine.readLog(uid, container, state.Containers[container].Attempt, tail, timestamps)
	if err != nil {
		return nil, err
	}
	return &arm.Response{Status: http.StatusOK, Body: map[string]string{"content": text}}, nil
}

func containerNotFound(r *arm.Request) error {
	return &arm.Error{Status: http.StatusNotFound, Code: "ContainerNotFound",
		Message: fmt.Sprintf("The container '%s' in container group '%s' was not found.", r.Var("c"), r.Var("cg"))}
}

// readLog returns the latest lines, all there are if tail is negative, of a run's log.
func (e *engine) readLog(uid, container string, attempt uint32, tail int, timestamps bool) (string, error) {
	path := filepath.Join(e.logDir(uid), logName(container, attempt))
	var lines []string
	for _, p := range []string{path + rotated, path} {
		more, err := readLines(p, timestamps)
		if err != nil {
			return "", err
		}
		lines = append(lines, more...)
	}
	if tail >= 0 && len(lines) > tail {
		lines = lines[len(lines)-tail:]
	}
	text := strings.Join(lines, "")
	if len(text) > logLimit {
		text = text[len(text)-logLimit:]
		text = text[strings.IndexByte(text, '\n')+1:]
	}
	return text, nil
}

// readLines returns the last lines of a log file, or none of one that is not there.
func readLines(path string, timestamps bool) ([]string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > 2*logLimit {
		_, _ = f.Seek(-2*logLimit, io.SeekEnd) // the runtime's own words take room too
	}
	return parseLog(f, timestamps), nil
}

// parseLog reads the CRI's log format, "time stream tag text", where the tag P
// marks a part of a line that the next entry of the stream goes on with.
func parseLog(r io.Reader, timestamps bool) []string {
	var lines []string
	parts := map[string]*strings.Builder{}
	in := bufio.NewReader(r)
	for {
		raw, err := in.ReadBytes('\n')
		fields := bytes.SplitN(bytes.TrimSuffix(raw, []byte("\n")), []byte(" "), 4)
		if len(fields) == 4 && len(fields[0]) > 10 { // else it is the rest of a line that was cut
			stream := string(fields[1])
			if parts[stream] == nil {
				parts[stream] = &strings.Builder{}
				if timestamps {
					parts[stream].Write(append(fields[0], ' '))
				}
			}
			parts[stream].Write(fields[3])
			if !bytes.HasPrefix(fields[2], []byte("P")) {
				lines = append(lines, strings.ToValidUTF8(parts[stream].String(), "\uFFFD")+"\n")
				delete(parts, stream)
			}
		}
		if err != nil {
			return lines
		}
	}
}

// removeLog removes the log of a run.
func (e *engine) removeLog(uid, container string, attempt uint32) error {
	path := filepath.Join(e.logDir(uid), logName(container, attempt))
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
