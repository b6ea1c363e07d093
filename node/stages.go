package node

import (
	"fmt"
	"time"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"frankenetes.dev/node/runtime"
)

// measureStages returns a function that notes how long a stage of a pod's start
// took, and shows it on the kubelet's /metrics, which has what is in the
// registry of the process.
func measureStages() (func(runtime.Stage, time.Duration), error) {
	seconds := metrics.NewHistogramVec(&metrics.HistogramOpts{
		Name: "frankenetes_pod_start_stage_duration_seconds",
		Help: "How long the stages of pods' starts took. They follow each other: images (known), cloud (has accepted the group), " +
			"agent (has called from the group), kubelet (has begun with the first container), files (are in its volumes), " +
			"process (runs), ready (is the pod).",
		Buckets:        metrics.ExponentialBuckets(0.005, 2, 14),
		StabilityLevel: metrics.ALPHA,
	}, []string{"stage"})
	if err := legacyregistry.Register(seconds); err != nil {
		return nil, fmt.Errorf("register metric of the stages of pods' starts: %w", err)
	}
	return func(stage runtime.Stage, took time.Duration) {
		seconds.WithLabelValues(stage.String()).Observe(took.Seconds())
	}, nil
}
