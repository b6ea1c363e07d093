package cloudtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"frankenetes.dev/cloud"
	"frankenetes.dev/test/machine"
)

// diskSize is room for the images and a little more.
const diskSize = "900m"

// TestDiskFull fills the disk that the cloud has its data on. Whoever asks is
// told, what runs goes on, and nothing that was acknowledged is lost.
func TestDiskFull(t *testing.T) {
	disk := newDisk(t)
	m := machine.New(t)
	m.Home = filepath.Join(disk.dir, "cloud")
	m.Env = append(m.Env, "FRANKENETES_HOME="+m.Home)
	m.Run("cloud", "start")
	c := &localCloud{Machine: m, conn: m.Connect()}
	if err := c.conn.PutResourceGroup(c.ctx(), resourceGroup, c.conn.Location, nil); err != nil {
		t.Fatal(err)
	}
	c.put("before", sleeper("main"))

	disk.fill(t)
	accepted, refused := c.putUntilRefused(60)
	t.Logf("on a full disk %d groups were accepted", len(accepted))
	if refused == "" {
		t.Error("a full disk was never noticed")
	}
	if state := stateOf(c.get("before")); state != "Running" {
		t.Errorf("the group that ran is %s", state)
	}

	disk.free(t)
	c.put("after", sleeper("main"))
	for _, name := range accepted { // those that had no room to start have now
		c.await(name, "running", runs)
	}
	m.Run("cloud", "stop")
	m.Run("cloud", "start")
	for _, name := range append(accepted, "before", "after") {
		c.await(name, "running after a start of the cloud", runs)
	}
	if g, err := c.conn.GetGroup(c.ctx(), resourceGroup, refused); err != nil || g != nil {
		t.Errorf("the group that was refused: %v, %v", g, err)
	}
}

func runs(g *cloud.Group) bool { return stateOf(g) == "Running" }

// putUntilRefused makes groups until there is no room for one more.
func (c *localCloud) putUntilRefused(most int) (accepted []string, refused string) {
	c.T.Helper()
	for i := range most {
		name := fmt.Sprintf("full-%d", i)
		_, err := c.conn.Groups.BeginCreateOrUpdate(c.ctx(), resourceGroup, name, c.group(sleeper("main")), nil)
		if err == nil {
			accepted = append(accepted, name)
			continue
		}
		c.refused(err, 507, "DiskFull")
		return accepted, name
	}
	return accepted, ""
}

// disk is a small file system of the test's own.
type disk struct{ dir string }

func newDisk(t *testing.T) *disk {
	t.Helper()
	d := &disk{t.TempDir()}
	if err := unix.Mount("tmpfs", d.dir, "tmpfs", 0, "mode=0755,size="+diskSize); err != nil {
		t.Fatalf("mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(d.dir, 0); err != nil {
			t.Errorf("unmount the small file system: %v", err)
		}
	})
	return d
}

func (d *disk) ballast() string { return filepath.Join(d.dir, "ballast") }

// fill leaves no block free.
func (d *disk) fill(t *testing.T) {
	t.Helper()
	f, err := os.Create(d.ballast())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 1 << 12} {
		for block := make([]byte, size); err == nil; {
			_, err = f.Write(block)
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
		err = nil
	}
}

func (d *disk) free(t *testing.T) {
	t.Helper()
	if err := os.Remove(d.ballast()); err != nil {
		t.Fatal(err)
	}
}
