package cloudtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"
	"golang.org/x/sys/unix"
)

// testNested does in a group what a runtime without root does. A proc of one's
// own is what the kernel refuses while files of the old one are hidden.
func (p *prison) testNested(c *localCloud) {
	out, _ := c.sh("cell", "one", "/tmp/breakout build")
	for _, r := range results(c.T, out) {
		if want := r.Name != "proc"; r.Out != want {
			c.T.Errorf("%s works: %v, want %v: %s", r.Name, r.Out, want, r.Said)
		}
	}
	if out, code := c.sh("cell", "one", "unshare -Ur id -u"); code != 0 || out != "0\n" {
		c.T.Errorf("unshare -Ur id: %d, %s", code, out)
	}
}

// testNoNested sees to it that without a user namespace around the group there
// are none inside: what the kernel grants there would be on the host.
func (p *prison) testNoNested(c *localCloud) {
	out, _ := c.sh("cell", "one", "/tmp/breakout build")
	for _, r := range results(c.T, out) {
		if r.Out {
			c.T.Errorf("%s works: %s", r.Name, r.Said)
		}
	}
}

// testOwners writes as two users of the group, and looks from outside.
func (p *prison) testOwners(c *localCloud) {
	script := "rm -rf /tools/o /scratch/o; mkdir /scratch/o /tools/o && touch /scratch/o/root /tools/o/root && " +
		"touch /scratch/o/user && chown 1000:1000 /scratch/o/user && stat -c %u /scratch/o/root /tools/o/root /scratch/o/user; cut -c1-22 /proc/self/uid_map"
	out, code := c.sh("cell", "one", script)
	if code != 0 || !strings.HasPrefix(out, "0\n0\n1000\n") {
		c.T.Errorf("owners in the group: %d, %s", code, out)
	}
	files, err := filepath.Glob(filepath.Join(p.Home, "volumes", "*", "scratch", "o", "*"))
	if err != nil || len(files) != 2 {
		c.T.Fatalf("files of the volume: %v, %v", files, err)
	}
	for _, file := range files {
		var s unix.Stat_t
		if err := unix.Stat(file, &s); err != nil {
			c.T.Fatal(err)
		}
		if want := map[string]uint32{"root": 0, "user": 1000}[filepath.Base(file)]; s.Uid != want {
			c.T.Errorf("on disk %s belongs to %d, want %d", filepath.Base(file), s.Uid, want)
		}
	}
	sleeping := 0
	for _, status := range globRead(c.T, "/proc/[0-9]*/uid_map") {
		if fields := strings.Fields(status); len(fields) == 3 && fields[1] >= "1073741824" && fields[2] == "65536" {
			sleeping++
		}
	}
	if sleeping == 0 {
		c.T.Error("no process of this host is in a user namespace of a group's")
	}
}

func globRead(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, path := range paths {
		if data, err := os.ReadFile(path); err == nil { // processes come and go
			all = append(all, string(data))
		}
	}
	return all
}

// testRuntime has the runtime run a program in the group that is the runtime
// itself, while another one lies in wait to write to it (CVE-2019-5736).
func (p *prison) testRuntime(c *localCloud) {
	runc := filepath.Join(p.Bin, "runc")
	before, err := os.ReadFile(runc)
	if err != nil {
		c.T.Fatal(err)
	}
	if out, code := c.sh("cell", "one", "printf '#!/proc/self/exe\\n' > /evil && chmod 755 /evil; (/tmp/breakout catch > /tmp/caught 2>&1 &)"); code != 0 {
		c.T.Fatal(out)
	}
	for range 4 {
		ws := c.exec("cell", "one", "/evil")
		_, _, _ = ws.ReadMessage() // it ends somehow
		ws.Close()
	}
	out, _ := c.sh("cell", "one", "while ! [ -s /tmp/caught ]; do sleep 0.2; done; cat /tmp/caught")
	expectBarred(c.T, results(c.T, out), 1)
	after, err := os.ReadFile(runc)
	if err != nil || !bytes.Equal(before, after) {
		c.T.Errorf("runc has changed, %v", err)
	}
}

// testLinks leaves links to the host's files on a share, for others to follow.
func (p *prison) testLinks(c *localCloud) {
	marker := p.flags[1]
	outside := c.T.TempDir()
	script := fmt.Sprintf("ln -s %s /tools/file; ln -s %s /tools/dir; ln -s /../../../../../../%s /tools/up; ls /tools", marker, outside, marker)
	if out, code := c.sh("cell", "one", script); code != 0 {
		c.T.Fatalf("leave links: %s", out)
	}
	key, files, err := p.conn.AccountKey(c.ctx(), resourceGroup, prisonAccount)
	if err != nil {
		c.T.Fatal(err)
	}
	share, err := p.conn.OpenShare(prisonAccount, key, files, "tools")
	if err != nil {
		c.T.Fatal(err)
	}
	for _, name := range []string{"file", "up"} {
		if data, err := share.Read(c.ctx(), name); bytes.Contains(data, []byte("of the host")) {
			c.T.Errorf("the share gives away what link %s points to: %q, %v", name, data, err)
		}
	}
	_ = share.Write(c.ctx(), "dir/planted", []byte("x"))
	// A volume that is mounted below a link must stay in the container.
	c.putGroup("links", p.withVolumes(c, sleeper("two"), "/tools/dir/planted"))
	left, err := os.ReadDir(outside)
	if err != nil || len(left) != 0 {
		c.T.Errorf("a link led out of the share: %v, %v", left, err)
	}
	c.remove("links")
}

// testForks starts processes until there can be no more, while another group
// goes on.
func (p *prison) testForks(c *localCloud) {
	c.put("bystander", sleeper("one"))
	p.cell(c, "forks", 2)
	out, _ := c.sh("forks", "one", "/tmp/breakout forks")
	expectBarred(c.T, results(c.T, out), 1)
	if !strings.Contains(out, "resource temporarily unavailable") {
		c.T.Errorf("something else than the limit stopped it: %s", out)
	}
	if out, code := c.sh("bystander", "one", "sleep 0.01 & wait; echo alive"); code != 0 || out != "alive\n" {
		c.T.Errorf("another group meanwhile: %d, %q", code, out)
	}
	c.remove("forks")
	c.remove("bystander")
}

// testMemory uses memory without end, of processes and of file systems that
// are in memory, while another group goes on.
func (p *prison) testMemory(c *localCloud) {
	c.put("bystander", sleeper("one"))
	hog := container("hog", "sh", "-c", "x=x; while :; do x=$x$x; done")
	c.put("hog", hog)
	end := c.terminated("hog")
	if to := *end.DetailStatus; to != "OOMKilled" {
		c.T.Errorf("a container that uses too much memory ends with %q, %d", to, *end.ExitCode)
	}
	if out, code := c.sh("cell", "one", "dd if=/dev/zero of=/dev/shm/x bs=1M count=600 2>&1"); code == 0 {
		c.T.Errorf("600 MB fit into /dev/shm: %s", out)
	}
	fill := "mkdir -p /tmp/m; unshare -Urm sh -c 'mount -t tmpfs -o size=4g x /tmp/m || exit 0; dd if=/dev/zero of=/tmp/m/x bs=1M count=600'"
	if out, code := c.sh("cell", "one", fill); code == 0 {
		c.T.Errorf("600 MB of files in memory fit into a group with 0.5 GB: %s", out)
	}
	if out, code := c.sh("bystander", "one", "echo alive"); code != 0 || out != "alive\n" {
		c.T.Errorf("another group meanwhile: %d, %q", code, out)
	}
	c.remove("hog")
	c.remove("bystander")
}

// terminated returns how the first container of a group has ended, once it has.
func (c *localCloud) terminated(group string) *aci.ContainerState {
	c.T.Helper()
	for ctx := c.ctx(); ; {
		view := c.get(group).Properties.Containers[0].Properties.InstanceView
		if view != nil && view.CurrentState != nil && *view.CurrentState.State == "Terminated" {
			return view.CurrentState
		}
		select {
		case <-ctx.Done():
			c.T.Fatalf("the container of %s has not ended", group)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
