package arm

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"frankenetes.dev/embedded/store"
)

// groupKind is the kind of the records of resource groups.
const groupKind = "resourceGroups"

// groupType is the ARM type of a resource group.
const groupType = "Microsoft.Resources/resourceGroups"

// The provisioning states of a resource group.
const (
	succeeded = "Succeeded"
	deleting  = "Deleting"
)

// resourceGroup is the record of a group, in the form in which ARM shows it.
type resourceGroup struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	Location   string            `json:"location"`
	ManagedBy  string            `json:"managedBy,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
	Properties groupProperties   `json:"properties"`
}

type groupProperties struct {
	ProvisioningState string `json:"provisioningState"`
}

// groups are the records of all resource groups.
type groups struct {
	store *store.Store
}

// groupKey is the key of a group's record: its id in lower case.
func groupKey(sub, rg string) string {
	return strings.ToLower("/subscriptions/" + sub + "/resourcegroups/" + rg)
}

// get returns a group, or 404 ResourceGroupNotFound.
func (g groups) get(sub, rg string) (resourceGroup, error) {
	var group resourceGroup
	err := g.store.Get(groupKind, groupKey(sub, rg), &group)
	if errors.Is(err, store.ErrNotFound) {
		return group, &Error{Status: http.StatusNotFound, Code: "ResourceGroupNotFound",
			Message: "Resource group '" + rg + "' could not be found."}
	}
	return group, err
}

func (g groups) put(sub string, group resourceGroup) error {
	return g.store.Put(groupKind, groupKey(sub, group.Name), group)
}

func (g groups) delete(sub, rg string) error {
	return g.store.Delete(groupKind, groupKey(sub, rg))
}

// each calls fn for every group of a subscription, by name.
func (g groups) each(sub string, fn func(resourceGroup) error) error {
	return g.store.Each(groupKind, groupKey(sub, ""), func(key string, value []byte) error {
		var group resourceGroup
		if err := json.Unmarshal(value, &group); err != nil {
			return fmt.Errorf("read %s: %w", key, err)
		}
		return fn(group)
	})
}

// ResourceGroupExists says whether there is such a group.
func (s *Server) ResourceGroupExists(sub, rg string) bool {
	return s.CheckResourceGroup(sub, rg) == nil
}

// CheckResourceGroup returns 404 ResourceGroupNotFound where there is no such
// group. Routes with a variable {rg} need not ask: their group is there.
func (s *Server) CheckResourceGroup(sub, rg string) error {
	_, err := s.groups.get(sub, rg)
	return err
}

var groupName = regexp.MustCompile(`^[-\w.()]{1,90}$`)

func checkGroupName(name string) error {
	if !groupName.MatchString(name) || strings.HasSuffix(name, ".") {
		return BadRequest("InvalidResourceGroup", "The provided resource group name '%s' is invalid: it may have up to 90 letters, digits, "+
			"'-', '_', '.', '(' and ')', and may not end with '.'.", name)
	}
	return nil
}

// The most that a resource's tags may have.
const maxTags, maxTagName, maxTagValue = 50, 512, 256

// CheckTags returns 400 for tags that ARM does not take.
func CheckTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return BadRequest("TooManyTags", "The resource has %d tags; the most is %d.", len(tags), maxTags)
	}
	for name, value := range tags {
		if name == "" || len(name) > maxTagName {
			return BadRequest("InvalidTagName", "The tag name '%.64s' is invalid: it must have 1 to %d characters.", name, maxTagName)
		}
		if len(value) > maxTagValue {
			return BadRequest("InvalidTagValue", "The value of tag '%.64s' is longer than %d characters.", name, maxTagValue)
		}
	}
	return nil
}
