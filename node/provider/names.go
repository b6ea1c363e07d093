package provider

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// The tags by which a group is recognised as a pod's.
const (
	TagNode      = "frankenetes-node"
	TagNamespace = "frankenetes-pod-namespace"
	TagPod       = "frankenetes-pod"
	TagUID       = "frankenetes-pod-uid"
	TagSandbox   = "frankenetes-sandbox"
	TagSpec      = "frankenetes-spec-hash"
)

// maxName and maxTag are the longest names and tag values that Azure takes.
const (
	maxName = 63
	maxTag  = 256
)

// GroupName returns the name of a pod's group: readable, a DNS label (small
// letters, digits and single hyphens, 63 at most), and made unique by a hash of
// what distinguishes this group from any other the pod has had.
func GroupName(namespace, name string, distinct ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(append([]string{namespace, name}, distinct...), "\x00")))
	suffix := "-" + hex.EncodeToString(sum[:5])
	readable := label(namespace + "-" + name)
	if room := maxName - len(suffix); len(readable) > room {
		readable = strings.TrimRight(readable[:room], "-")
	}
	return readable + suffix
}

// label maps a name to small letters, digits and single inner hyphens.
func label(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	return strings.TrimRight(b.String(), "-")
}

// TagValue returns s cut to what Azure takes as a tag's value.
func TagValue(s string) string {
	if len(s) > maxTag {
		s = s[:maxTag]
	}
	return s
}
