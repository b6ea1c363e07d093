package approver_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"frankenetes.dev/node/approver"
)

// request is what a node asks for, if it does as it should.
func request(t *testing.T, change func(*certificatesv1.CertificateSigningRequest, *x509.CertificateRequest)) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	wanted := &x509.CertificateRequest{
		Subject:     pkix.Name{CommonName: "system:node:two", Organization: []string{"system:nodes"}},
		DNSNames:    []string{"two.example"},
		IPAddresses: []net.IP{net.IPv4(10, 0, 0, 2)},
	}
	csr := &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: "csr"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			SignerName: certificatesv1.KubeletServingSignerName,
			Username:   "system:node:two", Groups: []string{"system:nodes", "system:authenticated"},
			Usages: []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageServerAuth},
		},
	}
	if change != nil {
		change(csr, wanted)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, wanted, key)
	if err != nil {
		t.Fatal(err)
	}
	if csr.Spec.Request == nil {
		csr.Spec.Request = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	}
	return csr
}

func newApprover(objects ...*certificatesv1.CertificateSigningRequest) (*approver.Approver, *fake.Clientset) {
	client := fake.NewClientset()
	for _, o := range objects {
		_ = client.Tracker().Add(o)
	}
	return &approver.Approver{
		Client: client, Names: map[string]string{"one": "one.example", "two": "two.example"}, Log: slog.New(slog.DiscardHandler),
		Lookup: func(_ context.Context, name string) ([]netip.Addr, error) {
			switch name {
			case "one.example":
				return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
			case "two.example":
				return []netip.Addr{netip.MustParseAddr("::ffff:10.0.0.2")}, nil
			}
			return nil, errors.New("no such host")
		},
	}, client
}

func TestOnlyWhatIsANodesOwnIsApproved(t *testing.T) {
	type csr = certificatesv1.CertificateSigningRequest
	type wanted = x509.CertificateRequest
	for title, c := range map[string]struct {
		good   bool
		change func(*csr, *wanted)
	}{
		"as it should":      {true, nil},
		"its name alone":    {true, func(_ *csr, w *wanted) { w.IPAddresses = nil }},
		"its address alone": {true, func(_ *csr, w *wanted) { w.DNSNames = nil }},
		"with an RSA key's use": {true, func(c *csr, _ *wanted) {
			c.Spec.Usages = append(c.Spec.Usages, certificatesv1.UsageKeyEncipherment)
		}},
		"another node's name":      {false, func(_ *csr, w *wanted) { w.DNSNames = append(w.DNSNames, "one.example") }},
		"another node's address":   {false, func(_ *csr, w *wanted) { w.IPAddresses = append(w.IPAddresses, net.IPv4(10, 0, 0, 1)) }},
		"the API server's name":    {false, func(_ *csr, w *wanted) { w.DNSNames = []string{"apiserver.example"} }},
		"a wildcard":               {false, func(_ *csr, w *wanted) { w.DNSNames = []string{"*.example"} }},
		"loopback":                 {false, func(_ *csr, w *wanted) { w.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} }},
		"nothing":                  {false, func(_ *csr, w *wanted) { w.DNSNames, w.IPAddresses = nil, nil }},
		"a mail address":           {false, func(_ *csr, w *wanted) { w.EmailAddresses = []string{"a@b"} }},
		"a URI":                    {false, func(_ *csr, w *wanted) { w.URIs = []*url.URL{{Scheme: "spiffe", Host: "x"}} }},
		"as another node":          {false, func(_ *csr, w *wanted) { w.Subject.CommonName = "system:node:one" }},
		"as no node":               {false, func(_ *csr, w *wanted) { w.Subject.CommonName = "kube-apiserver" }},
		"of another organization":  {false, func(_ *csr, w *wanted) { w.Subject.Organization = []string{"system:masters"} }},
		"by somebody":              {false, func(c *csr, _ *wanted) { c.Spec.Username = "two" }},
		"by a node without group":  {false, func(c *csr, _ *wanted) { c.Spec.Groups = []string{"system:authenticated"} }},
		"by a node that is not":    {false, func(c *csr, w *wanted) { c.Spec.Username = "system:node:three"; w.Subject.CommonName = c.Spec.Username }},
		"by a node without a name": {false, func(c *csr, w *wanted) { c.Spec.Username = "system:node:"; w.Subject.CommonName = c.Spec.Username }},
		"for clients":              {false, func(c *csr, _ *wanted) { c.Spec.Usages[1] = certificatesv1.UsageClientAuth }},
		"of another signer":        {false, func(c *csr, _ *wanted) { c.Spec.SignerName = certificatesv1.KubeAPIServerClientSignerName }},
		"no request":               {false, func(c *csr, _ *wanted) { c.Spec.Request = []byte("x") }},
	} {
		a, _ := newApprover()
		if err := a.Check(t.Context(), request(t, c.change)); (err == nil) != c.good {
			t.Errorf("%s: %v", title, err)
		}
	}
}

func TestRequestsAreDecidedOnAsTheyCome(t *testing.T) {
	bad := request(t, func(c *certificatesv1.CertificateSigningRequest, w *x509.CertificateRequest) {
		c.Name, w.DNSNames = "bad", []string{"one.example"}
	})
	// As a kubelet asks that was started anew and knows no better.
	old := request(t, func(c *certificatesv1.CertificateSigningRequest, w *x509.CertificateRequest) {
		c.Name, w.IPAddresses = "old", []net.IP{net.IPv4(10, 0, 0, 99)}
	})
	a, client := newApprover(bad)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	done := make(chan error)
	go func() { done <- a.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	requests := client.CertificatesV1().CertificateSigningRequests()
	watch, err := requests.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	for _, r := range []*certificatesv1.CertificateSigningRequest{old, request(t, nil)} {
		if _, err := requests.Create(ctx, r, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	decided := map[string]certificatesv1.RequestConditionType{}
	for event := range watch.ResultChan() {
		got := event.Object.(*certificatesv1.CertificateSigningRequest)
		if len(got.Status.Conditions) > 0 {
			decided[got.Name] = got.Status.Conditions[0].Type
		}
		if len(decided) == 2 {
			break
		}
	}
	if decided["csr"] != certificatesv1.CertificateApproved || decided["old"] != certificatesv1.CertificateDenied {
		t.Errorf("decided: %v", decided)
	}
}
