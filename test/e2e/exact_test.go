package e2e

import (
	"fmt"
	"strings"
)

// testExact is what containers with namespaces of their own can have.
func testExact(m *operator) {
	m.apply("exact.yaml")
	m.kubectl("wait", "pod/exact", "--for=condition=Ready", "--timeout", patience.String())
	if level := m.kubectl("get", "nodes", "-o", "jsonpath={.items[*].metadata.labels.frankenetes\\.dev/containers}"); level != "exact" {
		m.T.Fatalf("the node's containers are %q", level)
	}
	in := func(container, script string) string {
		return m.kubectl("exec", "exact", "-c", container, "--", "sh", "-c", script)
	}
	for script, want := range map[string]string{
		"uname -n; cat /etc/hostname; hostname":                              "by-another-name\nby-another-name\nby-another-name\n",
		"cat /etc/app/colour; ls /etc/app":                                   "greencolour\n",
		"cat /part/file; ls /part":                                           "deep\nfile\n",
		"echo x > /part-read-only/x || echo refused":                         "refused\n",
		"touch /x /etc/x 2>/dev/null || echo refused":                        "refused\n",
		"stat -c %a /cache; stat -f -c %T /cache":                            "777\ntmpfs\n",
		"echo from main > /cache/file && echo written":                       "written\n",
		"head -c 2000000 /dev/zero > /cache/big || echo full; rm /cache/big": "full\n",
		"echo mine > /mine/file && echo written":                             "written\n",
		"ls -A /.frankenetes /.frankenetes-volumes":                          "/.frankenetes:\n\n/.frankenetes-volumes:\n",
		"grep CapBnd /proc/self/status":                                      "CapBnd:\t00000000a80425fb\n",
		"umount /.frankenetes || mount -o remount,rw / || echo":              "\n",
	} {
		if got := in("main", script+" 2>/dev/null"); !strings.HasPrefix(got, want) {
			m.T.Errorf("%s: %q, want %q", script, got, want)
		}
	}
	for script, want := range map[string]string{
		"uname -n": "by-another-name\n",
		"cat /proc/sys/net/ipv4/ping_group_range":          "0\t65535\n",
		"cat /cache/file":                                  "from main\n",
		"cat /data/exact-files/file":                       "mine\n",
		"id -u; grep -E 'CapBnd|NoNew' /proc/self/status":  "1000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\n",
		"touch /x 2>/dev/null || echo not allowed":         "not allowed\n",
		"nc -l -p 80 -e true & sleep 0.2; kill $! && echo": "\n",
	} {
		if got := in("other", script); got != want {
			m.T.Errorf("in the other container, %s: %q, want %q", script, got, want)
		}
	}
	testLeadsOut(m)
	testClean(m)
	m.kubectl("wait", "pod/raw-sockets", "--for=condition=Ready", "--timeout", patience.String())
	if got := m.kubectl("exec", "raw-sockets", "-c", "main", "--", "ping", "-c", "1", "127.0.0.1"); !strings.Contains(got, "1 packets received") {
		m.T.Errorf("ping: %q", got)
	}
	// Containers without namespaces of their own share the agent's directory, in
	// which nobody but root finds anything.
	if got := m.kubectl("exec", "raw-sockets", "-c", "nobody", "--", "sh", "-c", "find /.frankenetes -type f 2>/dev/null; cat /proc/1/environ 2>/dev/null || echo no environment"); got != "/.frankenetes/agent\nno environment\n" {
		m.T.Errorf("nobody sees %q", got)
	}
	m.kubectl("delete", "pod", "exact", "leads-out", "clean", "raw-sockets", "--wait=true")
}

// testLeadsOut is a pod that mounts what is not in its volume.
func testLeadsOut(m *operator) {
	m.eventually("a path that leads out of its volume is refused", func() error {
		got := m.kubectl("get", "events", "--field-selector", "involvedObject.name=leads-out", "-o", "jsonpath={.items[*].message}")
		if !strings.Contains(got, "leads out of the volume") {
			return fmt.Errorf("its events: %s", got)
		}
		return nil
	})
}

// testClean is a container whose second run finds nothing of the first.
func testClean(m *operator) {
	m.kubectl("wait", "pod/clean", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "--timeout", patience.String())
	m.kubectl("wait", "pod/clean", "--for=condition=Ready", "--timeout", patience.String())
	const want = "/bin/dirt\n/dirt\n/etc/dirt\n/tmp/dirt\n"
	m.eventually("the second run's log", func() error {
		if got := m.kubectl("logs", "clean"); got != want {
			return fmt.Errorf("got %q, want %q", got, want)
		}
		return nil
	})
	if got := m.kubectl("logs", "clean", "--previous"); got != want {
		m.T.Errorf("the first run's log: %q, want %q", got, want)
	}
	if got := m.kubectl("exec", "clean", "--", "ls", "/dirt"); got != "/dirt\n" {
		m.T.Errorf("a command beside it sees %q", got)
	}
}
