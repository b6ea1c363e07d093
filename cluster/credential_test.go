package cluster

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	clientauth "k8s.io/client-go/pkg/apis/clientauthentication/v1"
)

func TestACredentialIsKeptForItsOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "demo.json")
	if _, err := LoadCredential(path); !errors.Is(err, ErrNoCredential) {
		t.Errorf("none kept: %v", err)
	}
	want := demoAccess(t).Credential()
	for range 2 { // the second replaces the first
		if err := want.Save(path); err != nil {
			t.Fatal(err)
		}
	}
	got, err := LoadCredential(path)
	if err != nil || got.Server != want.Server || string(got.Key) != string(want.Key) || string(got.CA) != string(want.CA) {
		t.Errorf("got %+v, %v", got, err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside it are %v, %v", entries, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadCredential(path); err == nil || errors.Is(err, ErrNoCredential) {
		t.Errorf("a broken one: %v", err)
	}
}

func TestTheKubeconfigOfAPluginHasNoKey(t *testing.T) {
	access := demoAccess(t)
	plugged := access.WithPlugin("/bin/frankenetes", "credential", "demo")
	user := plugged.Config.AuthInfos[access.Context]
	if user.Exec == nil || user.Exec.Command != "/bin/frankenetes" || len(user.ClientKeyData) > 0 {
		t.Errorf("the user is %+v", user)
	}
	if len(access.Config.AuthInfos[access.Context].ClientKeyData) == 0 {
		t.Error("the access that it was made of has changed")
	}
	data, err := access.Credential().Answer()
	if err != nil {
		t.Fatal(err)
	}
	var answer clientauth.ExecCredential
	if err := json.Unmarshal(data, &answer); err != nil || answer.Kind != "ExecCredential" || answer.Status.ClientKeyData == "" {
		t.Errorf("it answers %s, %v", data, err)
	}
}

func TestAwakeIsWhatSaysThatItIsReady(t *testing.T) {
	code := http.StatusOK
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(code)
	}))
	defer server.Close()
	c := Credential{Server: server.URL, TLSServerName: "example.com",
		CA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})}
	if !c.Awake(t.Context()) {
		t.Error("it is ready")
	}
	code = http.StatusInternalServerError
	if c.Awake(t.Context()) {
		t.Error("it is not ready yet")
	}
	code = http.StatusOK
	stranger := c
	stranger.CA = nil
	if stranger.Awake(t.Context()) {
		t.Error("somebody else has its port")
	}
	server.Close()
	if c.Awake(t.Context()) {
		t.Error("nobody is there")
	}
}
