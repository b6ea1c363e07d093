package cloudtest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"

	"frankenetes.dev/cloud"
)

// TestStates is what becomes of containers: how they end, are restarted,
// probed, stopped, and what a new daemon knows of all that.
func TestStates(t *testing.T) {
	c := newCloud(t)
	c.part("how containers end", testExitCodes)
	c.part("an init container that fails", testInitFails)
	c.part("probes", testProbes)
	c.part("restart keeps the address and the directories", testRestart)
	c.part("stop and start", testStopAndStart)
	c.part("a new daemon knows what was", testNewDaemon)
}

func view(g *cloud.Group, container string) *aci.ContainerPropertiesInstanceView {
	for _, c := range g.Properties.Containers {
		if *c.Name == container {
			return c.Properties.InstanceView
		}
	}
	return nil
}

// events are the names and messages of all events of a group, one per line.
func events(g *cloud.Group) string {
	var b strings.Builder
	list := g.Properties.InstanceView.Events
	for _, c := range g.Properties.Containers {
		list = append(list, c.Properties.InstanceView.Events...)
	}
	for _, e := range list {
		fmt.Fprintf(&b, "%s %s: %s (%d)\n", *e.Type, *e.Name, *e.Message, *e.Count)
	}
	return b.String()
}

func testExitCodes(c *localCloud) {
	c.put("ends", container("well", "true"), container("badly", "sh", "-c", "exit 7"), container("absent", "/no/such/file"),
		container("greedy", "sh", "-c", "x=a; while :; do x=$x$x; done"))
	g := c.await("ends", "at its end", func(g *cloud.Group) bool { return stateOf(g) == "Failed" })
	for name, want := range map[string]string{"well": "0 Completed", "badly": "7 Error", "absent": "128 Error", "greedy": "137 OOMKilled"} {
		s := view(g, name).CurrentState
		if got := fmt.Sprintf("%d %s", *s.ExitCode, *s.DetailStatus); got != want || *s.State != "Terminated" || s.FinishTime == nil {
			c.T.Errorf("%s: %s %s, want %s", name, *s.State, got, want)
		}
	}
	c.remove("ends")

	again := c.group(container("crash", "sh", "-c", "echo run; exit 3"))
	again.Properties.RestartPolicy = to.Ptr(aci.ContainerGroupRestartPolicyOnFailure)
	c.putGroup("again", again)
	g = c.await("again", "backing off", func(g *cloud.Group) bool {
		return strings.HasPrefix(*view(g, "crash").CurrentState.DetailStatus, "CrashLoopBackOff")
	})
	if v := view(g, "crash"); *v.RestartCount != 1 || *v.PreviousState.ExitCode != 3 || *v.PreviousState.State != "Terminated" || v.CurrentState.StartTime == nil {
		c.T.Errorf("after two runs: %d restarts, %v", *v.RestartCount, v.PreviousState)
	}
	for _, event := range []string{"Normal Pulling", "Normal Pulled", "Normal Created", "Normal Started: Started container (2)", "Warning BackOff"} {
		if !strings.Contains(events(g), event) {
			c.T.Errorf("no event %q in\n%s", event, events(g))
		}
	}
	if got := c.logs("again", "crash"); got != "run\n" {
		c.T.Errorf("the log of the last run is %q", got)
	}
	c.remove("again")
}

func testInitFails(c *localCloud) {
	g := c.group(sleeper("main"))
	g.Properties.InitContainers = []*aci.InitContainerDefinition{
		{Name: to.Ptr("first"), Properties: &aci.InitContainerPropertiesDefinition{Image: to.Ptr(testImage), Command: to.SliceOfPtrs("true")}},
		{Name: to.Ptr("second"), Properties: &aci.InitContainerPropertiesDefinition{Image: to.Ptr(testImage), Command: to.SliceOfPtrs("sh", "-c", "echo cannot; exit 4")}}}
	poller, err := c.conn.Groups.BeginCreateOrUpdate(c.ctx(), resourceGroup, "init", g, nil)
	if err == nil {
		_, err = poller.PollUntilDone(c.ctx(), polling())
	}
	if err == nil {
		c.T.Error("the deployment is said to have succeeded")
	}
	got := c.get("init")
	for i, want := range []int32{0, 4} {
		if code := *got.Properties.InitContainers[i].Properties.InstanceView.CurrentState.ExitCode; code != want {
			c.T.Errorf("init container %d ended with %d", i, code)
		}
	}
	if stateOf(got) != "Failed" || *got.Properties.ProvisioningState != "Failed" || *view(got, "main").CurrentState.State != "Waiting" {
		c.T.Errorf("group %s, provisioning %s, main %s", stateOf(got), *got.Properties.ProvisioningState, *view(got, "main").CurrentState.State)
	}
	if log := c.logs("init", "second"); log != "cannot\n" {
		c.T.Errorf("log of the init container: %q", log)
	}
	c.remove("init")
}

func testProbes(c *localCloud) {
	often := func(p aci.ContainerProbe) *aci.ContainerProbe {
		p.PeriodSeconds, p.FailureThreshold = to.Ptr[int32](1), to.Ptr[int32](1)
		return &p
	}
	alive := container("alive", "sh", "-c", "trap 'exit 9' TERM; touch /tmp/well; while :; do sleep 0.1; done")
	alive.Properties.LivenessProbe = often(aci.ContainerProbe{Exec: &aci.ContainerExec{Command: to.SliceOfPtrs("cat", "/tmp/well")}, InitialDelaySeconds: to.Ptr[int32](1)})
	web := container("web", "sh", "-c", "mkdir /www; cd /www; httpd -f -p 8080")
	web.Properties.Ports = []*aci.ContainerPort{{Port: to.Ptr[int32](8080)}}
	web.Properties.ReadinessProbe = often(aci.ContainerProbe{HTTPGet: &aci.ContainerHTTPGet{Port: to.Ptr[int32](8080), Path: to.Ptr("/ready"), Scheme: to.Ptr(aci.SchemeHTTP)}})
	g := c.group(alive, web)
	g.Properties.RestartPolicy = to.Ptr(aci.ContainerGroupRestartPolicyAlways)
	g.Properties.IPAddress = &aci.IPAddress{Type: to.Ptr(aci.ContainerGroupIPAddressTypePublic), Ports: []*aci.Port{{Port: to.Ptr[int32](8080)}}}
	made := c.putGroup("probed", g)
	at := *made.Properties.IPAddress.IP + ":8080"

	c.await("probed", "found not to be ready", func(g *cloud.Group) bool {
		return strings.Contains(events(g), "Warning Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 404")
	})
	if reachable(at) {
		c.T.Error("a container that is not ready can be reached")
	}
	c.sh("probed", "web", "touch /www/ready")
	c.awaitReach(at, true)
	c.sh("probed", "web", "rm /www/ready")
	c.awaitReach(at, false)

	c.sh("probed", "alive", "rm /tmp/well")
	got := c.await("probed", "restarted", func(g *cloud.Group) bool {
		return *view(g, "alive").RestartCount == 1 && *view(g, "alive").CurrentState.State == "Running"
	})
	if p := view(got, "alive").PreviousState; *p.ExitCode != 9 {
		c.T.Errorf("it was ended with %d, not by SIGTERM", *p.ExitCode)
	}
	for _, event := range []string{"Warning Unhealthy: Liveness probe failed: cat:", "Normal Killing: Killing container with id"} {
		if !strings.Contains(events(got), event) {
			c.T.Errorf("no event %q in\n%s", event, events(got))
		}
	}
	if *view(got, "web").RestartCount != 0 {
		c.T.Error("the other container was restarted, too")
	}
	c.remove("probed")
}

func testRestart(c *localCloud) {
	keeper := container("keeper", "sh", "-c", "echo run >> /scratch/runs; echo here; sleep 1000000")
	keeper.Properties.VolumeMounts = []*aci.VolumeMount{{Name: to.Ptr("scratch"), MountPath: to.Ptr("/scratch")}}
	g := c.group(keeper, sleeper("other"))
	g.Properties.Volumes = []*aci.Volume{{Name: to.Ptr("scratch"), EmptyDir: map[string]any{}}}
	g.Properties.IPAddress = &aci.IPAddress{Type: to.Ptr(aci.ContainerGroupIPAddressTypePublic), Ports: []*aci.Port{{Port: to.Ptr[int32](80)}}}
	g.Properties.Containers[0].Properties.Ports = []*aci.ContainerPort{{Port: to.Ptr[int32](80)}}
	before := *c.putGroup("restarted", g).Properties.IPAddress.IP
	if _, err := c.conn.Groups.BeginRestart(c.ctx(), resourceGroup, "restarted", nil); err != nil {
		c.T.Fatal(err)
	}
	got := c.await("restarted", "running again", func(g *cloud.Group) bool {
		return stateOf(g) == "Running" && *view(g, "keeper").RestartCount == 1 && *view(g, "other").RestartCount == 1
	})
	if ip := *got.Properties.IPAddress.IP; ip != before {
		c.T.Errorf("its address was %s and is %s", before, ip)
	}
	if p := view(got, "keeper").PreviousState; *p.ExitCode != 137 {
		c.T.Errorf("the run before ended with %d", *p.ExitCode)
	}
	if out, _ := c.sh("restarted", "keeper", "cat /scratch/runs"); out != "run\nrun\n" {
		c.T.Errorf("the emptyDir has %q", out)
	}
	c.remove("restarted")
}

func testStopAndStart(c *localCloud) {
	g := c.group(sleeper("web"))
	g.Properties.Containers[0].Properties.Ports = []*aci.ContainerPort{{Port: to.Ptr[int32](80)}}
	g.Properties.IPAddress = &aci.IPAddress{Type: to.Ptr(aci.ContainerGroupIPAddressTypePublic), DNSNameLabel: to.Ptr("stopping"), Ports: []*aci.Port{{Port: to.Ptr[int32](80)}}}
	c.putGroup("stopped", g)
	for range 2 { // once more is no error
		if _, err := c.conn.Groups.Stop(c.ctx(), resourceGroup, "stopped", nil); err != nil {
			c.T.Fatal(err)
		}
	}
	got := c.get("stopped")
	if a := got.Properties.IPAddress; stateOf(got) != "Stopped" || *got.Properties.ProvisioningState != "Succeeded" || a.IP != nil || a.Fqdn == nil {
		c.T.Errorf("stopped: %s, provisioning %s, address %v", stateOf(got), *got.Properties.ProvisioningState, a)
	}
	_, err := c.conn.Containers.ExecuteCommand(c.ctx(), resourceGroup, "stopped", "web", aci.ContainerExecRequest{Command: to.Ptr("/bin/sh")}, nil)
	if err == nil || !strings.Contains(err.Error(), "ContainerGroupStopped") {
		c.T.Errorf("exec in a stopped group: %v", err)
	}
	for range 2 {
		poller, err := c.conn.Groups.BeginStart(c.ctx(), resourceGroup, "stopped", nil)
		if err == nil {
			_, err = poller.PollUntilDone(c.ctx(), polling())
		}
		if err != nil {
			c.T.Fatal(err)
		}
	}
	if got := c.get("stopped"); stateOf(got) != "Running" || *view(got, "web").RestartCount != 0 || got.Properties.IPAddress.IP == nil {
		c.T.Errorf("started: %s, %d restarts", stateOf(got), *view(got, "web").RestartCount)
	}
	c.remove("stopped")
}

func testNewDaemon(c *localCloud) {
	crash := container("crash", "sh", "-c", "[ -e /scratch/was ] && sleep 1000000; touch /scratch/was; exit 5")
	crash.Properties.VolumeMounts = []*aci.VolumeMount{{Name: to.Ptr("scratch"), MountPath: to.Ptr("/scratch")}}
	g := c.group(crash)
	g.Properties.RestartPolicy = to.Ptr(aci.ContainerGroupRestartPolicyAlways)
	g.Properties.Volumes = []*aci.Volume{{Name: to.Ptr("scratch"), EmptyDir: map[string]any{}}}
	c.putGroup("known", g)
	running := func(g *cloud.Group) bool {
		return *view(g, "crash").RestartCount == 1 && *view(g, "crash").CurrentState.State == "Running"
	}
	before := c.await("known", "in its second run", running)
	c.Kill9()
	c.Run("cloud", "start")
	c.conn = c.connect(c.front.config)
	after := c.await("known", "adopted", running)
	if was, is := events(before), events(after); was != is {
		c.T.Errorf("events were\n%sand are\n%s", was, is)
	}
	if *view(after, "crash").PreviousState.ExitCode != 5 || !view(after, "crash").CurrentState.StartTime.Equal(*view(before, "crash").CurrentState.StartTime) {
		c.T.Errorf("previous state %v", view(after, "crash").PreviousState)
	}
	c.remove("known")
}
