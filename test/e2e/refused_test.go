package e2e

import (
	"fmt"
	"strings"
)

// testRefused asks for what a container group cannot give, and expects to be
// told so in the kubelet's own ways.
func testRefused(m *operator) {
	// A new size does not fit: the pod goes on with the one that it has.
	m.kubectl("run", "fixed", "--image=frankenetes.internal/pause:1")
	m.kubectl("wait", "pod/fixed", "--for=condition=Ready", "--timeout", patience.String())
	before := m.identity("fixed")
	m.resize("fixed")
	m.eventually("the new size is refused", func() error { return m.resizeRefused("fixed") })
	m.eventually("an event says so", func() error { return m.said("fixed", "ResizeInfeasible", "size is fixed") })
	if after := m.identity("fixed"); after != before {
		m.T.Errorf("the pod was %s and is %s", before, after)
	}
	// Sysctls: one that the kubelet would allow stays pending, and is told why;
	// one that it would not is rejected.
	m.withSysctl("safe", "net.ipv4.tcp_syncookies")
	m.eventually("the reason of the safe sysctl", func() error {
		return m.said("safe", "FailedCreatePodSandBox", "spec.securityContext.sysctls is not possible on this node")
	})
	m.withSysctl("unsafe", "kernel.msgmax")
	m.kubectl("wait", "pod/unsafe", "--for=jsonpath={.status.phase}=Failed", "--timeout", patience.String())
	for pod, want := range map[string]string{"safe": "Pending ", "unsafe": "Failed SysctlForbidden"} {
		if got := m.kubectl("get", "pod", pod, "-o", "jsonpath={.status.phase} {.status.reason}"); got != want {
			m.T.Errorf("the pod with the %s sysctl is %q, want %q", pod, got, want)
		}
	}
	m.kubectl("delete", "pod", "fixed", "safe", "unsafe", "--wait=true")
}

// resize asks for another size of a pod that runs.
func (m *operator) resize(pod string) {
	m.T.Helper()
	container := m.kubectl("get", "pod", pod, "-o", "jsonpath={.spec.containers[0].name}")
	m.kubectl("patch", "pod", pod, "--subresource", "resize", "-p",
		`{"spec":{"containers":[{"name":"`+container+`","resources":{"requests":{"cpu":"200m"}}}]}}`)
}

// resizeRefused expects the kubelet to say that a pod's new size cannot be.
func (m *operator) resizeRefused(pod string) error {
	m.T.Helper()
	const condition = `{.status.conditions[?(@.type=="PodResizePending")]`
	got := m.kubectl("get", "pod", pod, "-o", "jsonpath="+condition+".reason}: "+condition+".message}")
	return expect(got, "Infeasible: a container group's size is fixed when it is made")
}

// withSysctl makes a pod that asks for a sysctl.
func (m *operator) withSysctl(name, sysctl string) {
	m.T.Helper()
	m.kubectlWith(strings.NewReader(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"`+name+`"},"spec":{
		"securityContext":{"sysctls":[{"name":"`+sysctl+`","value":"1"}]},
		"containers":[{"name":"main","image":"frankenetes.internal/pause:1"}]}}`), "create", "-f", "-")
}

// said expects an event of a pod with a reason and some words.
func (m *operator) said(pod, reason, words string) error {
	m.T.Helper()
	events := m.kubectl("get", "events", "--field-selector", "involvedObject.name="+pod+",reason="+reason, "-o", "jsonpath={.items[*].message}")
	if !strings.Contains(events, words) {
		return fmt.Errorf("its events of reason %s are %q", reason, events)
	}
	return nil
}
