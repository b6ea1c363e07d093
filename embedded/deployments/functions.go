package deployments

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// eval calls a function. Those that need not know all of their arguments come
// first: what is not chosen is not evaluated.
func (c call) eval(s *scope) (any, error) {
	switch c.name {
	case "if":
		return c.choose(s)
	case "and", "or":
		return c.logical(s)
	}
	f, ok := functions()[c.name]
	if !ok && !strings.HasPrefix(c.name, "list") {
		return nil, fmt.Errorf("the template function '%s' is not known here", c.name)
	}
	args := make([]any, len(c.args))
	for i, arg := range c.args {
		var err error
		if args[i], err = arg.eval(s); err != nil {
			return nil, err
		}
	}
	if err := fit(args); err != nil {
		return nil, fmt.Errorf("the arguments of the template function '%s': %w", c.name, err)
	}
	if !ok {
		return listFunction(s, c.name, args)
	}
	if len(args) < f.least || f.most >= 0 && len(args) > f.most {
		return nil, fmt.Errorf("the template function '%s' does not take %d arguments", c.name, len(args))
	}
	v, err := f.do(s, args)
	if err != nil {
		return nil, fmt.Errorf("%s(): %w", c.name, err)
	}
	return v, nil
}

func (c call) choose(s *scope) (any, error) {
	if len(c.args) != 3 {
		return nil, fmt.Errorf("the template function 'if' does not take %d arguments", len(c.args))
	}
	condition, err := truth(s, c.args[0])
	if err != nil {
		return nil, err
	}
	if condition {
		return c.args[1].eval(s)
	}
	return c.args[2].eval(s)
}

func (c call) logical(s *scope) (any, error) {
	ending := c.name == "or" // the value that decides
	for _, arg := range c.args {
		v, err := truth(s, arg)
		if err != nil || v == ending {
			return v, err
		}
	}
	return !ending, nil
}

func truth(s *scope, e expression) (bool, error) {
	v, err := e.eval(s)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("a condition is %s, not a boolean", kindOf(v))
	}
	return b, nil
}

// function is one of the template language. It takes at least and at most so
// many arguments; a most of -1 is no limit.
type function struct {
	least, most int
	do          func(s *scope, args []any) (any, error)
}

// functions are those of the template language that templates for this cloud
// use; see also texts, numbers and collections.
func functions() map[string]function {
	all := map[string]function{
		"parameters": {1, 1, func(s *scope, args []any) (any, error) {
			name, err := textOf(args[0])
			if err != nil {
				return nil, err
			}
			v, ok := s.parameters[strings.ToLower(name)]
			if !ok {
				return nil, fmt.Errorf("the template parameter '%s' is not found", name)
			}
			return v, nil
		}},
		"variables": {1, 1, func(s *scope, args []any) (any, error) {
			name, err := textOf(args[0])
			if err != nil {
				return nil, err
			}
			return s.variable(name)
		}},
		"resourcegroup":          {0, 0, func(s *scope, _ []any) (any, error) { return s.group, nil }},
		"subscription":           {0, 0, func(s *scope, _ []any) (any, error) { return s.sub, nil }},
		"tenant":                 {0, 0, func(s *scope, _ []any) (any, error) { return map[string]any{"tenantId": s.sub["tenantId"]}, nil }},
		"deployment":             {0, 0, func(s *scope, _ []any) (any, error) { return map[string]any{"name": s.name}, nil }},
		"resourceid":             {2, -1, resourceID},
		"subscriptionresourceid": {2, -1, subscriptionResourceID},
		"extensionresourceid":    {3, -1, extensionResourceID},
		"reference":              {1, 3, reference},
		"copyindex":              {0, 2, copyIndex},
		"equals":                 {2, 2, func(_ *scope, args []any) (any, error) { return reflect.DeepEqual(args[0], args[1]), nil }},
		"not": {1, 1, func(_ *scope, args []any) (any, error) {
			b, ok := args[0].(bool)
			if !ok {
				return nil, fmt.Errorf("it takes a boolean, not %s", kindOf(args[0]))
			}
			return !b, nil
		}},
		"bool": {1, 1, func(_ *scope, args []any) (any, error) {
			return strings.EqualFold(fmt.Sprint(args[0]), "true") || fmt.Sprint(args[0]) == "1", nil
		}},
		"true":  {0, 0, func(*scope, []any) (any, error) { return true, nil }},
		"false": {0, 0, func(*scope, []any) (any, error) { return false, nil }},
		"null":  {0, 0, func(*scope, []any) (any, error) { return nil, nil }},
		"json": {1, 1, func(_ *scope, args []any) (any, error) {
			text, err := textOf(args[0])
			if err != nil {
				return nil, err
			}
			var v any
			if err := decode([]byte(text), &v); err != nil {
				return nil, err
			}
			return plain(v), nil
		}},
		"string": {1, 1, func(_ *scope, args []any) (any, error) { return toText(args[0]) }},
		"base64": {1, 1, func(_ *scope, args []any) (any, error) {
			text, err := textOf(args[0])
			return base64.StdEncoding.EncodeToString([]byte(text)), err
		}},
		"base64tostring": {1, 1, func(_ *scope, args []any) (any, error) {
			text, err := textOf(args[0])
			if err != nil {
				return nil, err
			}
			data, err := base64.StdEncoding.DecodeString(text)
			return string(data), err
		}},
	}
	for _, more := range []map[string]function{texts(), numbers(), collections()} {
		for name, f := range more {
			all[name] = f
		}
	}
	return all
}

func textOf(v any) (string, error) {
	text, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("it takes a string, not %s", kindOf(v))
	}
	return text, nil
}

func textsOf(args []any) ([]string, error) {
	all := make([]string, len(args))
	for i, arg := range args {
		var err error
		if all[i], err = textOf(arg); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// toText writes a value as the function string does.
func toText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case nil:
		return "", nil
	case bool:
		if v {
			return "True", nil
		}
		return "False", nil
	}
	data, err := json.Marshal(v)
	return string(data), err
}

func copyIndex(s *scope, args []any) (any, error) {
	if s.copyIndex < 0 {
		return nil, fmt.Errorf("it is only known in a resource with a copy")
	}
	index := int64(s.copyIndex)
	for _, arg := range args { // a name, an offset, or both
		if offset, ok := arg.(int64); ok {
			index += offset
		}
	}
	return index, nil
}
