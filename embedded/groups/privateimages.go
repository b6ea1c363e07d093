package groups

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/embedded/store"
)

// privateKind is that of the records of images that were pulled with a
// credential, by the image's id.
const privateKind = "privateImages"

// privateImages remembers which images in the local store somebody's credential
// brought there, and which credentials open them: without one, another group
// has no use of them.
type privateImages struct{ store *store.Store }

// credentialHash tells credentials apart without keeping them.
func credentialHash(auth *runtimeapi.AuthConfig) string {
	if auth == nil {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{strings.ToLower(auth.ServerAddress), auth.Username, auth.Password}, "\x00")))
	return hex.EncodeToString(sum[:])
}

// openedBy returns the hashes of the credentials that open an image, and
// whether it takes one.
func (p privateImages) openedBy(id string) (hashes []string, private bool, err error) {
	err = p.store.Get(privateKind, id, &hashes)
	if errors.Is(err, store.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("look up whose image %s is: %w", id, err)
	}
	return hashes, true, nil
}

// pulled notes with which credential an image came; with none, it is anybody's.
func (p privateImages) pulled(id string, auth *runtimeapi.AuthConfig) error {
	if auth == nil {
		return p.store.Delete(privateKind, id)
	}
	return p.store.Put(privateKind, id, []string{credentialHash(auth)})
}

// opens notes one more credential that opens an image.
func (p privateImages) opens(id string, auth *runtimeapi.AuthConfig) error {
	hashes, private, err := p.openedBy(id)
	if err != nil || !private || slices.Contains(hashes, credentialHash(auth)) {
		return err
	}
	return p.store.Put(privateKind, id, append(hashes, credentialHash(auth)))
}
