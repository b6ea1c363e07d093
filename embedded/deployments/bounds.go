package deployments

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// What a template may have at most, as on Azure: without bounds a few lines of
// it could come to more than this machine can hold.
const (
	maxParameters = 256
	maxVariables  = 256
	maxOutputs    = 64
	// maxResources counts copies, and is also the most that one may depend on.
	maxResources = 800
	// maxExpression is how many bytes an expression may have.
	maxExpression = 24576
	// maxValue is how many bytes a value may come to, and the resources of a
	// template once they are copied.
	maxValue = 4 << 20
	// maxNesting is how deep values may be in each other, variables included.
	maxNesting = 1000
	// maxName is how many bytes the name of a resource may have, or its type.
	maxName = 1024
)

// checkCounts refuses a template of too many parts.
func (t *template) checkCounts() error {
	for _, part := range []struct {
		name       string
		have, most int
	}{
		{"parameters", len(t.Parameters), maxParameters}, {"variables", len(t.Variables), maxVariables}, {"outputs", len(t.Outputs), maxOutputs},
	} {
		if part.have > part.most {
			return fmt.Errorf("the template has %d %s; the most is %d", part.have, part.name, part.most)
		}
	}
	return nil
}

// perValue is what a value costs beside its characters, in bytes.
const perValue = 8

// room returns what is left of a number of bytes when a value was written,
// which is less than nothing for one that is larger. It looks no further then:
// a value can hold another many times, and so be far larger than what it is in
// memory.
func room(v any, bytes int) int {
	bytes -= perValue
	switch v := v.(type) {
	case string:
		bytes -= len(v)
	case []any:
		for _, item := range v {
			if bytes < 0 {
				break
			}
			bytes = room(item, bytes)
		}
	case map[string]any:
		for key, item := range v {
			if bytes < 0 {
				break
			}
			bytes = room(item, bytes-len(key))
		}
	}
	return bytes
}

var errTooLarge = errors.New("it comes to more than 4 MiB")

// fit refuses a value that is too large.
func fit(v any) error {
	if room(v, maxValue) < 0 {
		return errTooLarge
	}
	return nil
}

// errFault is a panic: a fault of this program, not of a template.
var errFault = errors.New("panic")

// safely calls fn and turns its panic into an error: whatever a template says,
// it ends nothing but its deployment.
func safely(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v\n%s", errFault, p, debug.Stack())
		}
	}()
	return fn()
}
