// Package fault gives errors a kind and a hint. It exists so that a failure
// deep in a step can say, once, what the user should do about it, and so that
// scripts can tell kinds apart by the exit code.
package fault

import (
	"errors"
	"fmt"
)

// Kind is what sort of failure an error is; it decides the exit code.
type Kind int

// The kinds, with the exit code of each. They are documented in docs/cli.md.
const (
	Failed      Kind = 1 // anything not told apart below
	Usage       Kind = 2 // the command line is wrong
	NotFound    Kind = 3 // the cluster, component or file does not exist
	Conflict    Kind = 4 // it exists already, or a port or lock is taken
	Unavailable Kind = 5 // the cloud or a component does not answer or work
	Permission  Kind = 6 // not root, or the cloud refuses the credential
	Timeout     Kind = 7 // it took longer than --timeout
)

// Interrupted is the exit code after Ctrl-C or SIGTERM, as shells have it.
const Interrupted = 130

// Error is an error with a kind and, where one is known, a hint.
type Error struct {
	Kind Kind
	Err  error
	// Hint is one sentence that says what to do.
	Hint string
	// Log are the last lines of the component that failed.
	Log []string
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the error without kind and hint.
func (e *Error) Unwrap() error { return e.Err }

// New makes an error of a kind with a hint. The format may use %w.
func New(kind Kind, hint, format string, args ...any) error {
	return &Error{Kind: kind, Err: fmt.Errorf(format, args...), Hint: hint}
}

// KindOf returns an error's kind; Failed when it has none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Failed
}

// HintOf returns an error's hint; empty when it has none.
func HintOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}

// LogOf returns the log lines that came with an error.
func LogOf(err error) []string {
	var e *Error
	if errors.As(err, &e) {
		return e.Log
	}
	return nil
}
