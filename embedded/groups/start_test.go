package groups

import (
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// TestAStartThatWasCutShortIsNoEnd leaves a container as the runtime does when
// the daemon dies while it is being started: it has ended, says the runtime,
// and something of it runs. Even one that is never restarted has still to run.
func TestAStartThatWasCutShortIsNoEnd(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	job := sdkGroup(sdkContainer("job"))
	job.Properties.RestartPolicy = to.Ptr(aci.ContainerGroupRestartPolicyNever)
	c.create(t, "job", job)
	if err := c.service.Release(); err != nil {
		t.Fatal(err)
	}
	first := w.runtime.latest("job")
	w.runtime.mu.Lock()
	first.refuse("failed to create containerd task: context canceled")
	first.undead = true
	w.runtime.mu.Unlock()

	again := w.operate(t)
	w.runtime.await(t, "the job to run", func() bool { return w.runtime.running("job") != nil })
	if second := w.runtime.latest("job"); second == first || second.config.Metadata.Attempt != 0 {
		t.Errorf("it runs as attempt %d", second.config.Metadata.Attempt)
	}
	got := again.eventually(t, "job", "running", func(g *aci.ContainerGroup) bool { return *inside(g, 0).CurrentState.State == "Running" })
	if v := inside(got, 0); state(got) != "Running" || *v.RestartCount != 0 {
		t.Errorf("it is %s after %d restarts", state(got), *v.RestartCount)
	}
	if _, containers := w.runtime.left(); containers != 1 {
		t.Errorf("there are %d containers", containers)
	}
}

// TestAGroupOfWhichSomethingRunsIsRemoved deletes a group with such a container.
func TestAGroupOfWhichSomethingRunsIsRemoved(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	c.create(t, "web", sdkGroup(sdkContainer("web")))
	latest := w.runtime.latest("web")
	w.runtime.mu.Lock()
	w.runtime.containers["cut"] = &fakeContainer{sandbox: latest.sandbox, config: latest.config, undead: true,
		status: &runtimeapi.ContainerStatus{Id: "cut", State: runtimeapi.ContainerState_CONTAINER_EXITED}}
	w.runtime.mu.Unlock()
	c.delete(t, "web")
	if sandboxes, containers := w.runtime.left(); sandboxes != 0 || containers != 0 {
		t.Errorf("%d sandboxes and %d containers are left", sandboxes, containers)
	}
}

// TestAStartThatAnotherDaemonAskedForIsAwaited meets a container that the
// runtime is still starting for the daemon that has died, and then gives up.
func TestAStartThatAnotherDaemonAskedForIsAwaited(t *testing.T) {
	w := newWorld(t)
	w.runtime.busy["job"] = 2
	c := w.operate(t)
	job := sdkGroup(sdkContainer("job"))
	job.Properties.RestartPolicy = to.Ptr(aci.ContainerGroupRestartPolicyNever)
	c.create(t, "job", job)
	got := c.eventually(t, "job", "running", func(g *aci.ContainerGroup) bool { return *inside(g, 0).CurrentState.State == "Running" })
	if *inside(got, 0).RestartCount != 0 {
		t.Errorf("%d restarts", *inside(got, 0).RestartCount)
	}
}

// TestAContainerThatIsThereAlreadyIsTaken has the runtime make a container
// whose daemon dies before it is told.
func TestAContainerThatIsThereAlreadyIsTaken(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	c.create(t, "web", sdkGroup(sdkContainer("web")))
	if err := c.service.Release(); err != nil {
		t.Fatal(err)
	}
	w.runtime.mu.Lock()
	latest := w.runtime.running("web")
	made := &fakeContainer{sandbox: latest.sandbox, status: &runtimeapi.ContainerStatus{Id: "late"}, config: &runtimeapi.ContainerConfig{
		Metadata: &runtimeapi.ContainerMetadata{Name: "web", Attempt: 1}, Labels: latest.config.Labels}}
	w.runtime.mu.Unlock()

	w.operate(t)
	w.runtime.mu.Lock() // once it was looked for
	w.runtime.containers["late"] = made
	w.runtime.mu.Unlock()
	w.runtime.finish(t, "web", 1, "")
	w.runtime.await(t, "the second run", func() bool { r := w.runtime.running("web"); return r != nil && r.status.Id == "late" })
}
