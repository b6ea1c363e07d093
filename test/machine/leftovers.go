package machine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"frankenetes.dev/embedded/network/links"
)

// Traces are what a cloud leaves on a machine while it runs. A cloud marks all
// that is its own with its tag: eight hexadecimal digits.
type Traces struct {
	tag, home string
}

// TracesOf returns the traces of the cloud of a data directory, which need not
// run: its tag is made from the directory's name.
func TracesOf(home string) Traces {
	sum := sha256.Sum256([]byte(home))
	return Traces{tag: hex.EncodeToString(sum[:4]), home: home}
}

// Traces asks the cloud, which must run, for its tag.
func (m *Machine) Traces() Traces {
	m.T.Helper()
	return Traces{tag: m.Status().ID, home: m.Home}
}

// Groups lists what is left of container groups: processes, cgroups, network
// namespaces, mounts and interfaces.
func (tr Traces) Groups(t *testing.T) []string {
	t.Helper()
	var left []string
	left = append(left, tr.processes(t)...)
	left = append(left, tr.bookkeeping()...)
	left = append(left, tr.interfaces(t)...)
	for _, m := range mounts(t) {
		if strings.Contains(m, tr.tag) || strings.Contains(m, tr.home) {
			left = append(left, "mount "+m)
		}
	}
	return left
}

// processes finds those inside the cloud's cgroups.
func (tr Traces) processes(t *testing.T) []string {
	t.Helper()
	var left []string
	for _, pid := range tr.members(t) {
		name, _ := os.ReadFile(procFile(pid, "comm"))
		left = append(left, fmt.Sprintf("process %s of %s", strings.TrimSpace(string(name)), procFile(pid, "cgroup")))
	}
	return left
}

// bookkeeping finds what the container runtime still knows.
func (tr Traces) bookkeeping() []string {
	var left []string
	for _, pattern := range []string{
		"c/io.containerd.runtime.v2.task/k8s.io/*",
		"c/io.containerd.grpc.v1.cri/sandboxes/*",
		"c/io.containerd.grpc.v1.cri/containers/*",
	} {
		found, _ := filepath.Glob("/run/frankenetes/" + tr.tag + "/" + pattern)
		left = append(left, found...)
	}
	return left
}

// interfaces finds the host's ends of the groups' interfaces and of virtual
// networks: all that is named like the gateway, and more.
func (tr Traces) interfaces(t *testing.T) []string {
	t.Helper()
	var left []string
	for _, l := range interfaces(t) {
		if name := l.Attrs().Name; strings.HasPrefix(name, "fk"+tr.tag) && name != "fk"+tr.tag {
			left = append(left, "interface "+name)
		}
	}
	return left
}

// Cloud lists what is left of the cloud itself, after it has stopped.
func (tr Traces) Cloud(t *testing.T) []string {
	t.Helper()
	left := tr.Groups(t)
	for _, l := range interfaces(t) {
		if l.Attrs().Name == "fk"+tr.tag {
			left = append(left, "gateway "+l.Attrs().Name)
		}
	}
	if _, err := os.Stat("/run/frankenetes/" + tr.tag); err == nil {
		left = append(left, "directory /run/frankenetes/"+tr.tag)
	}
	conn, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range tr.tables(t, conn) {
		left = append(left, "nftables table "+name)
	}
	for _, dir := range tr.cgroups() {
		left = append(left, "cgroup "+dir)
	}
	for _, route := range claims(t) {
		if !owned(t, route) {
			left = append(left, "route that claims addresses for nobody "+route.Dst.String())
		}
	}
	for _, pid := range append(processesWith(t, "cmdline", tr.home), tr.Shims(t)...) {
		words, _ := os.ReadFile(procFile(pid, "cmdline"))
		left = append(left, "process "+strings.ReplaceAll(string(words), "\x00", " "))
	}
	return left
}

// tables returns the names of the cloud's nftables tables.
func (tr Traces) tables(t *testing.T, conn *nftables.Conn) []string {
	t.Helper()
	tables, err := conn.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, table := range tables {
		if strings.Contains(table.Name, tr.tag) {
			names = append(names, table.Name)
		}
	}
	return names
}

// cgroups returns the cloud's own, in every hierarchy.
func (tr Traces) cgroups() []string {
	var all []string
	for _, pattern := range []string{"/sys/fs/cgroup/frankenetes-", "/sys/fs/cgroup/*/frankenetes-"} {
		dirs, _ := filepath.Glob(pattern + tr.tag)
		all = append(all, dirs...)
	}
	return all
}

func interfaces(t *testing.T) []netlink.Link {
	t.Helper()
	all, err := links.Whole(netlink.LinkList)
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

// ExpectNothing fails the test when something is left.
func ExpectNothing(t *testing.T, when string, left []string) {
	t.Helper()
	if len(left) > 0 {
		t.Errorf("%s there is still:\n  %s", when, strings.Join(left, "\n  "))
	}
}
