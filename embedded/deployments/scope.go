package deployments

import (
	"errors"
	"fmt"
	"strings"
)

// errAtRunTime is returned for what is only known while a deployment runs.
var errAtRunTime = errors.New("it can only be known while the deployment runs")

var errTooDeep = fmt.Errorf("values are nested more than %d deep", maxNesting)

// live asks the cloud, while a deployment runs.
type live interface {
	// read returns a resource.
	read(id, version string) (map[string]any, error)
	// list calls a function of a resource, such as listKeys.
	list(function, id, version string) (any, error)
}

// scope is what expressions of a template can see.
type scope struct {
	template   *template
	parameters map[string]any
	// variables are filled in as they are asked for; asked are those under way.
	variables map[string]any
	asked     map[string]bool
	group     map[string]any
	sub       map[string]any
	name      string
	// copyIndex is the number of a resource's copy, -1 where there is none.
	copyIndex int
	// depth is how deep the value is that is being evaluated.
	depth int
	// live is nil while nothing runs yet.
	live live
}

func (l literal) eval(*scope) (any, error) { return l.value, nil }

func (m member) eval(s *scope) (any, error) {
	of, err := m.of.eval(s)
	if err != nil {
		return nil, err
	}
	key, err := m.key.eval(s)
	if err != nil {
		return nil, err
	}
	return element(of, key)
}

// element returns the property or the element of a value, in any case.
func element(of, key any) (any, error) {
	switch of := of.(type) {
	case map[string]any:
		name, ok := key.(string)
		if !ok {
			break
		}
		if v, ok := of[name]; ok {
			return v, nil
		}
		for other, v := range of {
			if strings.EqualFold(other, name) {
				return v, nil
			}
		}
		return nil, fmt.Errorf("there is no property '%s'", name)
	case []any:
		index, ok := key.(int64)
		if ok && index >= 0 && index < int64(len(of)) {
			return of[index], nil
		}
		return nil, fmt.Errorf("there is no element %v in a list of %d", key, len(of))
	}
	return nil, fmt.Errorf("'%v' cannot be looked up in %s", key, kindOf(of))
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case int64, float64:
		return "a number"
	case []any:
		return "a list"
	}
	return "an object"
}

// value evaluates what stands in a template: expressions in strings, at any depth.
func (s *scope) value(v any) (any, error) {
	s.depth++
	defer func() { s.depth-- }()
	if s.depth > maxNesting {
		return nil, errTooDeep
	}
	switch v := v.(type) {
	case string:
		return s.text(v)
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			var err error
			if list[i], err = s.value(item); err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		object := make(map[string]any, len(v))
		for key, item := range v {
			name, err := s.string(key)
			if err != nil {
				return nil, err
			}
			if object[name], err = s.value(item); err != nil {
				return nil, err
			}
		}
		return object, nil
	}
	return v, nil
}

// text evaluates a string.
func (s *scope) text(text string) (any, error) {
	inside, ok := isExpression(text)
	if !ok {
		if strings.HasPrefix(text, "[[") {
			return text[1:], nil
		}
		return text, nil
	}
	e, err := parse(inside)
	if err != nil {
		return nil, err
	}
	v, err := e.eval(s)
	if err != nil {
		return nil, fmt.Errorf("evaluate '%.256s': %w", text, err)
	}
	return v, nil
}

// string evaluates a string that must be one afterwards.
func (s *scope) string(text string) (string, error) {
	v, err := s.text(text)
	if err != nil {
		return "", err
	}
	t, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("'%s' is %s, not a string", text, kindOf(v))
	}
	return t, nil
}

// variable evaluates a variable, once.
func (s *scope) variable(name string) (any, error) {
	name = strings.ToLower(name)
	if v, ok := s.variables[name]; ok {
		return v, nil
	}
	raw, err := element(s.template.Variables, name)
	if err != nil {
		return nil, fmt.Errorf("the template variable '%s' is not found", name)
	}
	if s.asked[name] {
		return nil, fmt.Errorf("the template variable '%s' depends on itself", name)
	}
	s.asked[name] = true
	defer delete(s.asked, name)
	v, err := s.value(raw)
	if err == nil {
		err = fit(v)
	}
	if err != nil {
		return nil, err
	}
	s.variables[name] = v
	return v, nil
}
