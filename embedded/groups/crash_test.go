package groups

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"
	"github.com/google/go-cmp/cmp"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/embedded/store"
)

func TestContainersOutliveTheDaemon(t *testing.T) {
	w := newWorld(t)
	w.runtime.script["setup"] = 0
	c := w.operate(t)
	g := sdkGroup(sdkContainer("web"), sdkContainer("worker"))
	g.Properties.InitContainers = []*aci.InitContainerDefinition{{Name: to.Ptr("setup"), Properties: &aci.InitContainerPropertiesDefinition{Image: to.Ptr(testImage)}}}
	c.create(t, "live", g)
	job := sdkGroup(sdkContainer("job"))
	job.Properties.RestartPolicy = to.Ptr(aci.ContainerGroupRestartPolicyNever)
	c.create(t, "job", job)
	w.runtime.finish(t, "worker", 5, "") // and so it runs for the second time
	w.runtime.await(t, "the restart", func() bool { r := w.runtime.running("worker"); return r != nil && r.config.Metadata.Attempt == 1 })
	web := w.runtime.latest("web").status.Id

	// The daemon dies; while nobody looks, the job ends.
	if err := c.service.Release(); err != nil {
		t.Fatal(err)
	}
	w.runtime.finish(t, "job", 6, "")
	before := w.runtime.history()

	again := w.operate(t)
	again.eventually(t, "live", "running", func(g *aci.ContainerGroup) bool { return state(g) == "Running" })
	got := again.eventually(t, "job", "failed", func(g *aci.ContainerGroup) bool { return state(g) == "Failed" })
	if *inside(got, 0).CurrentState.ExitCode != 6 {
		t.Errorf("the job ended with %d", *inside(got, 0).CurrentState.ExitCode)
	}
	if w.runtime.latest("web").status.Id != web {
		t.Error("a container that ran was replaced")
	}
	live := again.get(t, "live")
	if v := inside(live, 1); *v.RestartCount != 1 || *v.PreviousState.ExitCode != 5 {
		t.Errorf("worker: %d restarts, last exit %v", *v.RestartCount, v.PreviousState)
	}
	if v := live.Properties.InitContainers[0].Properties.InstanceView; *v.CurrentState.State != "Terminated" {
		t.Errorf("the init container is %s", *v.CurrentState.State)
	}
	if after := strings.TrimPrefix(w.runtime.history(), before); strings.Contains(after, "start") || strings.Contains(after, "run ") {
		t.Errorf("adoption started something: %s", after)
	}

	// And the new daemon looks after them as the old one did.
	w.runtime.finish(t, "web", 1, "")
	w.runtime.await(t, "a restart of web", func() bool { r := w.runtime.running("web"); return r != nil && r.config.Metadata.Attempt == 1 })
}

func TestWhatShouldRunIsStartedAgain(t *testing.T) {
	w := newWorld(t)
	w.runtime.script["done"] = 0
	c := w.operate(t)
	c.create(t, "web", sdkGroup(sdkContainer("web")))
	c.create(t, "stopped", sdkGroup(sdkContainer("idle")))
	if _, err := c.groups.Stop(t.Context(), "rg", "stopped", nil); err != nil {
		t.Fatal(err)
	}
	once := sdkGroup(sdkContainer("done"))
	once.Properties.RestartPolicy = to.Ptr(aci.ContainerGroupRestartPolicyNever)
	c.create(t, "once", once)
	c.eventually(t, "once", "succeeded", func(g *aci.ContainerGroup) bool { return state(g) == "Succeeded" })

	if err := c.service.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if sandboxes, containers := w.runtime.left(); sandboxes != 0 || containers != 0 || w.cgroups.count() != 0 {
		t.Errorf("after the orderly stop: %d sandboxes, %d containers, %d control groups", sandboxes, containers, w.cgroups.count())
	}
	if !strings.Contains(w.runtime.history(), "stop web after 10 s") {
		t.Errorf("no grace for the containers: %s", w.runtime.history())
	}

	again := w.operate(t)
	again.eventually(t, "web", "running", func(g *aci.ContainerGroup) bool { return state(g) == "Running" })
	if got := state(again.get(t, "stopped")); got != "Stopped" {
		t.Errorf("the stopped group is %s", got)
	}
	if got := again.get(t, "once"); state(got) != "Succeeded" || *inside(got, 0).CurrentState.ExitCode != 0 {
		t.Errorf("the group that had ended is %s", state(got))
	}
	if w.runtime.latest("idle") != nil {
		t.Error("the stopped group runs")
	}
}

func TestALostSandboxIsReplaced(t *testing.T) {
	w := newWorld(t)
	w.runtime.script["setup"] = 0
	c := w.operate(t)
	g := sdkGroup(sdkContainer("web"))
	g.Properties.InitContainers = []*aci.InitContainerDefinition{{Name: to.Ptr("setup"), Properties: &aci.InitContainerPropertiesDefinition{Image: to.Ptr(testImage)}}}
	c.create(t, "web", g)
	once := sdkGroup(sdkContainer("once"))
	once.Properties.RestartPolicy = to.Ptr(aci.ContainerGroupRestartPolicyNever)
	c.create(t, "once", once)
	first := w.runtime.latest("web").sandbox

	w.runtime.lose("web")
	w.runtime.await(t, "another sandbox", func() bool { r := w.runtime.running("web"); return r != nil && r.sandbox != first })
	c.eventually(t, "web", "running", func(g *aci.ContainerGroup) bool {
		return state(g) == "Running" && *inside(g, 0).CurrentState.State == "Running"
	})
	if n := strings.Count(w.runtime.history(), "start setup"); n != 2 {
		t.Errorf("the init container ran %d times", n)
	}

	w.runtime.lose("once")
	c.eventually(t, "once", "failed", func(g *aci.ContainerGroup) bool { return state(g) == "Failed" })
}

func TestRemainsAreSwept(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	c.create(t, "web", sdkGroup(sdkContainer("web")))
	if err := c.service.Release(); err != nil {
		t.Fatal(err)
	}
	// Someone else's sandbox has no label of ours, and is none of our business.
	if _, err := w.options.Runtime.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{
		Config: &runtimeapi.PodSandboxConfig{Metadata: &runtimeapi.PodSandboxMetadata{Name: "foreign"}}}); err != nil {
		t.Fatal(err)
	}
	// The record is lost: what runs belongs to nobody.
	if err := w.store.Delete(kind, groupKey(testSub, "rg", "web")); err != nil {
		t.Fatal(err)
	}
	w.operate(t)
	if sandboxes, containers := w.runtime.left(); sandboxes != 1 || containers != 0 {
		t.Errorf("%d sandboxes, want the foreign one, and %d containers are left", sandboxes, containers)
	}
}

// TestTroubleEndsNothingThatRuns takes over a group while the runtime does not
// answer and its share is gone, and restarts it then.
func TestTroubleEndsNothingThatRuns(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	web := sdkGroup(sdkContainer("web"))
	web.Properties.Volumes = []*aci.Volume{{Name: to.Ptr("share"), AzureFile: &aci.AzureFileVolume{
		ShareName: to.Ptr("data"), StorageAccountName: to.Ptr("account"), StorageAccountKey: to.Ptr("a2V5")}}}
	web.Properties.Containers[0].Properties.VolumeMounts = []*aci.VolumeMount{{Name: to.Ptr("share"), MountPath: to.Ptr("/share")}}
	c.create(t, "web", web)
	if err := c.service.Release(); err != nil {
		t.Fatal(err)
	}
	before := w.runtime.latest("web")
	w.options.Shares = noShares{}
	w.runtime.mu.Lock()
	w.runtime.mute = 1
	w.runtime.mu.Unlock()

	again := w.operate(t)
	w.runtime.await(t, "the runtime to be asked", func() bool { return w.runtime.mute == 0 })
	if w.runtime.latest("web") != before {
		t.Errorf("it was ended: %s", w.runtime.history())
	}
	w.runtime.mu.Lock()
	w.runtime.mute = 1
	w.runtime.mu.Unlock()
	if _, err := again.groups.BeginRestart(t.Context(), "rg", "web", nil); err != nil {
		t.Fatal(err)
	}
	again.eventually(t, "web", "waiting for its share", func(g *aci.ContainerGroup) bool {
		return slices.ContainsFunc(g.Properties.InstanceView.Events, func(e *aci.Event) bool { return *e.Name == "FailedMount" })
	})
	if history := w.runtime.history(); strings.Count(history, "run web") != 1 {
		t.Errorf("it has another sandbox: %s", history)
	}
}

// TestWhatEndsUnseenIsKnown ends containers while there is no daemon, and then
// loses the host. What had ended has ended, and what had not runs again.
func TestWhatEndsUnseenIsKnown(t *testing.T) {
	w := newWorld(t)
	w.runtime.script["setup"] = 0
	c := w.operate(t)
	never := func(g aci.ContainerGroup) aci.ContainerGroup {
		g.Properties.RestartPolicy = to.Ptr(aci.ContainerGroupRestartPolicyNever)
		return g
	}
	job := never(sdkGroup(sdkContainer("job")))
	job.Properties.InitContainers = []*aci.InitContainerDefinition{{Name: to.Ptr("setup"), Properties: &aci.InitContainerPropertiesDefinition{Image: to.Ptr(testImage)}}}
	c.create(t, "job", job)
	c.create(t, "pair", never(sdkGroup(sdkContainer("short"), sdkContainer("long"))))
	c.create(t, "web", sdkGroup(sdkContainer("web")))
	if err := c.service.Release(); err != nil {
		t.Fatal(err)
	}
	w.runtime.finish(t, "job", 6, "Error")
	w.runtime.finish(t, "short", 3, "Error")
	w.runtime.finish(t, "web", 1, "Error")
	for _, name := range []string{"job", "pair", "web"} {
		w.runtime.lose(name)
	}
	before := w.runtime.history()

	again := w.operate(t)
	if got := again.get(t, "job"); state(got) != "Failed" || *inside(got, 0).CurrentState.ExitCode != 6 {
		t.Errorf("the job is %s", state(got))
	}
	pair := again.eventually(t, "pair", "running", func(g *aci.ContainerGroup) bool { return *inside(g, 1).CurrentState.State == "Running" })
	if s := inside(pair, 0).CurrentState; *s.State != "Terminated" || *s.ExitCode != 3 {
		t.Errorf("the short container is %s", *s.State)
	}
	web := again.eventually(t, "web", "running", func(g *aci.ContainerGroup) bool { return *inside(g, 0).CurrentState.State == "Running" })
	if v := inside(web, 0); *v.RestartCount != 1 || *v.PreviousState.ExitCode != 1 {
		t.Errorf("web: %d restarts, the last run ended with %d", *v.RestartCount, *v.PreviousState.ExitCode)
	}
	for _, name := range []string{"start job", "start setup", "start short"} {
		if after := strings.TrimPrefix(w.runtime.history(), before); strings.Contains(after, name) {
			t.Errorf("%s: %s", name, after)
		}
	}
}

// TestAdoptionLeavesFilesAlone adopts a container that may be reading its secret.
func TestAdoptionLeavesFilesAlone(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	web := sdkGroup(sdkContainer("web"))
	web.Properties.Volumes = []*aci.Volume{{Name: to.Ptr("secret"), Secret: map[string]*string{"word": to.Ptr("b3Blbg==")}}}
	c.create(t, "web", web)
	var times []time.Time
	written := time.Unix(1, 0)
	files := func() []string {
		hosts, _ := filepath.Glob(filepath.Join(w.dir, "volumes", "*", ".hosts"))
		secrets, _ := filepath.Glob(filepath.Join(w.dir, "memory", "*", "secret", "word"))
		return append(hosts, secrets...)
	}
	for _, file := range files() {
		if err := os.Chtimes(file, written, written); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.service.Release(); err != nil {
		t.Fatal(err)
	}
	w.operate(t)
	w.runtime.finish(t, "web", 1, "")
	w.runtime.await(t, "the second run", func() bool { r := w.runtime.running("web"); return r != nil && r.config.Metadata.Attempt == 1 })
	for _, file := range files() {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, info.ModTime())
	}
	if diff := cmp.Diff([]time.Time{written, written}, times, cmp.Comparer(time.Time.Equal)); diff != "" {
		t.Errorf("files were written again: %s", diff)
	}
}

// TestStraysAreSwept has sandboxes come to be that a daemon had asked for
// before it died: of a group that is no more, of one that has ended, and
// another one of a group that runs.
func TestStraysAreSwept(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	c.create(t, "web", sdkGroup(sdkContainer("web")))
	job := sdkGroup(sdkContainer("job"))
	job.Properties.RestartPolicy = to.Ptr(aci.ContainerGroupRestartPolicyNever)
	c.create(t, "job", job)
	w.runtime.finish(t, "job", 6, "")
	c.eventually(t, "job", "failed", func(g *aci.ContainerGroup) bool { return state(g) == "Failed" })
	if d := c.service.get(groupKey(testSub, "rg", "job")).live(); d != nil {
		<-d.done
	}
	uidOf := func(name string) string {
		var r record
		if err := w.store.Get(kind, groupKey(testSub, "rg", name), &r); err != nil {
			t.Fatal(err)
		}
		return r.UID
	}
	for name, uid := range map[string]string{"gone": "0123", "job": uidOf("job"), "web": uidOf("web")} {
		_, err := w.options.Runtime.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{Config: &runtimeapi.PodSandboxConfig{
			Metadata: &runtimeapi.PodSandboxMetadata{Name: "stray"}, Labels: map[string]string{labelGroup: groupKey(testSub, "rg", name), labelUID: uid}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := c.service.sweepStrays(t.Context()); err != nil {
		t.Fatal(err)
	}
	if sandboxes, containers := w.runtime.left(); sandboxes != 1 || containers != 1 || w.runtime.latest("web") == nil {
		t.Errorf("%d sandboxes and %d containers are left", sandboxes, containers)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "logs", uidOf("job"))); err != nil {
		t.Errorf("the log of the job is gone: %v", err)
	}
}

func TestAGroupThatIsDeletedAsItEndsStaysDeleted(t *testing.T) {
	w := newWorld(t)
	ending, goOn := make(chan struct{}, 10), make(chan struct{})
	w.runtime.removing = func() {
		ending <- struct{}{}
		<-goOn
	}
	c := w.operate(t)
	job := sdkGroup(sdkContainer("job"))
	job.Properties.RestartPolicy = to.Ptr(aci.ContainerGroupRestartPolicyNever)
	c.create(t, "job", job)
	w.runtime.finish(t, "job", 0, "")
	<-ending // it has ended and is being taken down
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if poller, err := c.groups.BeginDelete(t.Context(), "rg", "job", nil); err != nil {
			t.Error(err)
		} else if _, err := poller.PollUntilDone(t.Context(), nil); err != nil {
			t.Error(err)
		}
	}()
	var r record
	for w.store.Get(kind, groupKey(testSub, "rg", "job"), &r) == nil { // until the deletion is under way
		runtime.Gosched()
	}
	close(goOn)
	<-gone
	if err := w.store.Get(kind, groupKey(testSub, "rg", "job"), &r); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("its record is there again: %v", err)
	}
}

// TestWhatIsUnderWayIsOnRecord looks at the record at the moment when a daemon
// that dies would leave containers behind, half taken down.
func TestWhatIsUnderWayIsOnRecord(t *testing.T) {
	w := newWorld(t)
	ending, goOn := make(chan struct{}), make(chan struct{})
	w.runtime.removing = func() {
		ending <- struct{}{}
		<-goOn
	}
	c := w.operate(t)
	var r record
	read := func(name string) error { return w.store.Get(kind, groupKey(testSub, "rg", name), &r) }

	job := sdkGroup(sdkContainer("job"))
	job.Properties.RestartPolicy = to.Ptr(aci.ContainerGroupRestartPolicyNever)
	c.create(t, "job", job)
	w.runtime.finish(t, "job", 6, "")
	<-ending
	if err := read("job"); err != nil || r.Result == nil || *r.Result.Containers["job"].Current.ExitCode != 6 {
		t.Errorf("the result of a group that is taken down is %v, %v", r.Result, err)
	}
	goOn <- struct{}{}

	c.create(t, "web", sdkGroup(sdkContainer("web")))
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		c.delete(t, "web")
	}()
	<-ending
	if err := read("web"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the record of a group that is being deleted: %v", err)
	}
	goOn <- struct{}{}
	<-gone
}

// TestAGroupThatRunsKeepsItsAddress lets groups resume that had an address
// before another one got it, which runs.
func TestAGroupThatRunsKeepsItsAddress(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	c.create(t, "runs", sdkGroup(sdkContainer("runs")))
	if err := c.service.Release(); err != nil {
		t.Fatal(err)
	}
	before := w.runtime.latest("runs")
	var r record
	if err := w.store.Get(kind, groupKey(testSub, "rg", "runs"), &r); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		r.UID, r.Group.Name = name, name
		if err := w.store.Put(kind, groupKey(testSub, "rg", name), r); err != nil {
			t.Fatal(err)
		}
	}
	w.network = newFakeNetwork() // as a new daemon's is
	w.options.Network = w.network
	again := w.operate(t)
	again.eventually(t, "a", "running", func(g *aci.ContainerGroup) bool { return state(g) == "Running" })
	again.eventually(t, "runs", "running", func(g *aci.ContainerGroup) bool { return state(g) == "Running" })
	w.runtime.mu.Lock()
	defer w.runtime.mu.Unlock()
	if w.runtime.containers[before.status.Id] != before {
		t.Error("the group that ran was deployed anew")
	}
}

func TestDeletingTheResourceGroupDeletesItsGroups(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	c.create(t, "one", sdkGroup(sdkContainer("one")))
	c.create(t, "two", sdkGroup(sdkContainer("two")))
	if err := c.service.deleteResourceGroup(t.Context(), testSub, "RG"); err != nil {
		t.Fatal(err)
	}
	if sandboxes, _ := w.runtime.left(); sandboxes != 0 || c.service.Count() != 0 {
		t.Errorf("%d sandboxes, %d groups are left", sandboxes, c.service.Count())
	}
}

func TestTheNextStartTakesNoGroupForRunningThatWasBeingStopped(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	c.create(t, "web", sdkGroup(sdkContainer("web")))
	// The daemon dies when it has noted the stop and not yet done it.
	if err := c.service.Release(); err != nil {
		t.Fatal(err)
	}
	var r record
	key := groupKey(testSub, "rg", "web")
	if err := w.store.Get(kind, key, &r); err != nil {
		t.Fatal(err)
	}
	r.Stopped = true
	if err := w.store.Put(kind, key, r); err != nil {
		t.Fatal(err)
	}
	again := w.operate(t)
	if sandboxes, containers := w.runtime.left(); sandboxes != 0 || containers != 0 {
		t.Errorf("%d sandboxes and %d containers of a group that is %s", sandboxes, containers, state(again.get(t, "web")))
	}
}

// TestWhatADeadDaemonLeftIsTakenDown stops a cloud whose daemon was killed: a
// job that ended meanwhile keeps its result, and nothing is started.
func TestWhatADeadDaemonLeftIsTakenDown(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	c.create(t, "web", sdkGroup(sdkContainer("web")))
	job := sdkGroup(sdkContainer("job"))
	job.Properties.RestartPolicy = to.Ptr(aci.ContainerGroupRestartPolicyNever)
	c.create(t, "job", job)
	if err := c.service.Release(); err != nil {
		t.Fatal(err)
	}
	w.runtime.finish(t, "job", 6, "")
	before := w.runtime.history()

	options := w.options
	s := New(options)
	if err := s.Adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if sandboxes, containers := w.runtime.left(); sandboxes != 0 || containers != 0 {
		t.Errorf("%d sandboxes and %d containers are left", sandboxes, containers)
	}
	if after := strings.TrimPrefix(w.runtime.history(), before); strings.Contains(after, "start ") || strings.Contains(after, "run ") {
		t.Errorf("something was started: %s", after)
	}
	again := w.operate(t)
	if got := again.get(t, "job"); state(got) != "Failed" || *inside(got, 0).CurrentState.ExitCode != 6 {
		t.Errorf("the job is %s", state(got))
	}
	again.eventually(t, "web", "running", func(g *aci.ContainerGroup) bool { return state(g) == "Running" })
}

// TestAStopThatIsKilledEndsNoJob kills the daemon while it ends groups with the
// cloud. A job that it had killed did not fail: it runs again, as do those that
// it had not come to.
func TestAStopThatIsKilledEndsNoJob(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	for _, name := range []string{"killed", "done", "left"} {
		job := sdkGroup(sdkContainer(name))
		job.Properties.RestartPolicy = to.Ptr(aci.ContainerGroupRestartPolicyNever)
		c.create(t, name, job)
	}
	if err := c.service.Release(); err != nil {
		t.Fatal(err)
	}
	w.runtime.finish(t, "done", 6, "") // by itself, before
	if err := c.service.noteStop(); err != nil {
		t.Fatal(err)
	}
	w.runtime.finish(t, "killed", exitKilled, "")
	left := w.runtime.latest("left").sandbox

	again := w.operate(t)
	if got := again.get(t, "done"); state(got) != "Failed" || *inside(got, 0).CurrentState.ExitCode != 6 {
		t.Errorf("the job that had ended before is %s", state(got))
	}
	for _, name := range []string{"killed", "left"} {
		again.eventually(t, name, "running again", func(g *aci.ContainerGroup) bool { return state(g) == "Running" })
	}
	if w.runtime.latest("left").sandbox == left {
		t.Error("what was told to end was taken over")
	}
	// And that is over: the next one takes over what runs.
	now := w.runtime.latest("killed").sandbox
	if err := again.service.Release(); err != nil {
		t.Fatal(err)
	}
	last := w.operate(t)
	last.eventually(t, "killed", "running", func(g *aci.ContainerGroup) bool { return state(g) == "Running" })
	if w.runtime.latest("killed").sandbox != now {
		t.Error("what runs is not taken over")
	}
}

// TestWhatIsToEndEndsWhenTheRuntimeIsBack stops and replaces groups while the
// runtime is away for longer than it is asked again at once.
func TestWhatIsToEndEndsWhenTheRuntimeIsBack(t *testing.T) {
	t.Parallel()
	const away = 12
	actions := map[string]func(*testing.T, *client){
		"stop": func(t *testing.T, c *client) {
			if _, err := c.groups.Stop(t.Context(), "rg", "web", nil); err != nil {
				t.Fatal(err)
			}
			if got := state(c.get(t, "web")); got != "Stopped" {
				t.Errorf("it is %s", got)
			}
			if _, err := c.groups.BeginStart(t.Context(), "rg", "web", nil); err != nil {
				t.Fatal(err)
			}
		},
		"put": func(t *testing.T, c *client) {
			other := sdkContainer("web")
			other.Properties.Command = to.SliceOfPtrs("other")
			c.create(t, "web", sdkGroup(other))
		},
	}
	for name, act := range actions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c := w.operate(t)
			c.create(t, "web", sdkGroup(sdkContainer("web")))
			first := w.runtime.latest("web").sandbox
			w.runtime.mu.Lock()
			w.runtime.away = away
			w.runtime.mu.Unlock()
			act(t, c)
			w.runtime.await(t, "another sandbox", func() bool { r := w.runtime.running("web"); return r != nil && r.sandbox != first })
			c.eventually(t, "web", "running", func(g *aci.ContainerGroup) bool { return state(g) == "Running" })
			if sandboxes, _ := w.runtime.left(); sandboxes != 1 {
				t.Errorf("there are %d sandboxes", sandboxes)
			}
		})
	}
}
