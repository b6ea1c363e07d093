package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"frankenetes.dev/cluster/hours"
	"frankenetes.dev/fault"
)

// CheckHours tells whether a cluster can have such hours in this cloud: it is
// the local cloud that keeps them.
func CheckHours(h hours.Hours, local bool) error {
	if err := h.Check(); err != nil {
		return fault.New(fault.Usage, "use times such as --pause-at 22:00 --resume-at 07:30", "%w", err)
	}
	if h != (hours.Hours{}) && !local {
		return fault.New(fault.Usage, "--pause-after works everywhere", "only the local cloud pauses and resumes clusters at times of the day")
	}
	return nil
}

// Due returns what the clusters' hours say is to be done now, by name, when that
// was last asked at an earlier time. Clusters whose record cannot be read do not
// keep others from theirs.
func (o *Operator) Due(ctx context.Context, earlier, now time.Time) (map[string]hours.Action, error) {
	list, err := o.List(ctx)
	if err != nil {
		return nil, err
	}
	due := map[string]hours.Action{}
	var errs []error
	for _, l := range list {
		record, _, err := load(ctx, o.cloud, l.Name)
		if fault.KindOf(err) == fault.NotFound {
			continue // it is being made, or removed
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("read hours of cluster %s: %w", l.Name, err))
			continue
		}
		if action := record.Spec.Hours.Due(earlier, now); action != hours.Nothing {
			due[l.Name] = action
		}
	}
	return due, errors.Join(errs...)
}
