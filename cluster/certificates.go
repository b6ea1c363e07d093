package cluster

import (
	"fmt"
	"net"

	"frankenetes.dev/cloud"
	"frankenetes.dev/pki"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"k8s.io/client-go/tools/clientcmd"
)

// adminGroup is the group of a cluster's users in kubeconfigs that we write; a
// binding makes it cluster-admin, so that it can be taken back.
const adminGroup = "frankenetes:cluster-admins"

// serviceIP is the address of the "kubernetes" Service: the first of serviceRange.
const (
	serviceRange = "10.32.0.0/16"
	serviceIP    = "10.32.0.1"
)

// signer issues a cluster's leaves. Leaves are issued anew at every start, so
// a resume also renews them.
type signer struct {
	spec                              Spec
	conf                              cloud.Config
	cluster, etcd, frontProxy, agents *pki.Authority
}

func newSigner(r *Record, conf cloud.Config) (*signer, error) {
	s := &signer{spec: r.Spec, conf: conf}
	for _, a := range []struct {
		pair pki.Pair
		to   **pki.Authority
	}{
		{r.Authorities.Cluster, &s.cluster}, {r.Authorities.Etcd, &s.etcd},
		{r.Authorities.FrontProxy, &s.frontProxy}, {r.Authorities.Agents, &s.agents},
	} {
		loaded, err := pki.LoadAuthority(a.pair)
		if err != nil {
			return nil, fmt.Errorf("load authorities of cluster %s: %w", r.Spec.Name, err)
		}
		*a.to = loaded
	}
	return s, nil
}

// fqdn is a component's name in the cloud's DNS, or in that of the cluster's
// virtual network.
func (s *signer) fqdn(component string) string {
	if s.spec.network() == VNet {
		return component + "." + s.spec.zone()
	}
	return s.conf.FQDN(s.spec.label(component), s.spec.Location)
}

// apiURL is where the components find the API server.
func (s *signer) apiURL() string { return "https://" + s.fqdn(APIServer) + ":6443" }

// server issues a certificate for a component's own port.
func (s *signer) server(component string) (pki.Pair, error) {
	return s.cluster.Issue(pki.Leaf{
		CommonName: component,
		DNSNames:   []string{s.fqdn(component), "localhost"},
		IPs:        []net.IP{net.IPv4(127, 0, 0, 1)},
		Server:     true,
	})
}

// kubeconfig returns a file by which a component speaks to the API server.
func (s *signer) kubeconfig(user string, groups ...string) ([]byte, error) {
	pair, err := s.cluster.Issue(pki.Leaf{CommonName: user, Organizations: groups, Client: true})
	if err != nil {
		return nil, err
	}
	return clientcmd.Write(*s.config(s.spec.Name, user, s.apiURL(), "", pair))
}

// config puts a client certificate into the form of a kubeconfig. Names are
// the entry's: context and cluster are called name.
func (s *signer) config(name, user, server, tlsName string, pair pki.Pair) *clientcmdapi.Config {
	c := clientcmdapi.NewConfig()
	c.Clusters[name] = &clientcmdapi.Cluster{
		Server: server, TLSServerName: tlsName, CertificateAuthorityData: s.cluster.CertPEM()}
	c.AuthInfos[user] = &clientcmdapi.AuthInfo{
		ClientCertificateData: pair.Cert, ClientKeyData: pair.Key}
	c.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: user}
	c.CurrentContext = name
	return c
}
