package process

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lastSignal is the highest number that Linux has.
const lastSignal = 64

// ParseSignal reads "SIGTERM", "TERM", "15" or, for real-time signals,
// "RTMIN+3" and "RTMAX-3".
func ParseSignal(text string) (unix.Signal, error) {
	name := strings.TrimPrefix(strings.ToUpper(text), "SIG")
	if n, err := strconv.Atoi(name); err == nil && n > 0 && n <= lastSignal {
		return unix.Signal(n), nil
	}
	if s := unix.SignalNum("SIG" + name); s != 0 {
		return s, nil
	}
	const first = 34 // what C programs call SIGRTMIN
	for prefix, base := range map[string]int{"RTMIN": first, "RTMAX": lastSignal} {
		offset, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		n := 0
		if offset != "" {
			var err error
			if n, err = strconv.Atoi(offset); err != nil {
				continue
			}
		}
		if n += base; n >= first && n <= lastSignal {
			return unix.Signal(n), nil
		}
	}
	return 0, fmt.Errorf("%q is no signal", text)
}
