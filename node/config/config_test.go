package config_test

import (
	"io"
	"strings"
	"testing"

	"frankenetes.dev/node/config"
)

// complete are the flags that have no default.
var complete = []string{
	"--hostname=node.example", "--kubeconfig=k", "--tls-cert-file=c", "--tls-private-key-file=p", "--client-ca-file=a",
	"--agent-ca-file=b", "--agent-ca-key-file=d", "--cloud-config=e", "--resource-group=pods", "--agent-image=agent",
}

func TestDefaults(t *testing.T) {
	c, err := config.ParseFlags(complete, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if c.Provider != config.ACI {
		t.Errorf("provider %q", c.Provider)
	}
	if c.NodeName != "virtual-kubelet" || c.AgentAddress != "node.example:10300" || c.KubeletPort != 10250 || c.RootDir != "/var/lib/kubelet" {
		t.Errorf("%+v", c)
	}
	if c.CPU != 4 || c.Memory.String() != "16G" || c.Pods != 30 {
		t.Errorf("capacity %d CPUs, %s, %d pods", c.CPU, c.Memory.String(), c.Pods)
	}
}

func TestEveryFlagThatIsMissingIsNamed(t *testing.T) {
	for i, flag := range complete {
		args := append(append([]string{}, complete[:i]...), complete[i+1:]...)
		name, _, _ := strings.Cut(flag, "=")
		if _, err := config.ParseFlags(args, io.Discard); err == nil || !strings.Contains(err.Error(), name+" ") {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestAContainerRuntimeNeedsNoCloud(t *testing.T) {
	args := []string{"--provider=cri"}
	for _, flag := range complete {
		if !strings.HasPrefix(flag, "--cloud-config") && !strings.HasPrefix(flag, "--resource-group") {
			args = append(args, flag)
		}
	}
	c, err := config.ParseFlags(args, io.Discard)
	if err != nil || c.Provider != config.CRI || c.CRISocket != "unix:///run/containerd/containerd.sock" || c.RuntimeHandler != "" {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = config.ParseFlags(append(args, "--cri-socket=unix:///run/crio/crio.sock", "--runtime-handler=kata"), io.Discard)
	if err != nil || c.CRISocket != "unix:///run/crio/crio.sock" || c.RuntimeHandler != "kata" {
		t.Errorf("%+v, %v", c, err)
	}
	for _, socket := range []string{"", "/run/containerd/containerd.sock", "tcp://127.0.0.1:1"} {
		if _, err := config.ParseFlags(append(args, "--cri-socket="+socket), io.Discard); err == nil || !strings.Contains(err.Error(), "--cri-socket ") {
			t.Errorf("with the socket %q: %v", socket, err)
		}
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	for _, bad := range []string{"--cpu=0", "--pods=-1", "--memory=much", "--memory=0", "--node-ip=home", "--no-such-flag", "surplus", "--provider=docker"} {
		if c, err := config.ParseFlags(append(complete[:len(complete):len(complete)], bad), io.Discard); err == nil {
			t.Errorf("%s gives %+v", bad, c)
		}
	}
}

func TestFlagsAreTaken(t *testing.T) {
	c, err := config.ParseFlags(append(complete[:len(complete):len(complete)],
		"--agent-address=10.0.0.1:99", "--memory=3Gi", "--cpu=2", "--pods=5", "--node-ip=10.0.0.1", "--v=2"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if c.AgentAddress != "10.0.0.1:99" || c.Memory.Value() != 3<<30 || c.CPU != 2 || c.Pods != 5 || c.Address != "10.0.0.1" || c.Verbosity != 2 {
		t.Errorf("%+v", c)
	}
}
