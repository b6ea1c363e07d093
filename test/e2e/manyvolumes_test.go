package e2e

import (
	"bytes"
	"fmt"
)

// manyVolumes is more than a container group can have, and manyPods how many
// pods have them at once.
const manyVolumes, manyPods = 50, 3

// testManyVolumes has pods with more volumes than a container group can have.
func testManyVolumes(m *operator) {
	var all bytes.Buffer
	for i := range manyVolumes {
		fmt.Fprintf(&all, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: many-%d, labels: {app: many}}\ndata: {key: value-%d}\n---\n", i, i)
	}
	for i := range manyPods {
		writePod(&all, fmt.Sprint("many-", i))
	}
	m.kubectlWith(&all, "apply", "-f", "-")
	m.kubectl("wait", "pod", "-l", "app=many", "--for=condition=Ready", "--timeout", patience.String())
	for i := range manyPods {
		pod := fmt.Sprint("many-", i)
		got := m.kubectl("exec", pod, "--", "sh", "-c",
			"for d in /many/*; do cat $d/key; echo; done | sort -u | wc -l; cat /many/49/key; echo; echo x > /scratch/x && cat /scratch/x; stat -c %a /scratch; ls /.frankenetes-volumes | wc -l")
		if want := "50\nvalue-49\nx\n777\n0\n"; got != want {
			m.T.Errorf("pod %s sees %q", pod, got)
		}
	}
	m.kubectl("patch", "configmap", "many-49", "-p", `{"data":{"key":"changed"}}`)
	// The kubelet looks at a pod's volumes again when the pod changes.
	m.kubectl("annotate", "pod", "many-0", "look=now")
	m.eventually("a change arrives", func() error {
		if got := m.kubectl("exec", "many-0", "--", "cat", "/many/49/key"); got != "changed" {
			return fmt.Errorf("got %q", got)
		}
		return nil
	})
	m.kubectl("delete", "pod,configmap", "-l", "app=many", "--wait=true")
}

func writePod(out *bytes.Buffer, name string) {
	fmt.Fprintf(out, "apiVersion: v1\nkind: Pod\nmetadata: {name: %s, labels: {app: many}}\nspec:\n  terminationGracePeriodSeconds: 1\n", name)
	out.WriteString("  containers:\n  - name: main\n    image: frankenetes.internal/test\n    command: [sleep, \"3600\"]\n    volumeMounts:\n")
	for i := range manyVolumes {
		fmt.Fprintf(out, "    - {name: many-%d, mountPath: /many/%d}\n", i, i)
	}
	out.WriteString("    - {name: scratch, mountPath: /scratch}\n  volumes:\n  - {name: scratch, emptyDir: {}}\n")
	for i := range manyVolumes {
		fmt.Fprintf(out, "  - {name: many-%d, configMap: {name: many-%d}}\n", i, i)
	}
	out.WriteString("---\n")
}
