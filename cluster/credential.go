package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientauth "k8s.io/client-go/pkg/apis/clientauthentication/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Credential is what a user's credential plugin needs so as not to ask the
// cloud each time: whom to be, and where to look whether the cluster is awake.
// It is secret.
type Credential struct {
	Server        string `json:"server"`
	TLSServerName string `json:"tlsServerName,omitempty"`
	CA            []byte `json:"ca"`
	Certificate   []byte `json:"certificate"`
	Key           []byte `json:"key"`
}

// Credential is the access as a credential plugin keeps it.
func (a Access) Credential() Credential {
	at, user := a.Config.Clusters[a.Context], a.Config.AuthInfos[a.Context]
	return Credential{
		Server: at.Server, TLSServerName: at.TLSServerName, CA: at.CertificateAuthorityData,
		Certificate: user.ClientCertificateData, Key: user.ClientKeyData,
	}
}

// WithPlugin returns the access with a user who is not in the kubeconfig, but
// told by a program with its arguments.
func (a Access) WithPlugin(command string, args ...string) Access {
	a.Config = a.Config.DeepCopy()
	a.Config.AuthInfos[a.Context] = &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{
		APIVersion: clientauth.SchemeGroupVersion.String(), Command: command, Args: args,
		InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
		InstallHint:     "the kubeconfig was written by frankenetes: `frankenetes kubeconfig --merge` writes it anew, with --embed without the need of a program",
	}}
	return a
}

// ErrNoCredential is returned by LoadCredential when there is no such file.
var ErrNoCredential = errors.New("no credential is kept there")

// LoadCredential reads a credential from a file.
func LoadCredential(path string) (Credential, error) {
	var c Credential
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return c, fmt.Errorf("read credential %s: %w", path, ErrNoCredential)
	}
	if err != nil {
		return c, fmt.Errorf("read credential: %w", err)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("read credential %s: %w", path, err)
	}
	return c, nil
}

// Save writes the credential so that only its owner can read it, and whole.
func (c Credential) Save(path string) error {
	data, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode credential: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write credential: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".part-") // mode 0600
	if err != nil {
		return fmt.Errorf("write credential: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write credential: %w", err), os.Remove(f.Name()))
	}
	return nil
}

// Answer is what a credential plugin prints.
func (c Credential) Answer() ([]byte, error) {
	data, err := json.Marshal(clientauth.ExecCredential{
		TypeMeta: metav1.TypeMeta{APIVersion: clientauth.SchemeGroupVersion.String(), Kind: "ExecCredential"},
		Status:   &clientauth.ExecCredentialStatus{ClientCertificateData: string(c.Certificate), ClientKeyData: string(c.Key)},
	})
	if err != nil {
		return nil, fmt.Errorf("encode credential: %w", err)
	}
	return append(data, '\n'), nil
}

// awakeTime is how long an API server that is awake may take to say so.
const awakeTime = 2 * time.Second

// Awake reports whether the cluster's API server says that it is ready.
func (c Credential) Awake(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, awakeTime)
	defer cancel()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.CA)
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, ServerName: c.TLSServerName, MinVersion: tls.VersionTLS12},
		Proxy:             http.ProxyFromEnvironment,
		DisableKeepAlives: true,
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Server+"/readyz", nil)
	if err != nil {
		return false
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}
