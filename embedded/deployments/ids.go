package deployments

import (
	"fmt"
	"strings"
)

// resourceID makes an ARM id: of a subscription and a resource group, which
// may be left out, a type, and a name for each of its segments.
func resourceID(s *scope, args []any) (any, error) {
	words, err := textsOf(args)
	if err != nil {
		return nil, err
	}
	at := 0
	for at < len(words) && !strings.Contains(words[at], "/") {
		at++
	}
	if at > 2 || at == len(words) {
		return nil, fmt.Errorf("it takes a resource type and its names")
	}
	kind, names := words[at], words[at+1:]
	sub, rg := fmt.Sprint(s.sub["subscriptionId"]), fmt.Sprint(s.group["name"])
	if at > 0 {
		rg = words[at-1]
	}
	if at > 1 {
		sub = words[0]
	}
	path, err := typePath(kind, names)
	if err != nil {
		return nil, err
	}
	return "/subscriptions/" + sub + "/resourceGroups/" + rg + "/providers/" + path, nil
}

// subscriptionResourceID makes the ARM id of what is in a subscription, which
// may be left out, and in no resource group, such as a role definition.
func subscriptionResourceID(s *scope, args []any) (any, error) {
	words, err := textsOf(args)
	if err != nil {
		return nil, err
	}
	sub := fmt.Sprint(s.sub["subscriptionId"])
	if !strings.Contains(words[0], "/") {
		sub, words = words[0], words[1:]
	}
	path, err := typePath(words[0], words[1:])
	if err != nil {
		return nil, err
	}
	return "/subscriptions/" + sub + "/providers/" + path, nil
}

// extensionResourceID makes the ARM id of what extends a resource, of which the
// id comes first.
func extensionResourceID(_ *scope, args []any) (any, error) {
	words, err := textsOf(args)
	if err != nil {
		return nil, err
	}
	path, err := typePath(words[1], words[2:])
	if err != nil {
		return nil, err
	}
	return strings.TrimRight(words[0], "/") + "/providers/" + path, nil
}

// typePath puts the names of a resource between the segments of its type.
func typePath(kind string, names []string) (string, error) {
	segments := strings.Split(kind, "/")
	if len(segments) < 2 || len(segments)-1 != len(names) {
		return "", fmt.Errorf("the type '%s' wants %d names, not %d", kind, len(segments)-1, len(names))
	}
	path := segments[0]
	for i, name := range names {
		path += "/" + segments[i+1] + "/" + name
	}
	return path, nil
}

// reference returns what a resource has become: its properties, or all of it.
func reference(s *scope, args []any) (any, error) {
	words, err := textsOf(args)
	if err != nil {
		return nil, err
	}
	if s.live == nil {
		return nil, errAtRunTime
	}
	id, version := s.template.find(words[0])
	if len(words) > 1 && words[1] != "" {
		version = words[1]
	}
	resource, err := s.live.read(id, version)
	if err != nil {
		return nil, err
	}
	if len(words) == 3 && strings.EqualFold(words[2], "Full") {
		return resource, nil
	}
	return resource["properties"], nil
}

// listFunction calls a function of a resource, such as listKeys.
func listFunction(s *scope, name string, args []any) (any, error) {
	if len(args) < 2 {
		return nil, fmt.Errorf("the template function '%s' does not take %d arguments", name, len(args))
	}
	words, err := textsOf(args[:2])
	if err != nil {
		return nil, err
	}
	if s.live == nil {
		return nil, errAtRunTime
	}
	id, _ := s.template.find(words[0])
	return s.live.list(name, id, words[1])
}
