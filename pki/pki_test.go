package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"testing"
)

func authority(t *testing.T, name string) *Authority {
	t.Helper()
	a, err := NewAuthority(name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func parse(t *testing.T, data []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatalf("not PEM: %q", data)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestALeafIsGoodForWhatItSaysAndNothingElse(t *testing.T) {
	ours, other := authority(t, "ours"), authority(t, "other")
	pair, err := ours.Issue(Leaf{CommonName: "etcd", DNSNames: []string{"etcd.example"},
		IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Server: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pair.TLS(); err != nil {
		t.Fatal(err)
	}
	cert := parse(t, pair.Cert)
	for title, c := range map[string]struct {
		opts x509.VerifyOptions
		good bool
	}{
		"its name":          {x509.VerifyOptions{Roots: ours.Pool(), DNSName: "etcd.example"}, true},
		"its address":       {x509.VerifyOptions{Roots: ours.Pool(), DNSName: "127.0.0.1"}, true},
		"another name":      {x509.VerifyOptions{Roots: ours.Pool(), DNSName: "api.example"}, false},
		"another authority": {x509.VerifyOptions{Roots: other.Pool(), DNSName: "etcd.example"}, false},
		"another use": {x509.VerifyOptions{Roots: ours.Pool(),
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, false},
	} {
		if _, err := cert.Verify(c.opts); (err == nil) != c.good {
			t.Errorf("%s: %v", title, err)
		}
	}
	if cert.IsCA {
		t.Error("a leaf can sign")
	}
}

func TestAnAuthoritySurvivesBeingStored(t *testing.T) {
	a := authority(t, "stored")
	again, err := LoadAuthority(a.Pair())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := again.Issue(Leaf{CommonName: "x", Client: true})
	if err != nil {
		t.Fatal(err)
	}
	opts := x509.VerifyOptions{Roots: a.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := parse(t, pair.Cert).Verify(opts); err != nil {
		t.Error(err)
	}
}

func TestALeafIsNoAuthority(t *testing.T) {
	pair, err := authority(t, "a").Issue(Leaf{CommonName: "leaf", Client: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LoadAuthority(pair); err == nil {
		t.Error("a leaf was loaded as an authority")
	}
	if _, err := LoadAuthority(Pair{Cert: pair.Cert, Key: []byte("nonsense")}); err == nil {
		t.Error("nonsense was loaded as a key")
	}
}

func TestARequestGetsTheNamesItIsGivenNotThoseItAsksFor(t *testing.T) {
	a := authority(t, "a")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}},
		DNSNames: []string{"apiserver"},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	request := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	signed, err := a.SignRequest(request, Leaf{CommonName: "group/container", Client: true})
	if err != nil {
		t.Fatal(err)
	}
	cert := parse(t, signed)
	if cert.Subject.CommonName != "group/container" || len(cert.Subject.Organization) > 0 || len(cert.DNSNames) > 0 {
		t.Errorf("got subject %v, names %v", cert.Subject, cert.DNSNames)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		t.Error("the certificate is for another key")
	}
	for _, bad := range [][]byte{nil, []byte("nonsense"), signed, request[:len(request)/2]} {
		if _, err := a.SignRequest(bad, Leaf{}); err == nil {
			t.Errorf("signed %q", bad)
		}
	}
}
