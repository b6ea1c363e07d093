package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
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

// traces finds the tag by the cloud's bridge; the cloud must run.
func (m *machine) traces() traces {
	m.t.Helper()
	for _, link := range links(m.t) {
		tag, ours := strings.CutPrefix(link.Attrs().Name, "fk")
		if !ours {
			continue
		}
		if _, err := os.Stat("/run/frankenetes/" + tag); err == nil && mentions("/run/frankenetes/"+tag, m.home) {
			return traces{tag: tag}
		}
	}
	m.t.Fatal("the cloud's bridge is not there")
	return traces{}
}

// mentions tells whether a file directly below dir contains text.
func mentions(dir, text string) bool {
	found := false
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		data, _ := os.ReadFile(path)
		found = found || bytes.Contains(data, []byte(text))
		return nil
	})
	return found
}

// groups lists what is left of container groups: processes, cgroups, network
// namespaces, mounts and bridge ports.
func (tr traces) groups(t *testing.T, home string) []string {
	t.Helper()
	var left []string
	left = append(left, tr.processes(t)...)
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
