package deployments

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

// texts are the functions on strings.
func texts() map[string]function {
	one := func(do func(string) any) function {
		return function{1, 1, func(_ *scope, args []any) (any, error) {
			text, err := textOf(args[0])
			return do(text), err
		}}
	}
	two := func(do func(a, b string) any) function {
		return function{2, 2, func(_ *scope, args []any) (any, error) {
			words, err := textsOf(args)
			if err != nil {
				return nil, err
			}
			return do(words[0], words[1]), nil
		}}
	}
	many := func(do func([]string) any) function {
		return function{1, -1, func(_ *scope, args []any) (any, error) {
			words, err := textsOf(args)
			if err != nil {
				return nil, err
			}
			return do(words), nil
		}}
	}
	return map[string]function{
		"tolower":      one(func(text string) any { return strings.ToLower(text) }),
		"toupper":      one(func(text string) any { return strings.ToUpper(text) }),
		"trim":         one(func(text string) any { return strings.TrimSpace(text) }),
		"startswith":   two(func(a, b string) any { return strings.HasPrefix(strings.ToLower(a), strings.ToLower(b)) }),
		"endswith":     two(func(a, b string) any { return strings.HasSuffix(strings.ToLower(a), strings.ToLower(b)) }),
		"indexof":      two(func(a, b string) any { return int64(strings.Index(strings.ToLower(a), strings.ToLower(b))) }),
		"uniquestring": many(uniqueString),
		"guid": many(func(words []string) any {
			return uuid.NewSHA1(uuid.NameSpaceURL, []byte(strings.Join(words, "-"))).String()
		}),
		"format": {1, -1, format},
		"split": two(func(a, b string) any {
			list := []any{}
			for _, part := range strings.Split(a, b) {
				list = append(list, part)
			}
			return list
		}),
		"replace": {3, 3, func(_ *scope, args []any) (any, error) {
			words, err := textsOf(args)
			if err != nil {
				return nil, err
			}
			if grown := strings.Count(words[0], words[1]) * len(words[2]); grown > maxValue {
				return nil, errTooLarge
			}
			return strings.ReplaceAll(words[0], words[1], words[2]), nil
		}},
		"substring": {2, 3, subString},
		"padleft":   {2, 3, padLeft},
	}
}

func padLeft(_ *scope, args []any) (any, error) {
	text, err := toText(args[0])
	width, ok := args[1].(int64)
	if err != nil || !ok || width < 0 || width > 1<<16 {
		return nil, fmt.Errorf("it takes a string and a width of up to %d", 1<<16)
	}
	with := " "
	if len(args) == 3 {
		if with, err = textOf(args[2]); err != nil || utf8.RuneCountInString(with) != 1 {
			return nil, fmt.Errorf("it pads with one character")
		}
	}
	return strings.Repeat(with, max(0, int(width)-utf8.RuneCountInString(text))) + text, nil
}

// uniqueString is 13 letters and digits that depend on all of the words. They
// are not those that Azure makes of them, since how it does so is not told.
func uniqueString(words []string) any {
	sum := sha256.Sum256([]byte(strings.Join(words, "-")))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:13]
}

func subString(_ *scope, args []any) (any, error) {
	text, err := textOf(args[0])
	if err != nil {
		return nil, err
	}
	begin, ok := args[1].(int64)
	length := int64(len(text)) - begin
	if len(args) == 3 && ok {
		length, ok = args[2].(int64)
	}
	if !ok || begin < 0 || length < 0 || begin > int64(len(text)) || length > int64(len(text))-begin {
		return nil, fmt.Errorf("%v from %v is not within a string of %d characters", length, args[1], len(text))
	}
	return text[begin : begin+length], nil
}

var placeholder = regexp.MustCompile(`\{\{|\}\}|\{(\d+)\}`)

// format puts arguments where a text has their numbers in braces.
func format(_ *scope, args []any) (any, error) {
	pattern, err := textOf(args[0])
	if err != nil {
		return nil, err
	}
	size := 0
	text := placeholder.ReplaceAllStringFunc(pattern, func(found string) string {
		if found == "{{" || found == "}}" {
			return found[:1]
		}
		index, atoiErr := strconv.Atoi(strings.Trim(found, "{}"))
		if atoiErr != nil || index+1 >= len(args) {
			err = fmt.Errorf("there is no argument %s", found)
			return ""
		}
		part, textErr := toText(args[index+1])
		if size += len(part); size > maxValue {
			textErr = errTooLarge
		}
		if textErr != nil {
			err = textErr
			return ""
		}
		return part
	})
	return text, err
}
