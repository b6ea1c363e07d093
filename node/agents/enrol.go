package agents

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/pki"
)

// maxRequest bounds a certificate request, in bytes.
const maxRequest = 16 << 10

// Issue returns a one-time token, 256 random bits, by which the agent with the
// given ID can enrol. Only its hash is kept, and only in memory. A token issued
// earlier for the same ID is dropped.
func (h *Hub) Issue(id protocol.ID) (string, error) {
	if _, ok := parseID(commonName(id)); !ok {
		return "", fmt.Errorf("issue token: %q/%q is no agent's ID", id.Group, id.Container)
	}
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return "", fmt.Errorf("issue token of agent %s/%s: %w", id.Group, id.Container, err)
	}
	token := base64.RawURLEncoding.EncodeToString(secret[:])
	h.mu.Lock()
	defer h.mu.Unlock()
	for hash, other := range h.tokens {
		if other == id {
			delete(h.tokens, hash)
		}
	}
	h.tokens[sha256.Sum256([]byte(token))] = id
	delete(h.forgotten, id.Group)
	return token, nil
}

// redeem takes a token, and returns whose it was.
func (h *Hub) redeem(token string) (protocol.ID, bool) {
	given := sha256.Sum256([]byte(token))
	h.mu.Lock()
	defer h.mu.Unlock()
	var found protocol.ID
	ok := false
	for hash, id := range h.tokens {
		if subtle.ConstantTimeCompare(hash[:], given[:]) == 1 {
			found, ok = id, true
		}
	}
	delete(h.tokens, given)
	if ok {
		h.enrolled[found.Group] = true
	}
	return found, ok
}

// enrolment answers EnrolPath and nothing else.
func (h *Hub) enrolment() http.Handler {
	mux := http.NewServeMux()
	// Whoever asks for anything else is told no more than that.
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "only agents enrol here", http.StatusUnauthorized)
	})
	mux.HandleFunc("POST "+protocol.EnrolPath, func(w http.ResponseWriter, r *http.Request) {
		request, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
		if err != nil {
			http.Error(w, "certificate request is not readable or too long", http.StatusBadRequest)
			return
		}
		id, ok := h.applicant(r)
		if !ok {
			h.log.Warn("refused an enrolment", "from", r.RemoteAddr)
			http.Error(w, "neither a valid token nor a certificate", http.StatusUnauthorized)
			return
		}
		cert, err := h.opts.Authority.SignRequest(request, pki.Leaf{
			CommonName: commonName(id), Client: true, Lifetime: CertificateLifetime,
		})
		if err != nil {
			h.log.Warn("refused a certificate request", "group", id.Group, "container", id.Container, "error", err)
			http.Error(w, "certificate request cannot be signed", http.StatusBadRequest)
			return
		}
		h.log.Debug("agent enrolled", "group", id.Group, "container", id.Container)
		w.Header().Set("Content-Type", "application/x-pem-file")
		// If it does not arrive, a renewal is asked for again. A token is spent:
		// that agent gives up, and its group is made anew.
		_, _ = w.Write(cert)
	})
	return mux
}

// applicant says who asks for a certificate: the owner of a token, or of a
// certificate which is to be renewed.
func (h *Hub) applicant(r *http.Request) (protocol.ID, bool) {
	if header := r.Header.Get("Authorization"); header != "" {
		token, ok := strings.CutPrefix(header, "Bearer ")
		if !ok {
			return protocol.ID{}, false
		}
		return h.redeem(token)
	}
	id, ok := identity(*r.TLS)
	if !ok {
		return protocol.ID{}, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, gone := h.forgotten[id.Group]
	return id, !gone
}

// identity is whom a verified client certificate names.
func identity(state tls.ConnectionState) (protocol.ID, bool) {
	if len(state.VerifiedChains) == 0 {
		return protocol.ID{}, false
	}
	return parseID(state.PeerCertificates[0].Subject.CommonName)
}

func commonName(id protocol.ID) string { return id.Group + "/" + id.Container }

func parseID(name string) (protocol.ID, bool) {
	group, container, ok := strings.Cut(name, "/")
	ok = ok && group != "" && container != "" && !strings.Contains(container, "/")
	return protocol.ID{Group: group, Container: container}, ok
}
