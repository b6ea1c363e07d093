package limits

import "time"

// Window remembers when requests were let through. The zero Window has let
// none through. It is not safe for concurrent use.
type Window struct{ times []time.Time }

// Wait returns how long a request that comes now must wait for the rates to
// have room for it; zero means that it may pass.
func (w *Window) Wait(rates []Rate, now time.Time) time.Duration {
	var longest time.Duration
	for _, r := range rates {
		// The request has room when the one that is Count before it has left.
		if i := len(w.times) - r.Count; i >= 0 {
			longest = max(longest, w.times[i].Add(r.Per).Sub(now))
		}
	}
	return longest
}

// Note lets a request through, and forgets those that no rate counts any more.
func (w *Window) Note(rates []Rate, now time.Time) {
	var span time.Duration
	for _, r := range rates {
		span = max(span, r.Per)
	}
	for len(w.times) > 0 && now.Sub(w.times[0]) >= span {
		w.times = w.times[1:]
	}
	w.times = append(w.times, now)
}
