package baremetal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"frankenetes.dev/pki"
)

// plane is a control plane of two processes.
type plane struct {
	*bed
	authority *pki.Authority
	// api is the API server's port.
	api int
}

// program is one of hyperkube's, which runs until it is ended.
type program struct {
	t       *testing.T
	name    string
	command *exec.Cmd
	log     string
	done    chan struct{}
}

// run starts one of hyperkube's programs; it is ended with the test.
func (b *bed) run(name string, args ...string) *program {
	b.t.Helper()
	p := &program{t: b.story, name: name, log: filepath.Join(b.dir, name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		b.t.Fatal(err)
	}
	defer log.Close()
	p.command = exec.Command(filepath.Join(b.bin, "hyperkube"), append([]string{name}, args...)...)
	p.command.Stdout, p.command.Stderr, p.command.Dir = log, log, b.dir
	if err := p.command.Start(); err != nil {
		b.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.command.Wait()
	}()
	b.story.Cleanup(func() {
		p.end(syscall.SIGTERM)
		if b.story.Failed() {
			b.story.Logf("the log of %s:\n%s", name, tail(p.log, 60))
		}
	})
	return p
}

// end ends the program by a signal, if it runs, and returns when it has ended.
func (p *program) end(signal syscall.Signal) {
	p.t.Helper()
	_ = p.command.Process.Signal(signal)
	select {
	case <-p.done:
		return
	case <-time.After(patience):
		p.t.Errorf("%s does not end", p.name)
	}
	_ = p.command.Process.Kill()
	<-p.done
}

// over fails the test when the program has ended by itself.
func (p *program) over() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s has ended: %s\n%s", p.name, p.command.ProcessState, tail(p.log, 20))
	default:
		return nil
	}
}

// freePort returns a port of the gateway's address that nobody uses.
func (b *bed) freePort() int {
	b.t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(b.gateway.String(), "0"))
	if err != nil {
		b.t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (b *bed) at(port int) string { return net.JoinHostPort(b.gateway.String(), strconv.Itoa(port)) }

// startPlane starts etcd and the API server.
func startPlane(b *bed) *plane {
	b.t.Helper()
	authority, err := pki.NewAuthority("test")
	if err != nil {
		b.t.Fatal(err)
	}
	p := &plane{bed: b, authority: authority, api: b.freePort()}
	p.file("ca.crt", authority.CertPEM())
	p.issue("server", pki.Leaf{CommonName: "server", DNSNames: []string{"localhost"}, IPs: []net.IP{b.gateway}, Server: true, Client: true})
	p.issue("kubelet-client", pki.Leaf{CommonName: "api-server", Organizations: []string{"system:masters"}, Client: true})
	key, err := pki.NewKey()
	if err != nil {
		b.t.Fatal(err)
	}
	p.file("accounts.key", key)
	etcd := "https://" + b.at(b.freePort())
	peer := "https://" + b.at(b.freePort())
	store := p.run("etcd", "--name=test", "--data-dir="+p.path("etcd"), "--listen-client-urls="+etcd, "--advertise-client-urls="+etcd,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=test="+peer, "--log-level=warn",
		"--client-cert-auth=true", "--trusted-ca-file="+p.path("ca.crt"), "--cert-file="+p.path("server.crt"), "--key-file="+p.path("server.key"),
		"--peer-client-cert-auth=true", "--peer-trusted-ca-file="+p.path("ca.crt"), "--peer-cert-file="+p.path("server.crt"), "--peer-key-file="+p.path("server.key"))
	server := p.run("kube-apiserver", "--bind-address="+b.gateway.String(), "--secure-port="+strconv.Itoa(p.api),
		"--tls-cert-file="+p.path("server.crt"), "--tls-private-key-file="+p.path("server.key"), "--client-ca-file="+p.path("ca.crt"),
		"--etcd-servers="+etcd, "--etcd-cafile="+p.path("ca.crt"), "--etcd-certfile="+p.path("server.crt"), "--etcd-keyfile="+p.path("server.key"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--service-cluster-ip-range=10.32.0.0/16",
		"--service-account-issuer=https://test", "--service-account-signing-key-file="+p.path("accounts.key"), "--service-account-key-file="+p.path("accounts.key"),
		"--kubelet-preferred-address-types=InternalIP", "--kubelet-certificate-authority="+p.path("ca.crt"),
		"--kubelet-client-certificate="+p.path("kubelet-client.crt"), "--kubelet-client-key="+p.path("kubelet-client.key"))
	p.kubeconfig("admin", "system:masters")
	p.eventually("the API server", func() error {
		_, _, err := p.try(nil, "get", "--raw", "/readyz")
		if ended := errors.Join(store.over(), server.over()); ended != nil {
			p.t.Fatal(ended)
		}
		return err
	})
	return p
}

func (p *plane) path(name string) string { return filepath.Join(p.dir, name) }

func (p *plane) file(name string, data []byte) {
	p.t.Helper()
	if err := os.WriteFile(p.path(name), data, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// issue writes a certificate and its key.
func (p *plane) issue(name string, leaf pki.Leaf) pki.Pair {
	p.t.Helper()
	pair, err := p.authority.Issue(leaf)
	if err != nil {
		p.t.Fatal(err)
	}
	p.file(name+".crt", pair.Cert)
	p.file(name+".key", pair.Key)
	return pair
}

// kubeconfig writes a file by which a user of a group reaches the API server.
func (p *plane) kubeconfig(user, group string) string {
	p.t.Helper()
	pair := p.issue("user", pki.Leaf{CommonName: user, Organizations: []string{group}, Client: true})
	c := clientcmdapi.NewConfig()
	c.Clusters["test"] = &clientcmdapi.Cluster{Server: "https://" + p.at(p.api), CertificateAuthorityData: p.authority.CertPEM()}
	c.AuthInfos["user"] = &clientcmdapi.AuthInfo{ClientCertificateData: pair.Cert, ClientKeyData: pair.Key}
	c.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "user"}
	c.CurrentContext = "test"
	path := p.path(strings.ReplaceAll(user, ":", "-") + ".kubeconfig")
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// try calls kubectl, and returns what it prints.
func (p *plane) try(stdin []byte, args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, "hyperkube"), append([]string{"kubectl"}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+p.path("admin.kubeconfig"), "HOME="+p.dir)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &errs
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("kubectl %s: %w\n%s%s", strings.Join(args, " "), err, &out, &errs)
	}
	return out.String(), errs.String(), err
}

// kubectl calls kubectl, which must succeed.
func (p *plane) kubectl(args ...string) string {
	p.t.Helper()
	out, _, err := p.try(nil, args...)
	if err != nil {
		p.t.Fatalf("%v\n%s", err, p.describe())
	}
	return out
}

// get decodes what kubectl knows of an object.
func (p *plane) get(v any, args ...string) {
	p.t.Helper()
	if err := json.Unmarshal([]byte(p.kubectl(append(append([]string{"get"}, args...), "-o", "json")...)), v); err != nil {
		p.t.Fatal(err)
	}
}

// describe is what one wants to know when something does not work.
func (p *plane) describe() string {
	all, _, _ := p.try(nil, "get", "nodes,pods", "-A", "-o", "wide")
	events, _, _ := p.try(nil, "get", "events", "-A", "--sort-by=.lastTimestamp")
	return all + "\n" + events
}

// eventually calls check until it returns nothing to complain of.
func (p *plane) eventually(what string, check func() error) {
	p.t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	p.t.Fatalf("%s: %v\n%s", what, err, p.describe())
}
