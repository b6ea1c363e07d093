package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	certificatesv1 "k8s.io/api/certificates/v1"
)

// testServing checks that each node serves with a certificate that it asked the
// cluster for, and that it gets none for anybody else's name.
func testServing(m *operator) {
	for _, node := range []string{"virtual-kubelet", "virtual-kubelet-2"} {
		address := m.address("frankenetes", node)
		m.eventually("the certificate of "+node, func() error {
			served, err := servedAt(net.JoinHostPort(address, "10250"))
			if err != nil {
				return err
			}
			for _, r := range requests(m) {
				if issued, _ := pem.Decode(r.Status.Certificate); r.Spec.Username == "system:node:"+node && issued != nil && bytes.Equal(issued.Bytes, served.Raw) {
					return served.VerifyHostname(address)
				}
			}
			return fmt.Errorf("it is one of %s for %q that it did not ask for", served.NotBefore, served.DNSNames)
		})
		// The API server knows it by its name.
		m.kubectl("get", "--raw", "/api/v1/nodes/"+node+"/proxy/healthz")
	}
	own := node2(m)
	ask(m, "evil", "apiserver.frankenetes.clusters.internal")
	ask(m, "good", own)
	m.eventually("what is right is approved", func() error {
		for _, r := range requests(m) {
			if r.Name == "evil" && (len(r.Status.Conditions) > 0 || len(r.Status.Certificate) > 0) {
				m.T.Fatalf("a node gets the API server's name: %+v", r.Status)
			}
			if r.Name == "good" && len(r.Status.Certificate) > 0 {
				return nil
			}
		}
		return fmt.Errorf("it waits")
	})
	m.kubectl("delete", "csr", "evil", "good")
}

// node2 is the second node's name in DNS.
func node2(m *operator) string {
	m.T.Helper()
	return m.kubectl("get", "node", "virtual-kubelet-2", "-o", `jsonpath={.status.addresses[?(@.type=="Hostname")].address}`)
}

func requests(m *operator) []certificatesv1.CertificateSigningRequest {
	m.T.Helper()
	var list certificatesv1.CertificateSigningRequestList
	m.get(&list, "csr")
	return list.Items
}

// ask asks for a serving certificate as the second node.
func ask(m *operator, name, host string) {
	m.T.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		m.T.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "system:node:virtual-kubelet-2", Organization: []string{"system:nodes"}}, DNSNames: []string{host}}, key)
	if err != nil {
		m.T.Fatal(err)
	}
	data, err := json.Marshal(certificatesv1.CertificateSigningRequest{
		TypeMeta:   metav1.TypeMeta{APIVersion: "certificates.k8s.io/v1", Kind: "CertificateSigningRequest"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
			SignerName: certificatesv1.KubeletServingSignerName,
			Usages:     []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageServerAuth},
		}})
	if err != nil {
		m.T.Fatal(err)
	}
	m.kubectlWith(bytes.NewReader(data), "create", "-f", "-", "--validate=false",
		"--as=system:node:virtual-kubelet-2", "--as-group=system:nodes", "--as-group=system:authenticated")
}

// servedAt is the certificate that a server shows.
func servedAt(address string) (*x509.Certificate, error) {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	conn, err := tls.DialWithDialer(dialer, "tcp", address, &tls.Config{InsecureSkipVerify: true}) // it is compared
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}
