package cloudtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAz does with az what the posts do, and what az can do besides.
func TestAz(t *testing.T) {
	a := newAzure(newCloud(t))
	a.part("a resource group and a share, as in the posts", testAzBeginning)
	a.part("groups, as in the posts", testAzPosts)
	a.part("show, list, logs", testAzLooking)
	a.part("exec and attach", testAzInside)
	a.part("export, and a YAML file", testAzFile)
	a.part("stop, start, restart", testAzActions)
	a.part("mistakes", testAzMistakes)
	a.part("delete", testAzDelete)
}

func testAzBeginning(a *azure) {
	var group struct{ Name, Location string }
	a.decode(&group, "group", "create", "-n", "frankenetes", "-l", a.conn.Location)
	if group.Name != "frankenetes" || group.Location != a.conn.Location {
		a.T.Errorf("resource group %+v", group)
	}
	var account struct{ Name, ProvisioningState string }
	a.decode(&account, "storage", "account", "create", "-n", "frankenetes", "-g", "frankenetes")
	if account.Name != "frankenetes" || account.ProvisioningState != "Succeeded" {
		a.T.Errorf("storage account %+v", account)
	}
	a.run("storage", "share-rm", "create", "-g", "frankenetes", "--storage-account", "frankenetes", "-n", "etcd")
}

func testAzPosts(a *azure) {
	key := strings.TrimSpace(a.run("storage", "account", "keys", "list", "-n", "frankenetes", "-g", "frankenetes", "--query", "[0].value", "-o", "tsv"))
	together(
		func() {
			a.run("container", "create", "-g", "frankenetes",
				"--name", "etcd",
				"--image", testImage,
				"--azure-file-volume-account-name", "frankenetes",
				"--azure-file-volume-account-key", key,
				"--azure-file-volume-share-name", "etcd",
				"--azure-file-volume-mount-path", "/etcd",
				"--ports", "2379", "2389",
				"--ip-address", "public",
				"--dns-name-label", "frankenetes-etcd",
				"-e", "GREETING=good morning", "OTHER=x",
				"--secure-environment-variables", "PASSWORD=open-sesame",
				"--cpu", "0.5", "--memory", "0.5",
				"--command-line", `/bin/sh -c "echo $GREETING $PASSWORD | tee /etcd/said; while true; do nc -l -p 2379 -e echo here; done"`)
		},
		func() {
			a.run("container", "create", "-g", "frankenetes",
				"--name", "scheduler",
				"--image", testImage,
				"--restart-policy", "Never",
				"--command-line", "/bin/echo --leader-elect=true --v=2")
		},
		func() {
			a.run("container", "create", "-g", "frankenetes", "-n", "later", "--image", testImage, "--no-wait",
				"--restart-policy", "OnFailure", "--command-line", "sleep 1000000")
		},
	)
}

// azGroup is what az says of a group, in its own spelling.
type azGroup struct {
	Name, ProvisioningState, RestartPolicy string
	InstanceView                           struct{ State string }
	IPAddress                              struct{ IP, FQDN, Type string }
	Containers                             []struct {
		Command              []string
		EnvironmentVariables []struct{ Name, Value, SecureValue string }
		InstanceView         struct {
			RestartCount int
			CurrentState struct {
				State    string
				ExitCode int
			}
		}
	}
}

func (a *azure) show(name string) azGroup {
	a.T.Helper()
	var g azGroup
	a.decode(&g, "container", "show", "-g", "frankenetes", "-n", name)
	return g
}

func testAzLooking(a *azure) {
	var listed []azGroup
	var table, logs, followed string
	var g azGroup
	together(
		func() { g = a.show("etcd") },
		func() { a.decode(&listed, "container", "list", "-g", "frankenetes") },
		func() { table = a.run("container", "list", "-o", "table") },
		func() { logs = a.run("container", "logs", "-g", "frankenetes", "-n", "etcd") },
		func() { followed = a.run("container", "logs", "-g", "frankenetes", "-n", "scheduler", "--follow") },
	)
	if want := "frankenetes-etcd." + a.conn.Location + ".azurecontainer.io"; g.InstanceView.State != "Running" || g.IPAddress.FQDN != want || g.IPAddress.Type != "Public" {
		a.T.Errorf("etcd: %+v", g)
	}
	for _, v := range g.Containers[0].EnvironmentVariables {
		if v.SecureValue != "" || v.Name == "PASSWORD" && v.Value != "" {
			a.T.Errorf("the secure variable came back: %+v", v)
		}
	}
	if len(listed) != 3 {
		a.T.Errorf("%d groups are listed, want 3", len(listed))
	}
	if !strings.Contains(table, g.IPAddress.IP+":2379,2389") {
		a.T.Errorf("the table of all groups:\n%s", table)
	}
	if strings.TrimSpace(logs) != "good morning open-sesame" {
		a.T.Errorf("log of etcd: %q", logs)
	}
	if !strings.Contains(followed, "--leader-elect=true --v=2") {
		a.T.Errorf("log of the scheduler, followed: %q", followed)
	}
}

func testAzInside(a *azure) {
	var shell string
	together(
		func() {
			shell = a.terminal("/ # ", "cat /etcd/said; echo $((6 * 7))\nexit\n",
				"container", "exec", "-g", "frankenetes", "-n", "etcd", "--exec-command", "/bin/sh")
		},
		func() {
			attached := a.until("open-sesame", "container", "attach", "-g", "frankenetes", "-n", "etcd")
			if !strings.Contains(attached, "Started container") {
				a.T.Errorf("attach shows no events: %q", attached)
			}
		},
	)
	if !strings.Contains(shell, "good morning open-sesame") || !strings.Contains(shell, "42") {
		a.T.Errorf("a shell by exec: %q", shell)
	}
}

// testAzFile exports a group and makes another of what was exported.
func testAzFile(a *azure) {
	file := filepath.Join(a.T.TempDir(), "group.yaml")
	a.run("container", "export", "-g", "frankenetes", "-n", "later", "-f", file)
	text, err := os.ReadFile(file)
	if err != nil {
		a.T.Fatal(err)
	}
	if !strings.Contains(string(text), "sleep") || strings.Contains(string(text), "instanceView") {
		a.T.Errorf("exported:\n%s", text)
	}
	copied := strings.ReplaceAll(string(text), "name: later", "name: copied")
	if err := os.WriteFile(file, []byte(copied), 0o600); err != nil {
		a.T.Fatal(err)
	}
	a.run("container", "create", "-g", "frankenetes", "--file", file)
	if g := a.show("copied"); g.InstanceView.State != "Running" || g.RestartPolicy != "OnFailure" {
		a.T.Errorf("made of a file: %+v", g)
	}
}

func testAzActions(a *azure) {
	together(
		func() { a.run("container", "stop", "-g", "frankenetes", "-n", "later") },
		func() { a.run("container", "restart", "-g", "frankenetes", "-n", "etcd") },
	)
	if g := a.show("later"); g.InstanceView.State != "Stopped" {
		a.T.Errorf("after stop: %+v", g)
	}
	a.run("container", "start", "-g", "frankenetes", "-n", "later")
	together(
		func() {
			if g := a.show("later"); g.InstanceView.State != "Running" {
				a.T.Errorf("after start: %+v", g)
			}
		},
		func() {
			if g := a.show("etcd"); g.InstanceView.State != "Running" || g.IPAddress.IP == "" {
				a.T.Errorf("after restart: %+v", g)
			}
		},
	)
}

func testAzMistakes(a *azure) {
	together(
		func() { a.fails("ResourceNotFound", "container", "show", "-g", "frankenetes", "-n", "nobody") },
		func() { a.fails("ResourceGroupNotFound", "container", "show", "-g", "nowhere", "-n", "etcd") },
		func() { a.fails("ResourceNotFound", "container", "logs", "-g", "frankenetes", "-n", "nobody") },
		func() {
			a.fails("frankenetes.internal/no-such-image", "container", "create", "-g", "frankenetes", "-n", "wrong", "--image", "frankenetes.internal/no-such-image")
		},
		func() {
			a.fails("DNS name label", "container", "create", "-g", "frankenetes", "-n", "wrong", "--image", testImage, "--dns-name-label", "a")
		},
		func() {
			a.fails("Invalid", "container", "create", "-g", "frankenetes", "-n", "Not_A_Name", "--image", testImage)
		},
	)
}

func testAzDelete(a *azure) {
	together(
		func() { a.run("container", "delete", "-g", "frankenetes", "-n", "etcd", "-y") },
		func() { a.run("container", "delete", "-g", "frankenetes", "-n", "copied", "-y") },
	)
	a.fails("ResourceNotFound", "container", "show", "-g", "frankenetes", "-n", "etcd")
	a.run("group", "delete", "-n", "frankenetes", "-y")
	if out := a.run("group", "exists", "-n", "frankenetes"); strings.TrimSpace(out) != "false" {
		a.T.Errorf("group exists after its deletion: %q", out)
	}
}
