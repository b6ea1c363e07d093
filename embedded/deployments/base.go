package deployments

import (
	"errors"
	"fmt"
	"strings"
)

// baseOf returns the ARM id that a resource's own begins with: that of the
// template's resource group, of another one for a deployment that names it, or
// of the resource that its scope names.
func baseOf(s *scope, body map[string]any, kind string) (string, error) {
	sub, err1 := optional(s, body, "subscriptionId")
	rg, err2 := optional(s, body, "resourceGroup")
	scope, err3 := optional(s, body, "scope")
	if err := errors.Join(err1, err2, err3); err != nil {
		return "", err
	}
	here := fmt.Sprint(s.group["id"])
	switch {
	case sub+rg == "" && scope == "":
		return here, nil
	case sub+rg == "" && strings.HasPrefix(scope, "/"):
		return strings.TrimRight(scope, "/"), nil
	case sub+rg == "":
		return here + "/providers/" + scope, nil
	case scope != "" || rg == "" || !strings.EqualFold(kind, resourceType):
		return "", fmt.Errorf("only a deployment can name a resource group, and no scope besides")
	case sub == "":
		sub = fmt.Sprint(s.sub["subscriptionId"])
	}
	return "/subscriptions/" + sub + "/resourceGroups/" + rg, nil
}
