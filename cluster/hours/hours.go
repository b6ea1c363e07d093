// Package hours says at which times of the day a cluster is paused and resumed.
package hours

import (
	"fmt"
	"time"
)

// Hours are times of the day, such as "22:00"; empty means never.
type Hours struct {
	PauseAt  string `json:"pauseAt,omitempty"`
	ResumeAt string `json:"resumeAt,omitempty"`
}

const form = "15:04"

// Check tells whether the times are ones.
func (h Hours) Check() error {
	for _, at := range []string{h.PauseAt, h.ResumeAt} {
		if _, err := time.Parse(form, at); at != "" && err != nil {
			return fmt.Errorf("%q is no time of the day", at)
		}
	}
	if h.PauseAt != "" && h.PauseAt == h.ResumeAt {
		return fmt.Errorf("a cluster cannot be paused and resumed at %s", h.PauseAt)
	}
	return nil
}

// Action is what is to be done to a cluster.
type Action string

// The actions.
const (
	Nothing Action = ""
	Pause   Action = "pause"
	Resume  Action = "resume"
)

// Due returns what is to be done at a moment when it was last asked at an
// earlier one: of several things the last. Both are of the place whose clock
// counts.
func (h Hours) Due(earlier, now time.Time) Action {
	pause, resume := last(h.PauseAt, now), last(h.ResumeAt, now)
	switch {
	case pause.After(resume) && pause.After(earlier):
		return Pause
	case resume.After(pause) && resume.After(earlier):
		return Resume
	}
	return Nothing
}

// last is when it was last that time of the day; zero if it never is.
func last(at string, now time.Time) time.Time {
	clock, err := time.Parse(form, at)
	if err != nil {
		return time.Time{}
	}
	t := time.Date(now.Year(), now.Month(), now.Day(), clock.Hour(), clock.Minute(), 0, 0, now.Location())
	if t.After(now) {
		t = time.Date(now.Year(), now.Month(), now.Day()-1, clock.Hour(), clock.Minute(), 0, 0, now.Location())
	}
	return t
}
