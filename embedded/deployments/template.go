package deployments

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// template is a template as it was sent.
type template struct {
	Parameters map[string]parameter `json:"parameters"`
	Variables  map[string]any       `json:"variables"`
	Resources  any                  `json:"resources"`
	Outputs    map[string]output    `json:"outputs"`
	Functions  []any                `json:"functions"`

	// plan is what Resources come to; unwanted are those whose condition is false.
	plan, unwanted []*planned
	// size is how many bytes both come to.
	size int
}

// parameter is the declaration of one.
type parameter struct {
	Type          string `json:"type"`
	DefaultValue  any    `json:"defaultValue"`
	AllowedValues []any  `json:"allowedValues"`
}

// secret says whether a value of the parameter, or output, may not be shown.
func secret(kind string) bool { return strings.HasPrefix(strings.ToLower(kind), "secure") }

// output is the declaration of one.
type output struct {
	Type      string `json:"type"`
	Value     any    `json:"value"`
	Condition any    `json:"condition"`
}

// given is the value of a parameter that a deployment sends.
type given struct {
	Value     any `json:"value"`
	Reference any `json:"reference"`
}

// resolve returns the values of all parameters: those given, or the defaults.
func (t *template) resolve(s *scope, values map[string]given) error {
	for name := range values {
		if _, err := t.parameter(name); err != nil {
			return err
		}
	}
	// Defaults may speak of other parameters: those that are given come first.
	var rest []string
	for name, declared := range t.Parameters {
		value, ok := lookup(values, name)
		switch {
		case ok && value.Reference != nil:
			return fmt.Errorf("the template parameter '%s' refers to a key vault, which this cloud does not have", name)
		case ok:
			s.parameters[strings.ToLower(name)] = plain(value.Value)
			if err := declared.check(name, plain(value.Value)); err != nil {
				return err
			}
		case declared.DefaultValue == nil:
			return fmt.Errorf("the value for the template parameter '%s' is not provided", name)
		default:
			rest = append(rest, name)
		}
	}
	slices.Sort(rest)
	return t.defaults(s, rest)
}

// defaults evaluates the defaults of parameters, in whatever order they need
// each other.
func (t *template) defaults(s *scope, names []string) error {
	for len(names) > 0 {
		var left []string
		var last error
		for _, name := range names {
			v, err := s.value(plain(t.Parameters[name].DefaultValue))
			if err != nil {
				left, last = append(left, name), err
				continue
			}
			s.parameters[strings.ToLower(name)] = v
		}
		if len(left) == len(names) {
			return fmt.Errorf("the template parameter '%s': %w", left[0], last)
		}
		names = left
	}
	return nil
}

func (t *template) parameter(name string) (parameter, error) {
	p, ok := lookup(t.Parameters, name)
	if !ok {
		return p, fmt.Errorf("the template parameter '%s' is given but not declared", name)
	}
	return p, nil
}

// lookup finds a key in any case.
func lookup[T any](in map[string]T, name string) (T, bool) {
	if v, ok := in[name]; ok {
		return v, true
	}
	for key, v := range in {
		if strings.EqualFold(key, name) {
			return v, true
		}
	}
	var none T
	return none, false
}

// check refuses a value of another type, or that is not allowed.
func (p parameter) check(name string, v any) error {
	fits := true
	switch strings.ToLower(p.Type) {
	case "string", "securestring":
		_, fits = v.(string)
	case "int":
		_, fits = v.(int64)
	case "bool":
		_, fits = v.(bool)
	case "array":
		_, fits = v.([]any)
	case "object", "secureobject":
		_, fits = v.(map[string]any)
	default:
		return fmt.Errorf("the type '%s' of the template parameter '%s' is not valid", p.Type, name)
	}
	if !fits {
		return fmt.Errorf("the value of the template parameter '%s' is %s, its type is '%s'", name, kindOf(v), p.Type)
	}
	allowed := func(a any) bool { return reflect.DeepEqual(plain(a), v) }
	if len(p.AllowedValues) > 0 && !slices.ContainsFunc(p.AllowedValues, allowed) {
		return fmt.Errorf("the value of the template parameter '%s' is not one of those that are allowed", name)
	}
	return nil
}

// find returns the id of a resource that a template's expression names, and
// the version of its declaration if it has one here.
func (t *template) find(reference string) (id, version string) {
	for _, p := range t.plan {
		if p.named(reference) {
			return p.id, p.version
		}
	}
	return reference, defaultVersion
}

// defaultVersion is used for a resource that the template does not declare.
const defaultVersion = "2021-04-01"
