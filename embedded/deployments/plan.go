package deployments

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// planned is a resource that a template wants.
type planned struct {
	id, kind, name, version string
	// copy is the name of the loop that made it, if any did.
	copy string
	// scope is the template's, with the resource's own number.
	scope *scope
	// body is what to send, its expressions not evaluated yet.
	body map[string]any
	// raw are its dependsOn; needs are the resources that must be there first.
	raw   []string
	needs []*planned
}

// named says whether a reference means the resource: its id, its name, or the
// name of its loop.
func (p *planned) named(reference string) bool {
	short := p.name[strings.LastIndex(p.name, "/")+1:]
	return strings.EqualFold(reference, p.id) || strings.EqualFold(reference, p.name) || strings.EqualFold(reference, short) ||
		strings.EqualFold(strings.TrimPrefix(reference, "/"), p.kind+"/"+p.name) || p.copy != "" && strings.EqualFold(reference, p.copy)
}

// makePlan finds out which resources there are and what needs what.
func (t *template) makePlan(s *scope) error {
	list, ok := plain(t.Resources).([]any)
	if !ok {
		return fmt.Errorf("the template's resources are %s, not a list", kindOf(t.Resources))
	}
	for _, r := range list {
		if err := t.add(s, r, nil); err != nil {
			return err
		}
	}
	for i, p := range t.plan {
		for _, other := range t.plan[:i] {
			if strings.EqualFold(p.id, other.id) {
				return fmt.Errorf("the resource '%s' is defined more than once in the template", p.id)
			}
		}
	}
	for _, p := range t.plan {
		if err := t.connect(p); err != nil {
			return err
		}
	}
	return t.checkCycles()
}

// add takes in a resource as it stands in the template, as often as its copy says.
func (t *template) add(s *scope, raw any, parent *planned) error {
	body, ok := raw.(map[string]any)
	if !ok {
		return fmt.Errorf("a resource of the template is %s, not an object", kindOf(raw))
	}
	loop, err := element(body, "copy")
	if err != nil {
		return t.addOne(s, body, parent, "")
	}
	name, count, err := copyOf(s, loop)
	if err != nil {
		return err
	}
	for i := range count {
		numbered := *s
		numbered.copyIndex = i
		if err := t.addOne(&numbered, body, parent, name); err != nil {
			return err
		}
	}
	return nil
}

// maxCopies is the most that a copy may count, as on Azure.
const maxCopies = 800

func copyOf(s *scope, loop any) (name string, count int, err error) {
	v, err := s.value(loop)
	if err != nil {
		return "", 0, err
	}
	n, _ := element(v, "name")
	c, _ := element(v, "count")
	name, _ = n.(string)
	number, ok := c.(int64)
	if !ok || number < 0 || number > maxCopies {
		return "", 0, fmt.Errorf("a copy wants a count of up to %d", maxCopies)
	}
	return name, int(number), nil
}

func (t *template) addOne(s *scope, body map[string]any, parent *planned, copyName string) error {
	field := func(name string) (string, error) {
		if v, err := element(body, name); err != nil || v == nil {
			return "", fmt.Errorf("a resource of the template has no '%s'", name)
		}
		return optional(s, body, name)
	}
	var p planned
	var errs [3]error
	p.kind, errs[0] = field("type")
	p.name, errs[1] = field("name")
	p.version, errs[2] = field("apiVersion")
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	if parent != nil {
		p.kind, p.name = parent.kind+"/"+p.kind, parent.name+"/"+p.name
	}
	if err := t.admit(&p, body); err != nil {
		return err
	}
	path, err := typePath(p.kind, strings.Split(p.name, "/"))
	if err != nil {
		return err
	}
	base, err := baseOf(s, body, p.kind)
	if err != nil {
		return err
	}
	p.id = base + "/providers/" + path
	p.scope, p.copy, p.body = s, copyName, map[string]any{}
	if condition, err := element(body, "condition"); err == nil {
		if v, err := s.value(condition); err != nil || v != true {
			t.unwanted = append(t.unwanted, &p)
			return err
		}
	}
	for key, v := range body {
		if !slices.Contains(forPlan(), strings.ToLower(key)) {
			p.body[key] = v
		}
	}
	if p.raw, err = dependencies(s, body); err != nil {
		return err
	}
	t.plan = append(t.plan, &p)
	children, _ := element(body, "resources") // nil where there are none
	list, _ := children.([]any)
	for _, child := range list {
		if err := t.add(s, child, &p); err != nil {
			return err
		}
	}
	return nil
}

// forPlan are the members of a resource that say what becomes of it, and are no
// part of it.
func forPlan() []string {
	return []string{"type", "name", "apiversion", "dependson", "condition", "copy", "resources", "comments", "scope", "resourcegroup", "subscriptionid"}
}

// optional evaluates a member of a resource, empty where it has none.
func optional(s *scope, body map[string]any, name string) (string, error) {
	v, err := element(body, name)
	if err != nil || v == nil {
		return "", nil
	}
	text, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("the '%s' of a resource of the template is %s", name, kindOf(v))
	}
	return s.string(text)
}

// admit refuses a resource with which the template would come to too much.
func (t *template) admit(p *planned, body map[string]any) error {
	t.size += maxValue - room(body, maxValue)
	switch {
	case len(t.plan)+len(t.unwanted) >= maxResources:
		return fmt.Errorf("the template has more than %d resources", maxResources)
	case t.size > maxValue:
		return fmt.Errorf("the template's resources come to more than 4 MiB")
	case len(p.kind) > maxName || len(p.name) > maxName:
		return fmt.Errorf("the type or the name of a resource has more than %d characters: '%.64s...'", maxName, p.name)
	}
	return nil
}

// dependencies evaluates the dependsOn of a resource.
func dependencies(s *scope, body map[string]any) ([]string, error) {
	v, err := element(body, "dependsOn")
	if err != nil {
		return nil, nil // it has none
	}
	if v, err = s.value(v); err != nil {
		return nil, err
	}
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("the dependsOn of a resource is %s, not a list", kindOf(v))
	}
	if len(list) > maxResources {
		return nil, fmt.Errorf("a resource depends on more than %d others", maxResources)
	}
	return textsOf(list)
}

// connect finds the resources that one needs: those of its dependsOn, and those
// whose outcome its expressions ask for.
func (t *template) connect(p *planned) error {
	for _, name := range p.raw {
		found := false
		for _, other := range t.plan {
			if other != p && other.named(name) {
				p.needs, found = append(p.needs, other), true
			}
		}
		// What is not in the template has to be there already; Azure wants a
		// name that stands alone to be in it.
		for _, other := range t.unwanted {
			found = found || other.named(name)
		}
		if !found && !strings.Contains(name, "/") {
			return fmt.Errorf("the resource '%s' depends on '%s', which is not defined in the template", p.id, name)
		}
	}
	names, err := p.scope.references(p.body)
	if err != nil {
		return err
	}
	for _, name := range names {
		for _, other := range t.plan {
			if other != p && other.named(name) && !slices.Contains(p.needs, other) {
				p.needs = append(p.needs, other)
			}
		}
	}
	return nil
}

// checkCycles refuses resources that need each other.
func (t *template) checkCycles() error {
	done := map[*planned]bool{}
	for len(done) < len(t.plan) {
		before := len(done)
		for _, p := range t.plan {
			if !done[p] && !slices.ContainsFunc(p.needs, func(need *planned) bool { return !done[need] }) {
				done[p] = true
			}
		}
		if len(done) == before {
			return fmt.Errorf("resources of the template depend on each other in a circle")
		}
	}
	return nil
}
