package groups

import (
	"strings"
	"testing"

	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"
)

// pair is a group of two containers, in parts that a test can change.
const pair = `{"location":"local","tags":{},"properties":{"osType":"Linux","restartPolicy":"OnFailure","containers":[
	{"name":"one","properties":{"image":"frankenetes.internal/test:1","ports":[{"port":80}],
		"environmentVariables":[{"name":"A","value":"1"}],"resources":{"requests":{"cpu":0.5,"memoryInGB":0.5},"limits":{"cpu":1}}}},
	{"name":"two","properties":{"image":"frankenetes.internal/test:1","resources":{"requests":{"cpu":1.0,"memoryInGB":0.75}}}}],
	"volumes":[{"name":"scratch","emptyDir":{}}],"ipAddress":{"type":"Public","ports":[{"port":80}],"dnsNameLabel":"label"}}}`

// TestUpdates changes a group that runs, one thing at a time.
func TestUpdates(t *testing.T) {
	const (
		immutable = "InvalidContainerGroupUpdate"
		restarted = "restarted"
		// azuresWords were seen of the service itself.
		azuresWords = "The updates on container group 'pair' are invalid. If you are going to update the os type, restart policy, network profile, " +
			"CPU, memory or GPU resources for a container group, you must delete it first and then create a new one."
	)
	w := newWorld(t)
	w.runtime.script["zero"] = 0
	c := w.operate(t)
	at := c.url + groupID(testSub, "rg", "pair") + "?api-version=2023-05-01"
	for _, step := range []struct {
		what string
		// outcome is the code of the refusal, restarted, or empty where the
		// group is not disturbed.
		outcome string
		// change is what of the group is replaced by what, in pairs.
		change []string
	}{
		{"the restart policy", immutable, []string{`"OnFailure"`, `"Always"`}},
		{"no restart policy, which is Always", immutable, []string{`"restartPolicy":"OnFailure",`, ``}},
		{"the os type", "NotSupported", []string{`"Linux"`, `"Windows"`}}, // there is but one here
		{"the location", "LocationNotAvailableForResourceType", []string{`"local"`, `"westus"`}},
		{"the sku", "NotSupported", []string{`"osType"`, `"sku":"Dedicated","osType"`}},
		{"the priority", "NotSupported", []string{`"osType"`, `"priority":"Spot","osType"`}},
		{"the zones", "InvalidAvailabilityZone", []string{`"tags":{}`, `"zones":["1"]`}},
		{"more CPU", immutable, []string{`"cpu":0.5`, `"cpu":0.6`}},
		{"less CPU", immutable, []string{`"cpu":1.0`, `"cpu":0.5`}},
		{"more memory", immutable, []string{`"memoryInGB":0.5`, `"memoryInGB":1.5`}},
		{"less memory", immutable, []string{`"memoryInGB":0.75`, `"memoryInGB":0.5`}},
		{"CPU of another container", immutable, []string{`"cpu":0.5`, `"cpu":1.0`, `"cpu":1.0,"memoryInGB":0.75`, `"cpu":0.5,"memoryInGB":0.75`}},
		{"memory of another container", immutable, []string{`"memoryInGB":0.5`, `"memoryInGB":0.75`, `"cpu":1.0,"memoryInGB":0.75`, `"cpu":1.0,"memoryInGB":0.5`}},
		{"another limit", immutable, []string{`"limits":{"cpu":1}`, `"limits":{"cpu":1.5}`}},
		{"a limit of memory", immutable, []string{`"limits":{"cpu":1}`, `"limits":{"cpu":1,"memoryInGB":1}`}},
		{"no limit", immutable, []string{`,"limits":{"cpu":1}`, ``}},
		{"one container more", immutable, []string{`{"name":"two"`, `{"name":"three","properties":{"image":"frankenetes.internal/test:1","resources":{"requests":{"cpu":0.1,"memoryInGB":0.1}}}},{"name":"two"`}},
		{"a subnet", immutable, []string{`"ipAddress":{"type":"Public","ports":[{"port":80}],"dnsNameLabel":"label"}`, `"subnetIds":[{"id":"` + knownSubnet + `"}]`}},

		{"nothing", "", nil},
		{"tags", "", []string{`"tags":{}`, `"tags":{"a":"b"}`}},
		{"a command", restarted, []string{`"environmentVariables"`, `"command":["/x"],"environmentVariables"`}},
		{"a variable", restarted, []string{`"value":"1"`, `"value":"2"`}},
		{"a secret", restarted, []string{`"value":"1"`, `"secureValue":"1"`}},
		{"an init container", restarted, []string{`"containers":[`, `"initContainers":[{"name":"zero","properties":{"image":"frankenetes.internal/test:1"}}],"containers":[`}},
		{"ports", restarted, []string{`{"port":80}`, `{"port":81}`, `{"port":80}`, `{"port":81}`}},
		{"another label", restarted, []string{`"label"`, `"another"`}},
		{"no address", restarted, []string{`,"ipAddress":{"type":"Public","ports":[{"port":80}],"dnsNameLabel":"label"}`, ``}},
		{"a volume", restarted, []string{`"emptyDir":{}`, `"secret":{"a":""}`}},
		{"the name of a container", restarted, []string{`"name":"two"`, `"name":"three"`}},
		{"an identity", restarted, []string{`"tags":{}`, `"identity":{"type":"SystemAssigned"}`}},
	} {
		c.finishedPut(t, at, pair)
		before := w.runtime.latest("one").status.Id
		status, header, answer := c.raw(t, "PUT", at, replaced(t, pair, step.change...))
		switch step.outcome {
		case "", restarted:
			if status != 200 {
				t.Errorf("%s: %d %s", step.what, status, answer)
				continue
			}
			c.finished(t, header.Get("Azure-AsyncOperation"))
			if after := w.runtime.latest("one").status.Id; (before != after) != (step.outcome == restarted) {
				t.Errorf("%s: container %s became %s", step.what, before, after)
			}
		case immutable:
			if want := `{"error":{"code":"InvalidContainerGroupUpdate","message":"` + azuresWords + `"}}`; status != 400 || answer != want {
				t.Errorf("%s: %d %s", step.what, status, answer)
			}
		default:
			if status != 400 || !strings.Contains(answer, `"code":"`+step.outcome+`"`) {
				t.Errorf("%s: %d %s", step.what, status, answer)
			}
		}
	}
}

// finishedPut puts a group and waits until it is up.
func (c *client) finishedPut(t *testing.T, at, body string) {
	t.Helper()
	status, header, answer := c.raw(t, "PUT", at, body)
	if status != 200 && status != 201 {
		t.Fatalf("%d %s", status, answer)
	}
	c.finished(t, header.Get("Azure-AsyncOperation"))
}

// TestWhatDoesNotRunIsDeployedAsNew: nothing of a group is fixed but while it runs.
func TestWhatDoesNotRunIsDeployedAsNew(t *testing.T) {
	for what, end := range map[string]func(w *world, c *client, at string){
		"stopped": func(_ *world, c *client, at string) {
			if status, answer := c.send(t, "POST", strings.Replace(at, "?", "/stop?", 1), ""); status != 204 {
				t.Fatalf("stop: %d %s", status, answer)
			}
		},
		"ended": func(w *world, c *client, _ string) {
			w.runtime.finish(t, "one", 0, "")
			w.runtime.finish(t, "two", 0, "")
			c.eventually(t, "pair", "over", func(g *aci.ContainerGroup) bool { return *g.Properties.InstanceView.State == succeeded })
		},
		"deleted": func(_ *world, c *client, _ string) { c.delete(t, "pair") },
	} {
		w := newWorld(t)
		c := w.operate(t)
		at := c.url + groupID(testSub, "rg", "pair") + "?api-version=2023-05-01"
		c.finishedPut(t, at, pair)
		end(w, c, at)
		c.finishedPut(t, at, replaced(t, pair, `"cpu":0.5`, `"cpu":1.5`, `"limits":{"cpu":1}`, `"limits":{"cpu":2}`, `"OnFailure"`, `"Never"`))
		if _, answer := c.send(t, "GET", at, ""); !strings.Contains(answer, `"cpu":1.5`) || !strings.Contains(answer, `"restartPolicy":"Never"`) {
			t.Errorf("one that is %s: %s", what, answer)
		}
	}
}

// TestPutReplaces: what is left out returns to its default, and a secret to none.
func TestPutReplaces(t *testing.T) {
	c := newWorld(t).operate(t)
	at := c.url + groupID(testSub, "rg", "web") + "?api-version=2023-05-01"
	c.finishedPut(t, at, body(`,"environmentVariables":[{"name":"A","secureValue":"s"}],"command":["/x"]`, `,"volumes":[{"name":"secrets","secret":{"a":"cw=="}}]`))
	_, answer := c.send(t, "GET", at, "")
	for _, want := range []string{`"environmentVariables":[{"name":"A"}]`, `"secret":{}`} {
		if !strings.Contains(answer, want) {
			t.Errorf("%s is not in %s", want, answer)
		}
	}
	if code, answer := c.send(t, "PUT", at, body(`,"environmentVariables":[{"name":"A"}]`, "")); code != 400 || !strings.Contains(answer, "InvalidEnvironmentVariable") {
		t.Errorf("a secret that is not sent again: %d %s", code, answer)
	}
	c.finishedPut(t, at, body("", ""))
	_, answer = c.send(t, "GET", at, "")
	for _, gone := range []string{"secrets", `"A"`, "/x"} {
		if strings.Contains(answer, gone) {
			t.Errorf("%s is still in %s", gone, answer)
		}
	}
}
