package cgroup

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFind(t *testing.T) {
	tests := map[string]struct {
		membership, mounts string
		want               Group
	}{
		"version 2, own namespace": {
			"0::/\n",
			"30 25 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n",
			Group{unified: "/sys/fs/cgroup"},
		},
		"version 2, seen from the host": {
			"0::/system.slice/web\n",
			"30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n",
			Group{unified: "/sys/fs/cgroup/system.slice/web"},
		},
		"version 1, mounted from the container's cgroup": {
			"4:memory:/pod/web\n3:cpu,cpuacct:/pod/web\n0::/\n",
			"31 30 0:27 /pod/web /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n" +
				"32 30 0:28 /pod/web /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n",
			Group{memory: "/sys/fs/cgroup/memory", cpu: "/sys/fs/cgroup/cpu,cpuacct"},
		},
		"hybrid": {
			"4:memory:/web\n2:cpuacct:/\n0::/\n",
			"31 30 0:27 / /sys/fs/cgroup/memory rw shared:1 - cgroup cgroup rw,memory\n" +
				"32 30 0:28 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n" +
				"33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
			Group{memory: "/sys/fs/cgroup/memory/web", cpu: "/sys/fs/cgroup/cpuacct", unified: "/sys/fs/cgroup/unified"},
		},
		"none": {"", "broken\n", Group{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := find(test.membership, test.mounts)
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(Group{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func files(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestUsageOfBothVersions(t *testing.T) {
	two := Group{unified: files(t, map[string]string{
		"cpu.stat":       "usage_usec 1500\nuser_usec 1000\n",
		"memory.current": "5000\n",
		"memory.stat":    "anon 3000\ninactive_file 1200\npgfault 70\npgmajfault 7\n",
		"memory.max":     "9000\n",
		"memory.events":  "low 0\noom 2\noom_kill 3\n",
	})}
	one := Group{
		cpu: files(t, map[string]string{"cpuacct.usage": "1500000\n"}),
		memory: files(t, map[string]string{
			"memory.usage_in_bytes": "5000\n",
			"memory.stat":           "inactive_file 1\nrss 1\npgfault 1\ntotal_inactive_file 1200\ntotal_rss 3000\ntotal_pgfault 70\ntotal_pgmajfault 7\n",
			"memory.limit_in_bytes": "9000\n",
			"memory.oom_control":    "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
		}),
	}
	for name, group := range map[string]Group{"1": one, "2": two} {
		u, err := group.Usage()
		if err != nil {
			t.Fatal(err)
		}
		if u.CPUNanoseconds != 1_500_000 || u.MemoryBytes != 5000 || u.WorkingSetBytes != 3800 || u.Time.IsZero() {
			t.Errorf("version %s: got %+v", name, u)
		}
		if u.RSSBytes != 3000 || u.PageFaults != 70 || u.MajorPageFaults != 7 || u.LimitBytes != 9000 {
			t.Errorf("version %s: got %+v", name, u)
		}
		if n := group.OOMKills(); n != 3 {
			t.Errorf("version %s: %d kills, want 3", name, n)
		}
	}
}

func TestNoLimitIsNone(t *testing.T) {
	two := Group{unified: files(t, map[string]string{
		"cpu.stat": "usage_usec 1\n", "memory.current": "1\n", "memory.stat": "inactive_file 0\n", "memory.max": "max\n"})}
	one := Group{cpu: files(t, map[string]string{"cpuacct.usage": "1\n"}), memory: files(t, map[string]string{
		"memory.usage_in_bytes": "1\n", "memory.stat": "total_inactive_file 0\n", "memory.limit_in_bytes": "9223372036854771712\n"})}
	for name, group := range map[string]Group{"1": one, "2": two} {
		if u, err := group.Usage(); err != nil || u.LimitBytes != 0 {
			t.Errorf("version %s: a limit of %d, %v", name, u.LimitBytes, err)
		}
	}
}

func TestNoCgroup(t *testing.T) {
	if _, err := (Group{}).Usage(); err == nil {
		t.Error("usage of nothing was read")
	}
	if n := (Group{}).OOMKills(); n != 0 {
		t.Errorf("%d kills", n)
	}
}
