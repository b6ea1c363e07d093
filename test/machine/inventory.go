package machine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/snapshots"
)

// groupLabel is that by which the runtime knows the group of a container: the
// key of its record.
const groupLabel = "frankenetes.dev/group"

// Expect compares all that is there for container groups with what the groups
// that run must have, and nothing else: a sandbox each, with its shim, network
// namespace, interface, cgroup, lease and snapshot. names are those of the
// groups that run. It returns what is too much or too little.
func (tr Traces) Expect(t *testing.T, names ...string) []string {
	t.Helper()
	ctx := t.Context()
	c, err := client.New(filepath.Join("/run/frankenetes", tr.tag, "c", "containerd.sock"), client.WithDefaultNamespace("k8s.io"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	containers, err := c.Containers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	sandboxes := map[string]string{} // the group of each
	var wrong []string
	for _, each := range containers {
		labels, err := each.Labels(ctx)
		if err != nil {
			wrong = append(wrong, err.Error()) // it has just gone
			continue
		}
		id, key := each.ID(), labels[groupLabel]
		known[id] = true
		name := key[strings.LastIndexByte(key, '/')+1:]
		if !slices.Contains(names, name) {
			wrong = append(wrong, fmt.Sprintf("container %s of group %q", id, name))
		}
		if labels["io.cri-containerd.kind"] == "sandbox" {
			sandboxes[id] = name
		}
	}
	wrong = append(wrong, perGroup(sandboxes, names)...)
	wrong = append(wrong, leases(ctx, t, c, sandboxes)...)
	wrong = append(wrong, activeSnapshots(ctx, t, c, known)...)
	wrong = append(wrong, tr.strayShims(t, sandboxes)...)
	return append(wrong, tr.counts(t, len(names))...)
}

// perGroup expects one sandbox for every group.
func perGroup(sandboxes map[string]string, names []string) []string {
	count := map[string]int{}
	for _, name := range sandboxes {
		count[name]++
	}
	var wrong []string
	for _, name := range names {
		if count[name] != 1 {
			wrong = append(wrong, fmt.Sprintf("%d sandboxes of group %s", count[name], name))
		}
	}
	return wrong
}

// leases expects those of sandboxes alone.
func leases(ctx context.Context, t *testing.T, c *client.Client, sandboxes map[string]string) []string {
	t.Helper()
	all, err := c.LeasesService().List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var wrong []string
	for _, l := range all {
		if _, ok := sandboxes[l.ID]; !ok {
			wrong = append(wrong, fmt.Sprintf("lease %s %v of %s", l.ID, l.Labels, l.CreatedAt))
		}
	}
	return wrong
}

// strayShims expects one for every sandbox.
func (tr Traces) strayShims(t *testing.T, sandboxes map[string]string) []string {
	t.Helper()
	var wrong []string
	shims := tr.Shims(t)
	for _, pid := range shims {
		words, _ := os.ReadFile(procFile(pid, "cmdline"))
		line := strings.Split(strings.TrimSuffix(string(words), "\x00"), "\x00")
		if id := slices.Index(line, "-id"); id < 0 || id+1 == len(line) || sandboxes[line[id+1]] == "" {
			wrong = append(wrong, fmt.Sprintf("shim %d: %s", pid, strings.Join(line, " ")))
		}
	}
	if len(shims) != len(sandboxes) {
		wrong = append(wrong, fmt.Sprintf("%d shims for %d sandboxes", len(shims), len(sandboxes)))
	}
	return wrong
}

// activeSnapshots expects those of containers alone; the others are layers of
// images.
func activeSnapshots(ctx context.Context, t *testing.T, c *client.Client, known map[string]bool) []string {
	t.Helper()
	var wrong []string
	err := c.SnapshotService("overlayfs").Walk(ctx, func(_ context.Context, info snapshots.Info) error {
		if info.Kind != snapshots.KindCommitted && !known[info.Name] {
			wrong = append(wrong, fmt.Sprintf("snapshot %s (%s)", info.Name, info.Kind))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return wrong
}

// counts compares what has no group's name on it with how many groups run.
func (tr Traces) counts(t *testing.T, groups int) []string {
	t.Helper()
	namespaces := 0
	for _, m := range mounts(t) {
		if at := strings.Fields(m)[4]; strings.HasPrefix(at, "/run/frankenetes/"+tr.tag+"/") && strings.Contains(at, "/netns/") {
			namespaces++
		}
	}
	controlGroups := 0
	for _, root := range tr.cgroups() {
		dirs, _ := filepath.Glob(root + "/*/cgroup.procs")
		controlGroups = max(controlGroups, len(dirs))
	}
	var wrong []string
	for what, count := range map[string]int{
		"network namespaces": namespaces, "interfaces": len(tr.interfaces(t)), "cgroups": controlGroups,
	} {
		if count != groups {
			wrong = append(wrong, fmt.Sprintf("%d %s for %d groups", count, what, groups))
		}
	}
	if n := len(tr.Containerd(t)); n != 1 {
		wrong = append(wrong, fmt.Sprintf("%d processes of containerd", n))
	}
	return wrong
}

// Runs reports whether the runtime has a process of a container, or has yet to
// take note that it has ended.
func (tr Traces) Runs(container string) bool {
	_, err := os.Stat(filepath.Join("/run/frankenetes", tr.tag, "c/io.containerd.runtime.v2.task/k8s.io", container))
	return err == nil
}
