package runtime

import "time"

// Stage is a part of a pod's start. Each begins where the one before it ends,
// so that they add up to the time from when the node sees a pod to when the
// cluster knows it to be ready.
type Stage int

const (
	// StageImages lasts until the pod's images are known and a group is asked
	// for; StageCloud until the cloud has accepted it; StageAgent until the
	// group's pod agent has called, and the pod has an address.
	StageImages Stage = iota
	StageCloud
	StageAgent
	// StageKubelet lasts until the kubelet starts the pod's first container:
	// it has admitted the pod and waited for its volumes meanwhile.
	StageKubelet
	// StageFiles lasts until that container's volumes have their content,
	// StageProcess until its agent, which may have to call first, has started
	// the program.
	StageFiles
	StageProcess
	// StageReady lasts until the pod is ready: the other containers start,
	// probes are asked, and the API server is told.
	StageReady
	stages
)

// String returns the stage's name in metrics.
func (s Stage) String() string {
	return [stages]string{"images", "cloud", "agent", "kubelet", "files", "process", "ready"}[s]
}

// progress is how far a pod has come on its way to being ready. Its zero value
// is that of a pod whose start is not followed: one that was adopted.
type progress struct {
	// next is the stage that it is in, since when.
	next  Stage
	since time.Time
}

// reach notes that a sandbox has come to the end of a stage. What happens again,
// as with every further container, counts only the first time.
func (r *Runtime) reach(sb *sandbox, end Stage) {
	now := time.Now()
	sb.mu.Lock()
	took := now.Sub(sb.progress.since)
	news := !sb.progress.since.IsZero() && sb.progress.next == end
	if news {
		sb.progress = progress{next: end + 1, since: now}
	}
	sb.mu.Unlock()
	if news && r.opts.OnStage != nil {
		r.opts.OnStage(end, took)
	}
}

// Ready notes that the cluster knows a pod to be ready.
func (r *Runtime) Ready(uid string) {
	for _, sb := range r.allSandboxes() {
		if sb.uid == uid {
			r.reach(sb, StageReady)
		}
	}
}
