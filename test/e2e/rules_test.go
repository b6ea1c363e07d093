package e2e

import (
	"fmt"
	"strings"
)

// testRules is what decides whether containers run again, and when a pod is
// ready or over, beside its restart policy.
func testRules(m *operator) {
	m.apply("rules.yaml")
	status := func(pod, path string) string {
		m.T.Helper()
		return m.kubectl("get", "pod", pod, "-o", "jsonpath={.status."+path+"}")
	}
	await := func(what, pod, path, want string) {
		m.T.Helper()
		m.eventually(what, func() error { return expect(status(pod, path), want) })
	}
	await("the second run succeeds", "second-run", "phase", "Succeeded")
	if got := status("second-run", "containerStatuses[0].restartCount"); got != "1" {
		m.T.Errorf("it was restarted %s times", got)
	}
	await("a code without a rule", "only-run", "phase", "Failed")
	if got := status("only-run", "containerStatuses[0].state.terminated.exitCode"); got != "41" {
		m.T.Errorf("it ended with %s", got)
	}
	m.eventually("all containers run again", func() error {
		out, _, _ := m.Call(nil, "frankenetes", "kubectl", "exec", "all-again", "-c", "main", "--", "grep", "-c", "first\\|main", "/runs/runs")
		return expect(out, "4\n")
	})
	m.kubectl("wait", "pod/all-again", "--for=condition=Ready", "--timeout", patience.String())

	testGate(m)
	testChangedImage(m)

	m.kubectl("patch", "pod", "changing", "-p", `{"spec":{"activeDeadlineSeconds":1}}`)
	await("its time is over", "changing", "reason", "DeadlineExceeded")
	if got := status("changing", "phase"); got != "Failed" {
		m.T.Errorf("the pod is %s", got)
	}
	m.kubectl("wait", "pod/file-key", "--for=condition=Ready", "--timeout", patience.String())
	if got := m.kubectl("exec", "file-key", "--", "sh", "-c", "echo $COLOUR"); got != "green\n" {
		m.T.Errorf("the variable from a file is %q", got)
	}
	m.kubectl("delete", "-f", "testdata/rules.yaml", "--wait=true")
}

// testGate is a pod whose containers are ready before somebody else says that
// it is.
func testGate(m *operator) {
	m.kubectl("wait", "pod/changing", "--for=condition=ContainersReady", "--timeout", patience.String())
	ready := func() string {
		return m.kubectl("get", "pod", "changing", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
	}
	if got := ready(); got != "False" {
		m.T.Errorf("Ready is %q before anybody has said so", got)
	}
	m.kubectl("patch", "pod", "changing", "--subresource=status", "-p", `{"status":{"conditions":[{"type":"example.com/checked","status":"True"}]}}`)
	m.kubectl("wait", "pod/changing", "--for=condition=Ready", "--timeout", patience.String())
}

// testChangedImage changes an image of a pod that runs.
func testChangedImage(m *operator) {
	log := m.converse("logs", "-f", "changing", "-c", "side")
	if got := log.line(); got != "waits\n" {
		m.T.Errorf("the other container says %q", got)
	}
	m.kubectl("set", "image", "pod/changing", "main=frankenetes.internal/agnhost")
	m.eventually("the container has the new image", func() error {
		// Of the two only the old one has a shell.
		if _, code := m.Try("kubectl", "exec", "changing", "-c", "main", "--", "sh", "-c", "true"); code == 0 {
			return fmt.Errorf("it has the old one")
		}
		return m.answered("exec", "changing", "-c", "main", "--", "/agnhost", "--help")
	})
	m.kubectl("wait", "pod/changing", "--for=condition=Ready", "--timeout", patience.String())
	if got := log.rest(); !strings.HasPrefix(got, "asked to end\n") {
		m.T.Errorf("the other container was not asked to end: %q", got)
	}
	image := m.kubectl("get", "pod", "changing", "-o", `jsonpath={.status.containerStatuses[?(@.name=="main")].image}`)
	if image != "frankenetes.internal/agnhost:latest" {
		m.T.Errorf("the status says %q", image)
	}
}
