package machine

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// KillAll ends everything of the cloud that runs, at one moment: the daemon,
// containerd, its shims and every container. Nobody is left to clean up.
func (m *Machine) KillAll() {
	m.T.Helper()
	tr := TracesOf(m.Home)
	// The data directory is on the command lines of daemon and containerd.
	all := slices.Concat(processesWith(m.T, "cmdline", m.Home), tr.Shims(m.T), tr.members(m.T))
	for _, pid := range all { // so that none sees another one end
		_ = unix.Kill(pid, unix.SIGSTOP)
	}
	for _, pid := range all {
		if err := Kill(pid); err != nil {
			m.T.Fatal(err)
		}
	}
	for _, pid := range tr.members(m.T) { // forked meanwhile
		if err := Kill(pid); err != nil {
			m.T.Fatal(err)
		}
	}
}

// LosePower leaves the machine as a host is that has lost power and has come
// back: nothing of the cloud runs, and what is only in memory is gone. Only
// what has the cloud's name is touched.
func (m *Machine) LosePower() {
	m.T.Helper()
	tr := TracesOf(m.Home)
	m.KillAll()
	errs := []error{
		tr.unmountAll(m),
		os.RemoveAll(filepath.Join("/run/frankenetes", tr.tag)),
		tr.removeNetwork(m),
		tr.removeCgroups(),
	}
	if err := errors.Join(errs...); err != nil {
		m.T.Fatalf("lose power: %v", err)
	}
}

// unmountAll unmounts what is mounted below the directories of the cloud,
// the latest first.
func (tr Traces) unmountAll(m *Machine) error {
	var errs []error
	for _, line := range slices.Backward(mounts(m.T)) {
		at := strings.Fields(line)[4]
		if strings.HasPrefix(at, "/run/frankenetes/"+tr.tag+"/") || strings.HasPrefix(at, tr.home+"/") {
			if err := unix.Unmount(at, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// removeNetwork removes the cloud's interfaces, the route that claims its
// addresses, and its firewall.
func (tr Traces) removeNetwork(m *Machine) error {
	var errs []error
	for _, claim := range tr.claims(m.T) {
		errs = append(errs, netlink.RouteDel(&claim))
	}
	for _, link := range interfaces(m.T) { // a group's goes with its namespace, in a moment
		if strings.HasPrefix(link.Attrs().Name, "fk"+tr.tag) {
			if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
				errs = append(errs, err)
			}
		}
	}
	conn, err := nftables.New()
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, name := range tr.tables(m.T, conn) {
		conn.DelTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: name})
	}
	return errors.Join(append(errs, conn.Flush())...)
}

// removeCgroups removes the cloud's cgroups; processes that were killed may
// still be on their way out.
func (tr Traces) removeCgroups() error {
	var err error
	for until := time.Now().Add(Patience); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		err = nil
		for _, root := range tr.cgroups() {
			err = errors.Join(err, removeTree(root))
		}
		if err == nil {
			return nil
		}
	}
	return err
}

// removeTree removes directories, deepest first; the files in them are the
// kernel's.
func removeTree(root string) error {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	for _, dir := range slices.Backward(dirs) {
		err = errors.Join(err, os.Remove(dir))
	}
	return err
}
