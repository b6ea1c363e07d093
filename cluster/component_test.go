package cluster

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"

	"frankenetes.dev/cloud"
)

func newTestSigner(t *testing.T) (*signer, *Record) {
	t.Helper()
	spec, err := NewSpec("demo", "local", "registry.example", "v1.2.3", 6443)
	if err != nil {
		t.Fatal(err)
	}
	authorities, err := newAuthorities("demo")
	if err != nil {
		t.Fatal(err)
	}
	r := &Record{Spec: spec, Authorities: authorities}
	s, err := newSigner(r, cloud.Config{DNSSuffix: "azurecontainer.io"})
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

// components builds all five.
func components(t *testing.T) ([]component, *signer, *Record) {
	t.Helper()
	s, r := newTestSigner(t)
	var all []component
	for _, build := range []func() (component, error){
		func() (component, error) {
			return s.store(r, storage{account: "acct", key: "the-account-key", files: "https://files"})
		},
		func() (component, error) { return s.apiserver(r, "1:6443") },
		func() (component, error) { return s.controllerManager(r) },
		s.scheduler,
		func() (component, error) {
			return s.node(nodeName(1), cloud.Identity{ID: "/id", ClientID: "client"}, "")
		},
	} {
		c, err := build()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all, s, r
}

func TestKeysAreOnlyInSecretVolumes(t *testing.T) {
	all, _, r := components(t)
	for _, c := range all {
		g := c.group(r.Spec, storage{account: "acct", key: "the-account-key"}, "")
		for _, v := range g.Properties.Volumes {
			v.Secret = nil
			if v.AzureFile != nil {
				v.AzureFile.StorageAccountKey = nil
			}
		}
		data, err := json.Marshal(g)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"PRIVATE KEY", "the-account-key", r.Authorities.Encryption} {
			if strings.Contains(string(data), secret) {
				t.Errorf("%s has %q outside of its secrets: %s", c.name, secret, data)
			}
		}
	}
}

func TestEveryFileOnACommandLineIsThere(t *testing.T) {
	all, _, _ := components(t)
	for _, c := range all {
		for _, flag := range c.command {
			if _, path, ok := strings.Cut(flag, "="+secretsPath+"/"); ok && c.secrets[path] == nil {
				t.Errorf("%s: %s is not among its files", c.name, flag)
			}
		}
	}
}

func TestNoComponentListensWithoutAsking(t *testing.T) {
	all, _, _ := components(t)
	for _, c := range all {
		line := strings.Join(c.command, " ")
		for _, bad := range []string{"http://", "insecure", "anonymous-auth=true", "read-only-port", "AlwaysAllow", "unsafe"} {
			if strings.Contains(line, bad) {
				t.Errorf("%s has %s: %s", c.name, bad, line)
			}
		}
	}
	etcd := strings.Join(all[0].command, " ")
	for _, flag := range []string{"--client-cert-auth=true", "--peer-client-cert-auth=true"} {
		if !strings.Contains(etcd, flag) {
			t.Errorf("etcd lacks %s", flag)
		}
	}
}

func leafOf(t *testing.T, data []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatalf("not a certificate: %q", data)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestTheThreeCirclesAreApart(t *testing.T) {
	all, s, _ := components(t)
	api := all[1].secrets
	for file, want := range map[string]*x509.CertPool{
		"server.crt": s.cluster.Pool(), "etcd.crt": s.etcd.Pool(), "front-proxy.crt": s.frontProxy.Pool(), "kubelet.crt": s.cluster.Pool(),
	} {
		cert := leafOf(t, api[file])
		for _, pool := range []*x509.CertPool{s.cluster.Pool(), s.etcd.Pool(), s.frontProxy.Pool()} {
			_, err := cert.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
			if (err == nil) != pool.Equal(want) {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	if err := leafOf(t, api["server.crt"]).VerifyHostname(s.fqdn(APIServer)); err != nil {
		t.Error(err)
	}
}

func TestTheNodeIsANodeAndNoMore(t *testing.T) {
	_, s, _ := components(t)
	data, err := s.kubeconfig("system:node:"+nodeName(2), "system:nodes")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "system:masters") {
		t.Error("the node is a master")
	}
	secrets, err := s.nodeSecrets(nodeName(2), cloud.Identity{ClientID: "client"})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := secrets["ca.key"]; ok {
		t.Error("the node has the cluster authority's key")
	}
	var conf cloud.Config
	if err := json.Unmarshal(secrets["cloud.json"], &conf); err != nil {
		t.Fatal(err)
	}
	if conf.Credential != (cloud.Credential{ManagedIdentity: "client"}) {
		t.Errorf("the node's credential is %+v", conf.Credential)
	}
}

func TestWhatIsWrongWithAComponent(t *testing.T) {
	group := func(state string, c aci.ContainerPropertiesInstanceView) *cloud.Group {
		return &cloud.Group{Properties: &aci.ContainerGroupPropertiesProperties{
			InstanceView: &aci.ContainerGroupPropertiesInstanceView{State: &state},
			Containers:   []*aci.Container{{Properties: &aci.ContainerProperties{InstanceView: &c}}},
		}}
	}
	current := func(state, detail string, code int32) *aci.ContainerState {
		return &aci.ContainerState{State: &state, DetailStatus: &detail, ExitCode: &code}
	}
	restarts := int32(restartsBeforeBroken)
	for title, c := range map[string]struct {
		group *cloud.Group
		want  string
	}{
		"runs":                  {group("Running", aci.ContainerPropertiesInstanceView{CurrentState: current("Running", "", 0)}), ""},
		"between two tries":     {group("Running", aci.ContainerPropertiesInstanceView{CurrentState: current("Terminated", "Error", 1)}), ""},
		"ended":                 {group("Failed", aci.ContainerPropertiesInstanceView{CurrentState: current("Terminated", "Error", 9)}), "exit code 9"},
		"fails again and again": {group("Running", aci.ContainerPropertiesInstanceView{RestartCount: &restarts}), "failed 2 times"},
		"no image":              {group("Pending", aci.ContainerPropertiesInstanceView{CurrentState: current("Waiting", "ImagePullBackOff: x", 0)}), "image"},
	} {
		if got := trouble(c.group); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", title, got, c.want)
		}
	}
}

func TestTheStateOfACluster(t *testing.T) {
	all := func(state string) []Component {
		var cs []Component
		for _, name := range Components() {
			cs = append(cs, Component{Name: name, State: state})
		}
		return cs
	}
	mixed := all("Running")
	mixed[2].State = absent
	for _, c := range []struct {
		components []Component
		pods       int
		want       State
	}{
		{all("Running"), 3, Running}, {all(absent), 0, Paused}, {all(absent), 1, Partial}, {mixed, 0, Partial}, {all("Pending"), 0, Partial},
	} {
		if got := overall(c.components, c.pods); got != c.want {
			t.Errorf("%v with %d pods: %s, want %s", c.components, c.pods, got, c.want)
		}
	}
	if names := Components(); !slices.Contains(names, Etcd) || len(names) != 5 {
		t.Errorf("components: %v", names)
	}
}
