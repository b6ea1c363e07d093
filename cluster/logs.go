package cluster

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"frankenetes.dev/cloud"
	"frankenetes.dev/fault"
)

// Logs returns the last lines of a component's output; all that the cloud has
// when tail is 0.
func (o *Operator) Logs(ctx context.Context, name, component string, tail int32) (string, error) {
	if !slices.Contains(Components(), component) && !isNode(component) {
		return "", fault.New(fault.Usage, "components are "+strings.Join(Components(), ", ")+", and virtual-kubelet-2 and so on where there are more nodes",
			"there is no component %q", component)
	}
	s, err := o.open(ctx, name)
	if err != nil {
		return "", err
	}
	if all := s.record.Spec.components(); !slices.Contains(all, component) {
		return "", fault.New(fault.NotFound, "its components are "+strings.Join(all, ", "), "cluster %s has no component %s", name, component)
	}
	text, err := o.cloud.Logs(ctx, name, component, component, tail)
	if cloud.IsNotFound(err) {
		return "", fault.New(fault.NotFound, "a paused cluster has no logs: `frankenetes resume "+name+"` starts it",
			"component %s of cluster %s has no container group", component, name)
	}
	return text, err
}

// followEvery is the pause between two looks at a log: the cloud's API has no
// stream of one, and a cloud far away limits how often it may be asked.
const followEvery = time.Second

// Follow writes a component's output to w as it comes, beginning with the last
// lines (all that the cloud has when tail is 0). It ends without an error when
// the component's container group is gone, as it is after a pause.
func (o *Operator) Follow(ctx context.Context, name, component string, tail int32, w io.Writer) error {
	// All of it, whatever tail says: by it the next look is compared.
	seen, err := o.Logs(ctx, name, component, 0)
	if err != nil && !notYet(err) {
		return err
	}
	fresh := seen
	if tail > 0 && seen != "" {
		fresh = strings.Join(lastLines(seen, int(tail)), "\n") + "\n"
	}
	for {
		if _, err := io.WriteString(w, fresh); err != nil {
			return err
		}
		select {
		case <-time.After(followEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
		now, err := o.cloud.Logs(ctx, name, component, component, 0)
		if cloud.IsNotFound(err) {
			return nil
		}
		if err != nil && !notYet(err) {
			return err
		}
		fresh, seen = added(seen, now), now
	}
}

// notYet reports whether there is no log because the component is starting.
func notYet(err error) bool { return cloud.Code(err) == "ContainerGroupTransitioning" }

// anchorSize is how much of a log's end finds its place again, in bytes.
const anchorSize = 4 << 10

// added returns what a log has gained since it was seen. A cloud forgets the
// beginning of a long log; of one that has begun anew, all is new.
func added(seen, now string) string {
	if rest, ok := strings.CutPrefix(now, seen); ok {
		return rest
	}
	anchor := seen[max(0, len(seen)-anchorSize):]
	if i := strings.LastIndex(now, anchor); i >= 0 {
		return now[i+len(anchor):]
	}
	return now
}
