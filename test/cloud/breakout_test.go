package cloudtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"
	"golang.org/x/sys/unix"

	"frankenetes.dev/cloud"
)

// barred is the result of one attempt of the program breakout.
type barred struct {
	Name string
	Out  bool
	Said string
}

// prison is a cloud from whose groups one tries to get out.
type prison struct {
	*localCloud
	program string // breakout, on the host
	flags   []string
	key     string // of the account that has the share "tools"
	daemon  struct {
		Isolation, Subnet string
	}
}

const prisonAccount = "breakout"

// TestBreakout tries to get out of a group in the ways that are known: with
// user namespaces, and where a host has none. First the same attempts are made
// outside of any group, to see that they can succeed.
func TestBreakout(t *testing.T) {
	program := filepath.Join(t.TempDir(), "breakout")
	build := exec.Command("go", "build", "-o", program, "./breakout")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // it must run in any image
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the program that tries to break out: %v\n%s", err, out)
	}
	for _, isolation := range []string{"auto", "none"} {
		t.Run("isolation "+isolation, func(t *testing.T) {
			t.Setenv("FRANKENETES_ISOLATION", isolation)
			p := newPrison(t, program)
			p.part("on the host it would work", func(*localCloud) { p.control(t) })
			p.cell(p.localCloud, "cell", 0.5)
			p.part("as root of a group", func(c *localCloud) { expectBarred(c.T, p.try(c, ""), 40) })
			if p.daemon.Isolation == "userns" {
				p.part("with namespaces of one's own", func(c *localCloud) { expectBarred(c.T, p.try(c, "-nested"), 40) })
				p.part("namespaces are good for something", p.testNested)
				p.part("owners on disk are those of the group", p.testOwners)
				p.part("symbolic links on a share", p.testLinks)
				p.part("processes without end", p.testForks)
				p.part("memory without end", p.testMemory)
			} else {
				p.part("no namespaces of one's own", p.testNoNested)
			}
			p.part("the runtime's own program", p.testRuntime)
			p.remove("cell")
		})
	}
}

// newPrison starts a cloud, and on the host what is not to be reached.
func newPrison(t *testing.T, program string) *prison {
	t.Helper()
	p := &prison{localCloud: newCloud(t), program: program}
	if err := json.Unmarshal([]byte(p.Run("cloud", "status", "-o", "json")), &p.daemon); err != nil {
		t.Fatal(err)
	}
	if p.daemon.Isolation != "userns" {
		t.Logf("GROUPS HAVE NO USER NAMESPACES HERE: isolation is %q", p.daemon.Isolation)
	}
	marker := filepath.Join(t.TempDir(), "marker")
	if err := os.WriteFile(marker, []byte("of the host"), 0o644); err != nil {
		t.Fatal(err)
	}
	var addresses []string
	for _, listen := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		l, err := net.Listen("tcp4", listen)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		_, port, _ := net.SplitHostPort(l.Addr().String())
		for _, host := range append(hostAddresses(t), "127.0.0.1", "gateway") {
			addresses = append(addresses, net.JoinHostPort(host, port))
		}
	}
	p.flags = []string{
		"-marker", marker, "-pid", fmt.Sprint(p.Status().PID), "-addresses", strings.Join(addresses, ","),
		"-files", strings.Join([]string{p.Home, "/run/frankenetes", "/run/containerd/containerd.sock", "/var/run/docker.sock", p.Bin}, ","),
	}
	ctx := p.ctx()
	if err := p.conn.PutAccount(ctx, resourceGroup, prisonAccount, p.conn.Location); err != nil {
		t.Fatal(err)
	}
	if err := p.conn.PutShare(ctx, resourceGroup, prisonAccount, "tools", 1); err != nil {
		t.Fatal(err)
	}
	key, files, err := p.conn.AccountKey(ctx, resourceGroup, prisonAccount)
	if err != nil {
		t.Fatal(err)
	}
	p.key = key
	share, err := p.conn.OpenShare(prisonAccount, key, files, "tools")
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := share.Write(ctx, "breakout", binary); err != nil {
		t.Fatal(err)
	}
	return p
}

// hostAddresses are those of the host that are not loopback.
func hostAddresses(t *testing.T) []string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var addresses []string
	for _, a := range all {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() {
			addresses = append(addresses, ip.IP.String())
		}
	}
	return addresses
}

// cell makes a group that has the program, on the share and executable.
func (p *prison) cell(on *localCloud, name string, memoryInGB float64) {
	on.T.Helper()
	c := sleeper("one")
	c.Properties.Resources.Requests.MemoryInGB = &memoryInGB
	on.putGroup(name, p.withVolumes(on, c, "/scratch"))
	if out, code := on.sh(name, "one", "cp /tools/breakout /tmp/breakout && chmod 755 /tmp/breakout"); code != 0 {
		on.T.Fatalf("bring the program into the group: %s", out)
	}
}

// withVolumes is a group of a container with the share at /tools and an empty
// directory somewhere.
func (p *prison) withVolumes(on *localCloud, c *aci.Container, scratch string) cloud.Group {
	c.Properties.VolumeMounts = []*aci.VolumeMount{
		{Name: to.Ptr("tools"), MountPath: to.Ptr("/tools")}, {Name: to.Ptr("scratch"), MountPath: &scratch}}
	g := on.group(c)
	g.Properties.Volumes = []*aci.Volume{
		{Name: to.Ptr("tools"), AzureFile: &aci.AzureFileVolume{
			ShareName: to.Ptr("tools"), StorageAccountName: to.Ptr(prisonAccount), StorageAccountKey: &p.key}},
		{Name: to.Ptr("scratch"), EmptyDir: map[string]any{}},
	}
	return g
}

// try makes all attempts in the group.
func (p *prison) try(c *localCloud, how string) []barred {
	c.T.Helper()
	url := strings.Replace(p.conn.Config.Inside.ResourceManager, "\n", "", -1)
	out, code := c.sh("cell", "one", "/tmp/breakout "+how+" "+strings.Join(p.flags, " ")+" -metadata -url "+url)
	if code != 0 {
		c.T.Fatalf("breakout: exit code %d\n%s", code, out)
	}
	return results(c.T, out)
}

func results(t *testing.T, out string) []barred {
	t.Helper()
	var all []barred
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatalf("breakout said %q: %v", out, err)
	}
	return all
}

// expectBarred wants every attempt to have failed, and so many to have been made.
func expectBarred(t *testing.T, all []barred, least int) {
	t.Helper()
	if len(all) < least {
		t.Errorf("%d attempts were made, not %d: %v", len(all), least, all)
	}
	for _, r := range all {
		if r.Out {
			t.Errorf("BROKE OUT by %q: %s", r.Name, r.Said)
		} else {
			t.Logf("%s: %s", r.Name, r.Said)
		}
	}
}

// control makes the attempts as root on the host, with mounts of its own. What
// a kernel may lack or a machine forbid even to root is not asked for.
func (p *prison) control(t *testing.T) {
	t.Helper()
	cmd := exec.Command(p.program, p.flags...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("breakout on the host: %v\n%s", err, &stderr)
	}
	worked := map[string]bool{}
	for _, r := range results(t, stdout.String()) {
		worked[r.Name] = r.Out
		t.Logf("on the host, %s: %v, %s", r.Name, r.Out, r.Said)
	}
	for _, name := range []string{
		"write /proc/sys/kernel/core_pattern", "write /proc/sys/kernel/hostname", "write /proc/sys/vm/drop_caches", "set the clock", "bpf", "kernel keyring",
		"signal a process of the host", "a file of the host", "files that give power over the host", "sockets of the container runtime",
		"services of the host", "control groups, mounted anew", "open a file by its handle", "what is hidden by mounts", "addresses of the kernel",
	} {
		if !worked[name] {
			t.Errorf("%q does not even succeed as root on the host: it proves nothing in a group", name)
		}
	}
}
