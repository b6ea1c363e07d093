package deployments

import "strings"

// references returns which resources the expressions of a value ask for, as far
// as they can be named before anything runs.
func (s *scope) references(v any) ([]string, error) {
	var names []string
	collect := func(more []string, err error) error {
		names = append(names, more...)
		return err
	}
	switch v := v.(type) {
	case string:
		inside, ok := isExpression(v)
		if !ok {
			return nil, nil
		}
		e, err := parse(inside)
		if err != nil {
			return nil, err
		}
		return s.asksFor(e), nil
	case []any:
		for _, item := range v {
			if err := collect(s.references(item)); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for _, item := range v {
			if err := collect(s.references(item)); err != nil {
				return nil, err
			}
		}
	}
	return names, nil
}

// asksFor returns which resources an expression asks for.
func (s *scope) asksFor(e expression) []string {
	switch e := e.(type) {
	case member:
		return append(s.asksFor(e.of), s.asksFor(e.key)...)
	case call:
		var names []string
		for _, arg := range e.args {
			names = append(names, s.asksFor(arg)...)
		}
		if (e.name == "reference" || strings.HasPrefix(e.name, "list")) && len(e.args) > 0 {
			if v, err := e.args[0].eval(s); err == nil {
				if name, ok := v.(string); ok {
					names = append(names, name)
				}
			}
		}
		return names
	}
	return nil
}
