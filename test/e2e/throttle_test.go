package e2e

import (
	"fmt"
	"strings"
)

// testThrottled has a cloud that makes and deletes one group every so often.
// Pods say what they wait for, come and go when they can, and whoever needs
// nothing of the cloud does not notice.
func testThrottled(m *operator) {
	throttled := func(what, pods string) {
		m.T.Helper()
		m.eventually(what, func() error {
			got := m.kubectl("get", "events", "-o", `jsonpath={range .items[*]}{.involvedObject.name}: {.message}{"\n"}{end}`)
			for line := range strings.Lines(got) {
				if strings.HasPrefix(line, pods) && strings.Contains(line, "TooManyRequests") {
					return nil
				}
			}
			return fmt.Errorf("nothing in the events\n%s", got)
		})
	}
	m.apply("throttled.yaml")
	m.kubectl("wait", "pod/runs", "pod/ends", "pod/ends-too", "--for=condition=Ready", "--timeout", patience.String())
	m.Run("cloud", "start", "--limit", "creates=1/12s", "--limit", "deletes=1/12s")
	m.kubectl("create", "deployment", "waits", "--image=frankenetes.internal/hello", "--replicas=2")
	m.kubectl("delete", "pod", "ends", "ends-too", "--wait=false")
	throttled("why a pod does not come", "waits-")
	throttled("why a pod does not go", "ends")

	// Meanwhile a container ends and is restarted, and all answers.
	m.killAll("runs", "main")
	m.kubectl("wait", "pod/runs", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "--timeout", patience.String())
	m.kubectl("wait", "pod/runs", "--for=condition=Ready", "--timeout", patience.String())
	if got := m.kubectl("exec", "runs", "--", "echo", "here"); got != "here\n" {
		m.T.Errorf("exec says %q", got)
	}
	m.T.Logf("%s of the pods that wait are there by now", m.kubectl("get", "deployment", "waits", "-o", "jsonpath={.status.readyReplicas}"))

	m.kubectl("rollout", "status", "deployment/waits", "--timeout", patience.String())
	m.kubectl("wait", "pod/ends", "pod/ends-too", "--for=delete", "--timeout", patience.String())
	m.Run("cloud", "start", "--limit", "none")
	m.kubectl("delete", "deployment", "waits")
	m.kubectl("delete", "pod", "--all", "--wait=true")
	m.eventually("no group is left", func() error { return expect(strings.Join(m.podGroups(), " "), "") })
}
