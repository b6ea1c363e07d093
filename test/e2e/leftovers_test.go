package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

// traces are what container groups leave on a machine while they run. A cloud
// marks all that is its own with its tag: eight hex digits.
type traces struct {
	tag string
}

// traces asks the cloud, which must run, for its tag.
func (m *machine) traces() traces {
	m.t.Helper()
	var status struct{ ID string }
	if err := json.Unmarshal([]byte(m.run("cloud", "status", "-o", "json")), &status); err != nil || len(status.ID) != 8 {
		m.t.Fatalf("the cloud's id is %q, %v", status.ID, err)
	}
	return traces{tag: status.ID}
}

// groups lists what is left of container groups: processes, cgroups, network
// namespaces, mounts and bridge ports.
func (tr traces) groups(t *testing.T, home string) []string {
	t.Helper()
	var left []string
	left = append(left, tr.processes(t)...)
	left = append(left, tr.containers()...)
	left = append(left, tr.ports(t)...)
	for _, m := range mounts(t) {
		if strings.Contains(m, tr.tag) || strings.Contains(m, home) {
			left = append(left, "mount "+m)
		}
	}
	return left
}

// processes finds those inside the cloud's cgroups.
func (tr traces) processes(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(data, []byte("/frankenetes-"+tr.tag)) {
			continue
		}
		name, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "comm"))
		left = append(left, fmt.Sprintf("process %s of %s", strings.TrimSpace(string(name)), path))
	}
	return left
}

// containers finds what the container runtime still knows, and addresses that
// are still taken.
func (tr traces) containers() []string {
	var left []string
	for _, pattern := range []string{
		"c/io.containerd.runtime.v2.task/k8s.io/*",
		"c/io.containerd.grpc.v1.cri/sandboxes/*",
		"c/io.containerd.grpc.v1.cri/containers/*",
		"leases/*/10.*",
	} {
		found, _ := filepath.Glob("/run/frankenetes/" + tr.tag + "/" + pattern)
		left = append(left, found...)
	}
	return left
}

// ports finds what is plugged into the cloud's bridge.
func (tr traces) ports(t *testing.T) []string {
	t.Helper()
	all := links(t)
	bridge := -1
	for _, l := range all {
		if l.Attrs().Name == "fk"+tr.tag {
			bridge = l.Attrs().Index
		}
	}
	var left []string
	for _, l := range all {
		if bridge >= 0 && l.Attrs().MasterIndex == bridge {
			left = append(left, "bridge port "+l.Attrs().Name)
		}
	}
	return left
}

// cloud lists what is left of the cloud itself, after it has stopped.
func (tr traces) cloud(t *testing.T, home string) []string {
	t.Helper()
	left := tr.groups(t, home)
	for _, l := range links(t) {
		if l.Attrs().Name == "fk"+tr.tag {
			left = append(left, "bridge "+l.Attrs().Name)
		}
	}
	if _, err := os.Stat("/run/frankenetes/" + tr.tag); err == nil {
		left = append(left, "directory /run/frankenetes/"+tr.tag)
	}
	conn, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	tables, err := conn.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		if strings.Contains(table.Name, tr.tag) {
			left = append(left, "nftables table "+table.Name)
		}
	}
	for _, pattern := range []string{"/sys/fs/cgroup/frankenetes-", "/sys/fs/cgroup/*/frankenetes-"} {
		dirs, _ := filepath.Glob(pattern + tr.tag)
		for _, dir := range dirs {
			left = append(left, "cgroup "+dir)
		}
	}
	return append(left, commands(t, home)...)
}

// commands finds processes that have the cloud's directory on their command line.
func commands(t *testing.T, home string) []string {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err == nil && bytes.Contains(data, []byte(home)) {
			left = append(left, "process "+strings.ReplaceAll(string(data), "\x00", " "))
		}
	}
	return left
}

func links(t *testing.T) []netlink.Link {
	t.Helper()
	all, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func mounts(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

func expectNothing(t *testing.T, when string, left []string) {
	t.Helper()
	if len(left) > 0 {
		t.Errorf("%s there is still:\n  %s", when, strings.Join(left, "\n  "))
	}
}
