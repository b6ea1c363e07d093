package resources

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"frankenetes.dev/embedded/arm"
)

// mayJoin checks that who changes a resource by an action may also use another
// one in it, of a kind: whoever can name a resource could otherwise have what
// it gives.
func (s *Service) mayJoin(r *arm.Request, write, kind, linked string) error {
	parts := linkedPath.FindStringSubmatch(linked)
	if parts == nil || !strings.EqualFold(parts[1], kind) {
		return arm.BadRequest("LinkedInvalidPropertyId", "Property id '%s' is invalid. Expect fully qualified resource Id of type '%s' that start with "+
			"'/subscriptions/{subscriptionId}'.", linked, kind)
	}
	action := kind + "/join/action"
	if s.server.Allowed(r.Principal, action, linked) {
		return nil
	}
	return &arm.Error{Status: http.StatusForbidden, Code: "LinkedAuthorizationFailed",
		Message: fmt.Sprintf("The client '%s' with object id '%s' has permission to perform action '%s' on scope '%s'; however, it does not have "+
			"permission to perform action '%s' on the linked scope(s) '%s' or the linked scope(s) are invalid.",
			r.Principal.ClientID, r.Principal.ObjectID, write, r.Path(), action, linked)}
}

// linkedPath is the ARM id of a resource that is part of no other one.
var linkedPath = regexp.MustCompile(`(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/([^/]+/[^/]+)/[^/]+$`)

// lost says that a resource that another one names is not there.
func lost(linked, by string) error {
	return arm.BadRequest("InvalidResourceReference", "Resource %s referenced by resource %s was not found. "+
		"Please make sure that the referenced resource exists, and that both resources are in the same region.", linked, by)
}

// notSupported refuses what Azure has and this cloud has not.
func notSupported(what, of string) error {
	return arm.BadRequest("NotSupported", "The embedded cloud does not support %s of resource %s.", what, of)
}

// sent is a property of a request that nothing here gives effect to.
type sent struct {
	name  string
	value json.RawMessage
}

// refuse refuses properties that say something.
func refuse(of string, properties ...sent) error {
	for _, p := range properties {
		if p.says() {
			return notSupported("the property '"+p.name+"'", of)
		}
	}
	return nil
}

// says says whether the value is more than nothing, no, or none.
func (p sent) says() bool {
	var v any
	if p.value == nil || json.Unmarshal(p.value, &v) != nil {
		return false // the whole request was JSON
	}
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return true
}

// resourceName is what most names in Microsoft.Network look like.
var resourceName = regexp.MustCompile(`^[A-Za-z0-9]([-.\w]{0,78}\w)?$`)

func validName(name string) error {
	if resourceName.MatchString(name) {
		return nil
	}
	return arm.BadRequest("InvalidResourceName", "Resource name %s is invalid. The name can be up to 80 characters long. It must begin with a word "+
		"character, and it must end with a word character or with '_'. The name may contain word characters or '.', '-', '_'.", name)
}

// validNetworkName is of virtual networks, whose names are shorter.
func validNetworkName(name string) error {
	if err := validName(name); err != nil {
		return err
	}
	if len(name) < 2 || len(name) > 64 {
		return arm.BadRequest("InvalidResourceName", "Resource name %s is invalid. The name of a virtual network has 2 to 64 characters.", name)
	}
	return nil
}
