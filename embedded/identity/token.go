package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"frankenetes.dev/embedded/store"
)

// TokenLifetime is how long a token is good.
const TokenLifetime = time.Hour

// ErrExpired is returned by Verify for a token that was good once; any other
// error means that it never was.
var ErrExpired = errors.New("the token has expired")

const (
	signingKeyKind = "signingKeys"
	signingKeyKey  = "current"
)

// loadKey reads the signing key, or makes it.
func (a *Authority) loadKey() error {
	var der []byte
	err := a.store.Get(signingKeyKind, signingKeyKey, &der)
	switch {
	case errors.Is(err, store.ErrNotFound):
		if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return fmt.Errorf("make signing key: %w", err)
		}
		if der, err = x509.MarshalPKCS8PrivateKey(a.key); err != nil {
			return fmt.Errorf("encode signing key: %w", err)
		}
		if err := a.store.Put(signingKeyKind, signingKeyKey, der); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		parsed, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			return fmt.Errorf("read signing key: %w", err)
		}
		key, ok := parsed.(*ecdsa.PrivateKey)
		if !ok {
			return fmt.Errorf("read signing key: it is of type %T", parsed)
		}
		a.key = key
	}
	public, err := a.key.PublicKey.Bytes()
	if err != nil {
		return fmt.Errorf("read signing key: %w", err)
	}
	sum := sha256.Sum256(public)
	a.keyID = base64.RawURLEncoding.EncodeToString(sum[:16])
	return nil
}

// claims are what a token says.
type claims struct {
	jwt.RegisteredClaims
	ObjectID string `json:"oid"`
	ClientID string `json:"appid"`
	Tenant   string `json:"tid"`
	IDType   string `json:"idtyp"`
	Version  string `json:"ver"`
	// Resource is the ARM id of a managed identity.
	Resource string `json:"xms_mirid,omitempty"`
}

// issuer is the same at whatever address a client finds the authority, so that
// tokens outlive a change of address.
func (a *Authority) issuer() string { return "https://sts.windows.net/" + a.tenant + "/" }

// token is a signed token and when it begins and ends.
type token struct {
	signed       string
	issued, ends time.Time
}

// sign makes a token for a principal to show to an audience.
func (a *Authority) sign(p Principal, audience, resource string) (token, error) {
	now := a.now().Truncate(time.Second)
	t := token{issued: now, ends: now.Add(TokenLifetime)}
	unsigned := jwt.NewWithClaims(jwt.SigningMethodES256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    a.issuer(),
			Subject:   p.ObjectID,
			Audience:  jwt.ClaimStrings{audience},
			IssuedAt:  jwt.NewNumericDate(t.issued),
			NotBefore: jwt.NewNumericDate(t.issued),
			ExpiresAt: jwt.NewNumericDate(t.ends),
		},
		ObjectID: p.ObjectID, ClientID: p.ClientID, Tenant: a.tenant,
		IDType: "app", Version: "1.0", Resource: resource,
	})
	unsigned.Header["kid"] = a.keyID
	var err error
	if t.signed, err = unsigned.SignedString(a.key); err != nil {
		return token{}, fmt.Errorf("sign token: %w", err)
	}
	return t, nil
}

// Token returns a bearer token of a principal for an audience. Whoever calls
// it has made sure who asks.
func (a *Authority) Token(p Principal, audience string) (string, error) {
	t, err := a.sign(p, audience, "")
	return t.signed, err
}

// Verify returns the principal of a bearer token for the Resource Manager.
func (a *Authority) Verify(bearer string) (Principal, error) {
	return a.VerifyFor(bearer, a.audiences...)
}

// VerifyFor returns the principal of a bearer token for one of the audiences,
// of which a slash at the end makes no difference.
func (a *Authority) VerifyFor(bearer string, audiences ...string) (Principal, error) {
	var c claims
	_, err := jwt.ParseWithClaims(bearer, &c, func(*jwt.Token) (any, error) { return &a.key.PublicKey, nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodES256.Alg()}), jwt.WithIssuer(a.issuer()),
		jwt.WithExpirationRequired(), jwt.WithTimeFunc(a.now))
	if errors.Is(err, jwt.ErrTokenExpired) && !errors.Is(err, jwt.ErrTokenSignatureInvalid) {
		return Principal{}, ErrExpired
	}
	if err != nil {
		return Principal{}, fmt.Errorf("verify token: %w", err)
	}
	if c.Tenant != a.tenant || c.ObjectID == "" {
		return Principal{}, fmt.Errorf("verify token: it is of tenant %q", c.Tenant)
	}
	for _, audience := range audiences {
		for _, own := range c.Audience {
			if strings.TrimRight(own, "/") == strings.TrimRight(audience, "/") {
				return Principal{ObjectID: c.ObjectID, ClientID: c.ClientID}, nil
			}
		}
	}
	return Principal{}, fmt.Errorf("verify token: it is for %q", c.Audience)
}
