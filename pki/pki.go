// Package pki makes the certificates of a cluster: authorities and the leaves
// that they sign. It exists because every connection in a cluster is
// authenticated both ways from the first start, before there is an API server
// that could sign anything.
//
// Keys are ECDSA P-256. Everything is PEM at the edges, since PEM is what
// Kubernetes' flags and kubeconfigs take.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

const (
	// AuthorityLifetime is how long an authority's certificate is valid.
	AuthorityLifetime = 10 * 365 * 24 * time.Hour
	// LeafLifetime is how long a leaf is valid unless its request says otherwise.
	LeafLifetime = 365 * 24 * time.Hour
	// skew is how far a verifier's clock may be behind ours.
	skew = 5 * time.Minute
)

// Pair is a certificate and its private key, both PEM encoded.
type Pair struct {
	Cert []byte `json:"cert"`
	Key  []byte `json:"key"`
}

// TLS returns the pair in the form that crypto/tls takes.
func (p Pair) TLS() (tls.Certificate, error) {
	c, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read key pair: %w", err)
	}
	return c, nil
}

// Authority signs leaves. It is safe for concurrent use.
type Authority struct {
	pair Pair
	cert *x509.Certificate
	key  crypto.Signer
}

// NewAuthority makes a self-signed authority with the given common name.
func NewAuthority(name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key of authority %s: %w", name, err)
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(AuthorityLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	pair, err := sign(template, template, &key.PublicKey, key, key)
	if err != nil {
		return nil, fmt.Errorf("sign authority %s: %w", name, err)
	}
	return LoadAuthority(pair)
}

// LoadAuthority reads an authority back from its PEM form.
func LoadAuthority(pair Pair) (*Authority, error) {
	c, err := pair.TLS()
	if err != nil {
		return nil, fmt.Errorf("load authority: %w", err)
	}
	cert, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("load authority: %w", err)
	}
	key, ok := c.PrivateKey.(crypto.Signer)
	if !ok || !cert.IsCA {
		return nil, fmt.Errorf("load authority: certificate of %q cannot sign", cert.Subject.CommonName)
	}
	return &Authority{pair: pair, cert: cert, key: key}, nil
}

// Pair returns the authority's certificate and private key.
func (a *Authority) Pair() Pair { return a.pair }

// CertPEM returns the authority's certificate.
func (a *Authority) CertPEM() []byte { return a.pair.Cert }

// Pool returns a pool that trusts this authority alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Leaf says what a certificate is for.
type Leaf struct {
	CommonName    string
	Organizations []string
	// DNSNames and IPs are what a server answers to.
	DNSNames []string
	IPs      []net.IP
	// Server and Client say which sides of a connection it may take.
	Server, Client bool
	// Lifetime is how long it is valid; zero means LeafLifetime.
	Lifetime time.Duration
}

// Issue makes a key and signs a leaf for it.
func (a *Authority) Issue(leaf Leaf) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("make key of %s: %w", leaf.CommonName, err)
	}
	pair, err := sign(leaf.template(), a.cert, &key.PublicKey, a.key, key)
	if err != nil {
		return Pair{}, fmt.Errorf("sign certificate of %s: %w", leaf.CommonName, err)
	}
	return pair, nil
}

// SignRequest signs the public key of a PEM encoded certificate request. The
// names are the caller's: those in the request are not trusted. It returns the
// certificate, PEM encoded.
func (a *Authority) SignRequest(request []byte, leaf Leaf) ([]byte, error) {
	block, _ := pem.Decode(request)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("sign request: not a PEM certificate request")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("sign request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("sign request: %w", err)
	}
	pair, err := sign(leaf.template(), a.cert, csr.PublicKey, a.key, nil)
	if err != nil {
		return nil, fmt.Errorf("sign request for %s: %w", leaf.CommonName, err)
	}
	return pair.Cert, nil
}

// NewKey returns a fresh private key, PEM encoded. Its form is SEC 1, since
// Kubernetes takes no other for keys that it also verifies with.
func NewKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

func (l Leaf) template() *x509.Certificate {
	lifetime := l.Lifetime
	if lifetime == 0 {
		lifetime = LeafLifetime
	}
	now := time.Now()
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: l.CommonName, Organization: l.Organizations},
		NotBefore:   now.Add(-skew),
		NotAfter:    now.Add(lifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		DNSNames:    l.DNSNames,
		IPAddresses: l.IPs,
	}
	if l.Server {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if l.Client {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	return t
}

// sign makes a certificate; own is the leaf's private key, nil when the
// requester keeps it.
func sign(template, parent *x509.Certificate, public any, signer crypto.Signer, own *ecdsa.PrivateKey) (Pair, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return Pair{}, err
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return Pair{}, err
	}
	pair := Pair{Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
	if own != nil {
		if pair.Key, err = encodeKey(own); err != nil {
			return Pair{}, err
		}
	}
	return pair, nil
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
