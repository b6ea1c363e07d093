package e2e

import (
	"fmt"
	"strings"
)

// testDebug adds containers to a pod whose image has no shell.
func testDebug(m *operator) {
	name := strings.Fields(strings.ReplaceAll(m.kubectl("get", "pods", "-l", "app=hello", "-o", "name"), "pod/", ""))[0]
	uid := func() string {
		return m.kubectl("get", "pod", name, "-o", "jsonpath={.metadata.uid} {.status.containerStatuses[0].restartCount}")
	}
	before := uid()
	add := func(container string, args ...string) {
		m.T.Helper()
		m.kubectl(append([]string{"debug", name, "--image=frankenetes.internal/test", "--container=" + container, "--quiet"}, args...)...)
	}
	state := func(container, field string) string {
		return m.kubectl("get", "pod", name, "-o", fmt.Sprintf(`jsonpath={.status.ephemeralContainerStatuses[?(@.name==%q)].state.%s}`, container, field))
	}

	add("look", "--target=hello", "--", "sh", "-c", "echo looking; trap 'exit 3' TERM; while true; do sleep 0.2; done")
	m.eventually("it looks", func() error {
		if got := m.kubectl("logs", name, "-c", "look", "--ignore-errors"); got != "looking\n" {
			return fmt.Errorf("log %q, waiting %q", got, state("look", "waiting"))
		}
		return nil
	})
	for command, want := range map[string]string{
		"hostname":                           name + "\n",
		"wget -q -O - http://127.0.0.1:8080": "Hello from " + name + "\n",
		"ps | grep -v grep | grep -c /hello": "1\n", // it sees what the target runs
		"ls / | tr '\\n' ' '":                "agnhost bin dev etc proc root sys tmp ",
		"echo gone >/dev/null; echo $?":      "0\n",
		"echo written >/tmp/x; cat /tmp/x":   "written\n",
		"cat /etc/hostname":                  name + "\n",
	} {
		if got := m.kubectl("exec", name, "-c", "look", "--", "sh", "-c", command); got != want {
			m.T.Errorf("%s: %q, want %q", command, got, want)
		}
	}
	if got := terminal(m, "debug", name, "-it", "--quiet", "--image=frankenetes.internal/test", "--container=talk", "--", "tty"); !strings.Contains(got, "/dev/") {
		m.T.Errorf("tty: %q", got)
	}
	add("fails", "--", "sh", "-c", "exit 42")
	m.eventually("how it ended", func() error {
		if got := state("fails", "terminated.exitCode"); got != "42" {
			return fmt.Errorf("exit code %q", got)
		}
		return nil
	})
	add("wrong", "--image=frankenetes.internal/no-such-image", "--", "true")
	m.eventually("a reason", func() error {
		if got := state("wrong", "waiting.reason"); got != "ErrImagePull" && got != "ImagePullBackOff" {
			return fmt.Errorf("waiting because of %q", got)
		}
		return nil
	})
	if after := uid(); after != before {
		m.T.Errorf("the pod was %s and is %s", before, after)
	}
	m.kubectl("delete", "pod", name, "--wait=true")
	hellos(m)
}
