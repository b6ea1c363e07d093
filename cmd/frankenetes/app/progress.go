package app

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress shows the steps of a verb; end waits until all is written.
type progress interface {
	Start(name string, index, total int)
	Done(name string, index, total int, detail string, took time.Duration, err error)
	end()
}

// newProgress chooses how steps are shown: JSON lines on standard output, a
// live list on a terminal, plain lines elsewhere.
func (o *options) newProgress() progress {
	if o.output == "json" {
		return &jsonProgress{out: json.NewEncoder(o.streams.Out)}
	}
	if f, ok := o.streams.Err.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		return newLive(f)
	}
	return &plainProgress{out: o.streams.Err}
}

// line is one step as text, without its mark.
func line(name, detail string, took time.Duration) string {
	return fmt.Sprintf("%-14s %-58s %5.1fs", name, detail, took.Seconds())
}

// noProgress shows nothing, for who only wants to know when it is over.
type noProgress struct{}

func (noProgress) Start(string, int, int)                              {}
func (noProgress) Done(string, int, int, string, time.Duration, error) {}

// plainProgress writes a line when a step is done.
type plainProgress struct {
	mu  sync.Mutex
	out io.Writer
}

func (*plainProgress) Start(string, int, int) {}

func (p *plainProgress) Done(name string, _, _ int, detail string, took time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	mark := "✓"
	if err != nil {
		// The error itself is printed once, at the end.
		mark, detail = "✗", "failed"
	}
	fmt.Fprintf(p.out, " %s %s\n", mark, line(name, detail, took))
}

func (*plainProgress) end() {}

// jsonProgress writes an object per event.
type jsonProgress struct {
	mu  sync.Mutex
	out *json.Encoder
}

type jsonStep struct {
	Step   string `json:"step"`
	Index  int    `json:"index"`
	Total  int    `json:"total"`
	State  string `json:"state"`
	Detail string `json:"detail,omitempty"`
	Error  string `json:"error,omitempty"`
	Millis int64  `json:"ms"`
}

func (p *jsonProgress) Start(name string, index, total int) {
	p.write(jsonStep{Step: name, Index: index, Total: total, State: "running"})
}

func (p *jsonProgress) Done(name string, index, total int, detail string, took time.Duration, err error) {
	s := jsonStep{Step: name, Index: index, Total: total, State: "done", Detail: detail, Millis: took.Milliseconds()}
	if err != nil {
		s.State, s.Detail, s.Error = "failed", "", err.Error()
	}
	p.write(s)
}

func (p *jsonProgress) write(s jsonStep) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.out.Encode(s)
}

func (*jsonProgress) end() {}

// live redraws the list of running steps below those that are done.
type live struct {
	mu      sync.Mutex
	out     *os.File
	running []liveStep
	// drawn is how many lines of running steps are on the screen.
	drawn, frame int
	stop         chan struct{}
	stopped      sync.WaitGroup
}

type liveStep struct {
	name  string
	start time.Time
}

const (
	frames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
	green  = "\x1b[32m✓\x1b[0m"
	red    = "\x1b[31m✗\x1b[0m"
)

func newLive(out *os.File) *live {
	l := &live{out: out, stop: make(chan struct{})}
	l.stopped.Go(l.spin)
	return l
}

func (l *live) spin() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.mu.Lock()
			l.frame++
			l.draw("")
			l.mu.Unlock()
		case <-l.stop:
			return
		}
	}
}

func (l *live) Start(name string, _, _ int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = append(l.running, liveStep{name: name, start: time.Now()})
	l.draw("")
}

func (l *live) Done(name string, _, _ int, detail string, took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = slices.DeleteFunc(l.running, func(s liveStep) bool { return s.name == name })
	mark := green
	if err != nil {
		mark, detail = red, "failed"
	}
	l.draw(fmt.Sprintf(" %s %s\n", mark, l.fit(line(name, detail, took))))
}

// draw replaces the running steps on the screen; above goes before them for good.
func (l *live) draw(above string) {
	var b strings.Builder
	if l.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", l.drawn)
	}
	b.WriteString("\r\x1b[J")
	b.WriteString(above)
	spinner := []rune(frames)
	for _, s := range l.running {
		fmt.Fprintf(&b, " %c %s\n", spinner[l.frame%len(spinner)], l.fit(line(s.name, "", time.Since(s.start))))
	}
	l.drawn = len(l.running)
	_, _ = io.WriteString(l.out, b.String())
}

// fit keeps a line on one row, or redrawing would count wrong.
func (l *live) fit(s string) string {
	width, _, err := term.GetSize(int(l.out.Fd()))
	if r := []rune(s); err == nil && width > 4 && len(r) > width-4 {
		return string(r[:width-4])
	}
	return s
}

func (l *live) end() {
	close(l.stop)
	l.stopped.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = nil
	l.draw("")
}
