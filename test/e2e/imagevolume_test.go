package e2e

import (
	"fmt"
	"strings"
)

// testImageVolumes has pods mount images.
func testImageVolumes(m *operator) {
	m.apply("images.yaml")
	m.kubectl("wait", "pod/images", "--for=condition=Ready", "--timeout", patience.String())
	for _, test := range []struct{ container, script, want string }{
		{"main", "/tools/hello version && /bin/hello version", "hello"},
		{"main", "touch /tools/x 2>/dev/null || echo refused", "refused\n"},
		{"main", "ls /tools | grep hello", "hello\n"},
		{"other", "/tools/hello version", "hello"},
		{"other", "/busy/busybox echo of another image", "of another image\n"},
	} {
		if got := m.kubectl("exec", "images", "-c", test.container, "--", "sh", "-c", test.script); !strings.HasPrefix(got, test.want) {
			m.T.Errorf("in %s, %s: %q, want %q", test.container, test.script, got, test.want)
		}
	}
	for pod, reasons := range map[string][]string{
		"no-such-image": {"ErrImagePull", "ImagePullBackOff"}, "no-such-path": {"CreateContainerError", "CrashLoopBackOff"},
	} {
		m.eventually(pod+" has a reason", func() error {
			got := m.kubectl("get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].state.waiting.reason}")
			if got != reasons[0] && got != reasons[1] {
				return fmt.Errorf("it waits because of %q", got)
			}
			return nil
		})
	}
	m.eventually("what is not there is named", func() error {
		got := m.kubectl("get", "events", "--field-selector", "involvedObject.name=no-such-path", "-o", "jsonpath={.items[*].message}")
		if !strings.Contains(got, "ImageVolumeMountFailed") || !strings.Contains(got, "not/there") {
			return fmt.Errorf("its events: %s", got)
		}
		return nil
	})
	m.kubectl("delete", "-f", "testdata/images.yaml", "--wait=true")
}
