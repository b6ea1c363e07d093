package groups

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"
	"github.com/google/go-cmp/cmp"
)

// testLog is a container's log, in the hands of a test instead of the runtime.
type testLog struct {
	*os.File
	t *testing.T
}

// openLog opens the log of the latest run of the container "web" as the runtime does.
func (c *client) openLog(t *testing.T) testLog {
	t.Helper()
	g := c.service.groups[groupKey(testSub, "rg", "web")]
	path := c.service.engine.logPath(g.record.UID, "web", g.deployment.status.snapshot().Containers["web"].Attempt)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return testLog{file, t}
}

// write writes entries, of which only what follows the time is given.
func (l testLog) write(entries ...string) {
	l.t.Helper()
	for _, e := range entries {
		if _, err := l.WriteString("2026-01-01T00:00:00.000000001Z " + e + "\n"); err != nil {
			l.t.Fatal(err)
		}
	}
}

// logged starts the group "web" with a log.
func logged(t *testing.T) (*world, *client, testLog) {
	t.Helper()
	w := newWorld(t)
	c := w.operate(t)
	g := sdkGroup(sdkContainer("web"))
	c.create(t, "web", g)
	return w, c, c.openLog(t)
}

func TestLogs(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	c.create(t, "web", sdkGroup(sdkContainer("web")))
	path := filepath.Join(w.options.Paths.Logs, c.service.groups[groupKey(testSub, "rg", "web")].record.UID, "web", "0.log")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	const log = "2026-01-01T00:00:00.000000001Z stdout F one\n2026-01-01T00:00:00.000000002Z stderr P two, \n2026-01-01T00:00:00.000000003Z stderr F whole\n"
	if err := os.WriteFile(path, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c2 := range []struct {
		options aci.ContainersClientListLogsOptions
		want    string
	}{
		{aci.ContainersClientListLogsOptions{}, "one\ntwo, whole\n"},
		{aci.ContainersClientListLogsOptions{Tail: to.Ptr[int32](1)}, "two, whole\n"},
		{aci.ContainersClientListLogsOptions{Timestamps: to.Ptr(true), Tail: to.Ptr[int32](1)}, "2026-01-01T00:00:00.000000002Z two, whole\n"},
	} {
		r, err := c.insides.ListLogs(t.Context(), "rg", "web", "web", &c2.options)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c2.want, *r.Content); diff != "" {
			t.Error(diff)
		}
	}
	// A log that was put aside is still the beginning of the log.
	running := c.service.groups[groupKey(testSub, "rg", "web")].deployment.status.snapshot().Containers["web"]
	if err := os.Truncate(path, rotateSize); err != nil {
		t.Fatal(err)
	}
	if err := c.service.engine.rotateLog(t.Context(), filepath.Base(filepath.Dir(filepath.Dir(path))), "web", running); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(w.runtime.history(), "reopen "+running.ID) {
		t.Error("the runtime still writes to the old file")
	}
	for p, content := range map[string]string{path + rotated: log, path: "2026-01-01T00:00:01Z stdout F three\n"} {
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := c.insides.ListLogs(t.Context(), "rg", "web", "web", nil); err != nil || *r.Content != "one\ntwo, whole\nthree\n" {
		t.Errorf("after rotation: %v, %v", r.Content, err)
	}

	_, err := c.insides.ListLogs(t.Context(), "rg", "web", "absent", nil)
	if code := refused(t, err); code != "ContainerNotFound" {
		t.Errorf("logs of no container: %s", code)
	}
}

func TestLogsAreTheLastOfWhatWasWritten(t *testing.T) {
	_, c, log := logged(t)
	line := strings.Repeat("0123456789abcde", 1<<8) // with its end, 3841 bytes
	for range logLimit/len(line) + 1 {
		log.write("stdout F " + line)
	}
	log.write("stdout F last")
	got := c.logs(t)
	if len(got) > logLimit || len(got) < logLimit-len(line) || !strings.HasPrefix(got, line+"\n") || !strings.HasSuffix(got, "\nlast\n") {
		t.Errorf("of a long log: %d bytes, %.20q to %q", len(got), got, got[max(0, len(got)-20):])
	}
	// One line that is too long is cut, and not within a character.
	for range logLimit/(3*len(line)) + 1 {
		log.write("stdout P " + strings.Repeat("…", len(line)))
	}
	log.write("stdout F !")
	got = c.logs(t)
	if len(got) > logLimit || len(got) < logLimit-3 || !strings.HasPrefix(got, "…") || !strings.HasSuffix(got, "…!\n") {
		t.Errorf("of a long line: %d bytes, %.20q to %q", len(got), got, got[max(0, len(got)-20):])
	}
}

func TestLogsOfWhatHasEnded(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	g := sdkGroup(sdkContainer("web"), sdkContainer("other"))
	g.Properties.RestartPolicy = to.Ptr(aci.ContainerGroupRestartPolicyNever)
	c.create(t, "web", g)
	log := c.openLog(t)
	for i := range 3000 {
		log.write(fmt.Sprintf("stdout F %d", i))
	}
	w.runtime.finish(t, "web", 0, "")
	c.eventually(t, "web", "half over", func(g *aci.ContainerGroup) bool {
		return *g.Properties.Containers[0].Properties.InstanceView.CurrentState.State == terminated
	})
	if got := c.logs(t); strings.Count(got, "\n") != 3000 {
		t.Errorf("while the group runs: %d lines", strings.Count(got, "\n"))
	}
	w.runtime.finish(t, "other", 0, "")
	c.eventually(t, "web", "over", func(g *aci.ContainerGroup) bool { return *g.Properties.InstanceView.State == succeeded })
	if got := c.logs(t); strings.Count(got, "\n") != 1000 || !strings.HasPrefix(got, "2000\n") || !strings.HasSuffix(got, "2999\n") {
		t.Errorf("of many lines: %d", strings.Count(got, "\n"))
	}
	log.write("stdout F " + strings.Repeat("x", 15<<10))
	if got := c.logs(t); len(got) > 16<<10 || len(got) < 16<<10-5 || strings.Count(got, "\n") >= 1000 {
		t.Errorf("of much: %d bytes", len(got))
	}
}

// logs returns the log of the container "web".
func (c *client) logs(t *testing.T) string {
	t.Helper()
	r, err := c.insides.ListLogs(t.Context(), "rg", "web", "web", nil)
	if err != nil {
		t.Fatal(err)
	}
	return *r.Content
}

func TestLogsAreAskedFor(t *testing.T) {
	_, c, log := logged(t)
	log.write("stdout F one", "stderr F two", "stdout P three")
	at := c.url + groupID(testSub, "rg", "web") + "/containers/web/logs?api-version=2023-05-01"
	const stamp = "2026-01-01T00:00:00.000000001Z "
	for query, want := range map[string]string{
		"":                          "one\ntwo\nthree", // what has no end yet is there as well
		"&tail=0":                   "",
		"&tail=1":                   "three",
		"&Tail=2":                   "two\nthree",
		"&tail=99999999":            "one\ntwo\nthree",
		"&timestamps=True&tail=2":   stamp + "two\n" + stamp + "three",
		"&timestamps=false&tail=10": "one\ntwo\nthree",
	} {
		status, answer := c.send(t, "GET", at+query, "")
		if content := fmt.Sprintf(`{"content":%q}`, want); status != 200 || answer != content {
			t.Errorf("%s: %d %s, want %s", query, status, answer, content)
		}
	}
	for query, want := range map[string]string{
		"&tail=-1": "InvalidTail", "&tail=all": "InvalidTail", "&tail=1.5": "InvalidTail", "&timestamps=maybe": "InvalidTimestamps",
	} {
		if status, answer := c.send(t, "GET", at+query, ""); status != 400 || !strings.Contains(answer, want) {
			t.Errorf("%s: %d %s", query, status, answer)
		}
	}
}

func TestLogsOfWhatHasNotStartedYet(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	g := sdkGroup(sdkContainer("web"), sdkContainer("late"))
	g.Properties.Containers[1].Properties.Image = to.Ptr("registry.example/late")
	if _, err := c.groups.BeginCreateOrUpdate(t.Context(), "rg", "web", g, nil); err != nil {
		t.Fatal(err)
	}
	c.eventually(t, "web", "half up", func(g *aci.ContainerGroup) bool {
		return *g.Properties.Containers[0].Properties.InstanceView.CurrentState.State == running
	})
	c.openLog(t).write("stdout F here already")
	if got := c.logs(t); got != "here already\n" {
		t.Errorf("of the one that runs: %q", got)
	}
	_, err := c.insides.ListLogs(t.Context(), "rg", "web", "late", nil)
	if code := refused(t, err); code != "ContainerGroupTransitioning" {
		t.Errorf("of the one that does not: %s", code)
	}
}
