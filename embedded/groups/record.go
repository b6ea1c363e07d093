package groups

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"frankenetes.dev/embedded/network"
)

// kind is that of the records in the store.
const kind = "containerGroups"

// record is what the store keeps of a group.
type record struct {
	// Group is the resource with its secrets: the store is readable by root
	// alone, and a group must start again without its creator's help.
	Group Group
	// UID names the deployment on this host.
	UID string
	// Hash is that of what cannot change without a new deployment.
	Hash string
	// Addresses are what it has while it is deployed, and gets again where
	// that is possible.
	Addresses network.Addresses
	// Floor are, for each container, the numbers from which on its runs count.
	// Those before were ended, or are to be, by a restart of the group.
	Floor map[string]uint32 `json:",omitempty"`
	// Stopped groups do not run until they are started.
	Stopped bool
	// Result is set when every container has ended for good.
	Result  *snapshot
	Created time.Time
}

// newUID returns a name for a deployment.
func newUID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// hash covers everything whose change needs a new deployment: all but tags.
func (g *Group) hash() (string, error) {
	data, err := json.Marshal(struct {
		Identity   *Identity
		Properties Properties
	}{g.Identity, g.Properties})
	if err != nil {
		return "", fmt.Errorf("hash container group %s: %w", g.Name, err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// groupID returns a group's ARM id, groupKey the key of its record.
func groupID(sub, rg, name string) string {
	return "/subscriptions/" + sub + "/resourceGroups/" + rg + "/providers/" + Type + "/" + name
}

func groupKey(sub, rg, name string) string { return strings.ToLower(groupID(sub, rg, name)) }

// keysOf is the prefix of the keys of a resource group, or, without one, of
// the subscription.
func keysOf(sub, rg string) string {
	if rg == "" {
		return strings.ToLower("/subscriptions/" + sub + "/")
	}
	return groupKey(sub, rg, "")
}
