package deployments

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// numbers are the functions on numbers, which are whole.
func numbers() map[string]function {
	two := func(do func(a, b int64) (any, error)) function {
		return function{2, 2, func(_ *scope, args []any) (any, error) {
			a, okA := args[0].(int64)
			b, okB := args[1].(int64)
			if !okA || !okB {
				return nil, fmt.Errorf("it takes two integers, not %s and %s", kindOf(args[0]), kindOf(args[1]))
			}
			return do(a, b)
		}}
	}
	divide := func(do func(a, b int64) any) function {
		return two(func(a, b int64) (any, error) {
			if b == 0 || a == math.MinInt64 && b == -1 {
				return nil, fmt.Errorf("%d by %d is no number", a, b)
			}
			return do(a, b), nil
		})
	}
	return map[string]function{
		"add":             two(func(a, b int64) (any, error) { return a + b, nil }),
		"sub":             two(func(a, b int64) (any, error) { return a - b, nil }),
		"mul":             two(func(a, b int64) (any, error) { return a * b, nil }),
		"div":             divide(func(a, b int64) any { return a / b }),
		"mod":             divide(func(a, b int64) any { return a % b }),
		"min":             two(func(a, b int64) (any, error) { return min(a, b), nil }),
		"max":             two(func(a, b int64) (any, error) { return max(a, b), nil }),
		"less":            two(func(a, b int64) (any, error) { return a < b, nil }),
		"lessorequals":    two(func(a, b int64) (any, error) { return a <= b, nil }),
		"greater":         two(func(a, b int64) (any, error) { return a > b, nil }),
		"greaterorequals": two(func(a, b int64) (any, error) { return a >= b, nil }),
		"int": {1, 1, func(_ *scope, args []any) (any, error) {
			switch v := args[0].(type) {
			case int64:
				return v, nil
			case string:
				return strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			}
			return nil, fmt.Errorf("it takes a string or an integer, not %s", kindOf(args[0]))
		}},
	}
}

// collections are the functions on lists and objects, some of which take
// strings as well.
func collections() map[string]function {
	return map[string]function{
		"concat":      {1, -1, concat},
		"length":      {1, 1, length},
		"empty":       {1, 1, func(s *scope, args []any) (any, error) { n, err := length(s, args); return n == int64(0), err }},
		"contains":    {2, 2, contains},
		"createarray": {0, -1, func(_ *scope, args []any) (any, error) { return append([]any{}, args...), nil }},
		"array": {1, 1, func(_ *scope, args []any) (any, error) {
			if list, ok := args[0].([]any); ok {
				return list, nil
			}
			return []any{args[0]}, nil
		}},
		"createobject": {0, -1, func(_ *scope, args []any) (any, error) {
			object := map[string]any{}
			if len(args)%2 != 0 {
				return nil, fmt.Errorf("it takes keys and values")
			}
			for pair := range slices.Chunk(args, 2) {
				object[fmt.Sprint(pair[0])] = pair[1]
			}
			return object, nil
		}},
		"coalesce": {1, -1, func(_ *scope, args []any) (any, error) {
			for _, arg := range args {
				if arg != nil {
					return arg, nil
				}
			}
			return nil, nil
		}},
		"first": {1, 1, func(_ *scope, args []any) (any, error) { return end(args[0], 0) }},
		"last":  {1, 1, func(_ *scope, args []any) (any, error) { return end(args[0], -1) }},
		"join": {2, 2, func(_ *scope, args []any) (any, error) {
			list, ok := args[0].([]any)
			if !ok {
				return nil, fmt.Errorf("it takes a list, not %s", kindOf(args[0]))
			}
			words := make([]string, len(list))
			for i, item := range list {
				words[i], _ = toText(item) // an item of a template can be written
			}
			between, err := textOf(args[1])
			if err != nil {
				return nil, err
			}
			if len(words)*len(between) > maxValue {
				return nil, errTooLarge
			}
			return strings.Join(words, between), nil
		}},
		"union": {1, -1, union},
	}
}

// concat joins strings (and what can be written as one) or lists.
func concat(_ *scope, args []any) (any, error) {
	if _, ok := args[0].([]any); ok {
		all := []any{}
		for _, arg := range args {
			list, ok := arg.([]any)
			if !ok {
				return nil, fmt.Errorf("a list and %s cannot be joined", kindOf(arg))
			}
			all = append(all, list...)
		}
		return all, nil
	}
	var all strings.Builder
	for _, arg := range args {
		text, err := toText(arg)
		if err != nil {
			return nil, err
		}
		all.WriteString(text)
	}
	return all.String(), nil
}

func length(_ *scope, args []any) (any, error) {
	switch v := args[0].(type) {
	case nil:
		return int64(0), nil
	case string:
		return int64(len([]rune(v))), nil
	case []any:
		return int64(len(v)), nil
	case map[string]any:
		return int64(len(v)), nil
	}
	return nil, fmt.Errorf("it takes a string, a list or an object, not %s", kindOf(args[0]))
}

func contains(_ *scope, args []any) (any, error) {
	switch v := args[0].(type) {
	case string:
		return strings.Contains(v, fmt.Sprint(args[1])), nil
	case []any:
		return slices.ContainsFunc(v, func(item any) bool { return reflect.DeepEqual(item, args[1]) }), nil
	case map[string]any:
		_, err := element(v, args[1])
		return err == nil, nil
	}
	return nil, fmt.Errorf("it takes a string, a list or an object, not %s", kindOf(args[0]))
}

// end returns the element or character at an end, -1 being the last.
func end(v any, at int) (any, error) {
	switch v := v.(type) {
	case string:
		characters := []rune(v)
		if len(characters) == 0 {
			return "", nil
		}
		if at < 0 {
			at = len(characters) - 1
		}
		return string(characters[at]), nil
	case []any:
		if len(v) == 0 {
			return nil, nil
		}
		if at < 0 {
			at = len(v) - 1
		}
		return v[at], nil
	}
	return nil, fmt.Errorf("it takes a string or a list, not %s", kindOf(v))
}

// union joins objects, of which the later ones win, or lists without doubles.
func union(_ *scope, args []any) (any, error) {
	if _, ok := args[0].(map[string]any); ok {
		all := map[string]any{}
		for _, arg := range args {
			object, ok := arg.(map[string]any)
			if !ok {
				return nil, fmt.Errorf("an object and %s cannot be joined", kindOf(arg))
			}
			for key, v := range object {
				all[key] = v
			}
		}
		return all, nil
	}
	all, have := []any{}, map[string]bool{}
	for _, arg := range args {
		list, ok := arg.([]any)
		if !ok {
			return nil, fmt.Errorf("a list and %s cannot be joined", kindOf(arg))
		}
		for _, item := range list {
			text, err := json.Marshal(item)
			if err != nil {
				return nil, err
			}
			if !have[string(text)] {
				all, have[string(text)] = append(all, item), true
			}
		}
	}
	return all, nil
}
