package e2e

import (
	"encoding/json"
	"fmt"
)

// onDisk is what the summary says of files.
type onDisk struct {
	Name                                     string
	UsedBytes, AvailableBytes, CapacityBytes float64
}

// testStorage has pods write more than they may, and one that does not.
func testStorage(m *operator) {
	m.apply("storage.yaml")
	for pod, why := range map[string]string{
		"full-volume":    `Usage of EmptyDir volume "scratch" exceeds the limit "10Mi". `,
		"full-pod":       `Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. `,
		"full-container": `Container writes exceeded its local ephemeral storage limit "10Mi". `,
	} {
		m.eventually(pod+" is evicted", func() error {
			got := m.kubectl("get", "pod", pod, "-o", "jsonpath={.status.phase} {.status.reason}: {.status.message}")
			if want := "Failed Evicted: " + why; got != want {
				return fmt.Errorf("it is %q, want %q", got, want)
			}
			return nil
		})
	}
	m.eventually("what is on disks", func() error { return checkDisks(m) })
	if got := m.kubectl("get", "pod", "within-limits", "-o", "jsonpath={.status.phase} {.status.containerStatuses[0].restartCount}"); got != "Running 0" {
		m.T.Errorf("the pod within its limits is %s", got)
	}
	m.kubectl("delete", "-f", "testdata/storage.yaml", "--wait=true")
}

func checkDisks(m *operator) error {
	var s struct {
		Pods []struct {
			PodRef     struct{ Name string }
			Volume     []onDisk
			Containers []struct{ Rootfs onDisk }
		}
	}
	if err := json.Unmarshal([]byte(m.kubectl("get", "--raw", kubeletPages+"/stats/summary")), &s); err != nil {
		m.T.Fatal(err)
	}
	for _, p := range s.Pods {
		if p.PodRef.Name != "within-limits" || len(p.Containers) != 1 {
			continue
		}
		found := map[string]float64{"root file system": p.Containers[0].Rootfs.UsedBytes}
		for _, v := range p.Volume {
			found[v.Name] = v.UsedBytes
			if v.AvailableBytes <= 0 || v.AvailableBytes > v.CapacityBytes {
				return fmt.Errorf("there is room for %+v", v)
			}
		}
		for name, want := range map[string]float64{"root file system": 1e6, "scratch": 5e6, "memory": 2e6} {
			if got := found[name]; got < want || got > want*1.1+1e5 {
				return fmt.Errorf("%s: %g bytes, want %g", name, got, want)
			}
		}
		return nil
	}
	return fmt.Errorf("the pod is not in the summary: %+v", s)
}
