package groups

import "time"

// The back-off of restarts and of image pulls is that of Kubernetes: the
// first restart is at once, then 10 s, doubling to 5 min, forgotten after a
// run of 10 min.
const (
	backOffFirst = 10 * time.Second
	backOffMost  = 5 * time.Minute
	backOffReset = 10 * time.Minute
)

// backOff counts failures.
type backOff struct{ next time.Duration }

// after returns how long to wait after a run of the given length.
func (b *backOff) after(run time.Duration) time.Duration {
	if run >= backOffReset {
		b.next = 0
	}
	wait := b.next
	b.next = min(max(b.next*2, backOffFirst), backOffMost)
	return wait
}

// restarts reports whether a container that ended is run again.
func restarts(policy string, exitCode int32) bool {
	switch policy {
	case always:
		return true
	case onFailure:
		return exitCode != 0
	default:
		return false
	}
}

// initPolicy is the policy that init containers have in a group with the
// given one: they are there to end.
func initPolicy(policy string) string {
	if policy == always {
		return onFailure
	}
	return policy
}
