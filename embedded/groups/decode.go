package groups

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"frankenetes.dev/embedded/arm"
)

// decode reads a request's body into v as leniently as ACI does: names in any
// case, numbers and truth values that are spelled as strings, members that
// nobody knows. Of a member that is there twice, in whatever case, the last
// counts. What is wrong is told with its path, never with its value, which may
// be a secret. (encoding/json tells no paths through slices and own types.)
func decode(body []byte, v any) error {
	var whole json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return unreadable("%v, at byte %d", syntax, syntax.Offset)
		}
		return unreadable("%v", err)
	}
	d := decoder{json.NewDecoder(bytes.NewReader(whole))}
	d.tokens.UseNumber()
	return d.value(reflect.ValueOf(v).Elem(), "")
}

func unreadable(format string, args ...any) error {
	return arm.BadRequest("InvalidRequestContent", "The request content was invalid and could not be deserialized: '%s'.", fmt.Sprintf(format, args...))
}

// decoder reads a text that is known to be JSON.
type decoder struct{ tokens *json.Decoder }

// value reads the next value into v. null leaves v as if it had not been there.
func (d decoder) value(v reflect.Value, path string) error {
	token, err := d.tokens.Token()
	if err != nil {
		return unreadable("%v", err)
	}
	v.SetZero() // of what came before under the same name nothing is left
	switch t := token.(type) {
	case nil:
		if path == "" {
			return mismatch(path, "null", "an object")
		}
		return nil
	case json.Delim:
		v = settle(v)
		if v.Type() == reflect.TypeFor[unsupported]() {
			return d.skip(1)
		}
		if t == '{' {
			return d.object(v, path)
		}
		return d.array(v, path)
	default:
		return scalar(settle(v), t, path)
	}
}

// settle follows pointers, making what they point at.
func settle(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	return v
}

// skip passes over the rest of the values that are open.
func (d decoder) skip(open int) error {
	for open > 0 {
		token, err := d.tokens.Token()
		if err != nil {
			return unreadable("%v", err)
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			open++
		case json.Delim('}'), json.Delim(']'):
			open--
		}
	}
	return nil
}

func (d decoder) object(v reflect.Value, path string) error {
	switch v.Kind() {
	case reflect.Struct:
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	default:
		return mismatch(path, "an object", wanted(v))
	}
	for d.tokens.More() {
		token, err := d.tokens.Token()
		if err != nil {
			return unreadable("%v", err)
		}
		if err := d.member(v, token.(string), path); err != nil {
			return err
		}
	}
	return d.skip(1)
}

// member reads the value of one member of an object.
func (d decoder) member(v reflect.Value, name, path string) error {
	if path != "" {
		path += "."
	}
	if v.Kind() == reflect.Map {
		value := reflect.New(v.Type().Elem()).Elem()
		if err := d.value(value, path+name); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(name), value)
		return nil
	}
	if field, spelled := fieldOf(v, name); field.IsValid() {
		return d.value(field, path+spelled)
	}
	var ignored json.RawMessage
	if err := d.tokens.Decode(&ignored); err != nil {
		return unreadable("%v", err)
	}
	return nil
}

// fieldOf returns the field that has a name, in any case, and its own spelling.
// What only the cloud tells is none: clients send back what they have read.
func fieldOf(v reflect.Value, name string) (field reflect.Value, spelled string) {
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		spelled, _, _ := strings.Cut(tag.Get("json"), ",")
		if strings.EqualFold(spelled, name) && tag.Get("arm") != "readOnly" {
			return v.Field(i), spelled
		}
	}
	return reflect.Value{}, ""
}

func (d decoder) array(v reflect.Value, path string) error {
	if v.Kind() != reflect.Slice {
		return mismatch(path, "an array", wanted(v))
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	for i := 0; d.tokens.More(); i++ {
		item := reflect.New(v.Type().Elem()).Elem()
		if err := d.value(item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
		v.Set(reflect.Append(v, item))
	}
	return d.skip(1)
}

// scalar puts a string, a number or a truth value into v.
func scalar(v reflect.Value, token json.Token, path string) error {
	text, isText := token.(string)
	number, isNumber := token.(json.Number)
	truth, isTruth := token.(bool)
	if isText {
		number = json.Number(strings.TrimSpace(text))
	}
	switch {
	case v.Type() == reflect.TypeFor[unsupported]():
		return nil
	case v.Kind() == reflect.String && isText:
		v.SetString(text)
		return nil
	case v.Kind() == reflect.Bool && isTruth:
		v.SetBool(truth)
		return nil
	case v.Kind() == reflect.Bool && isText:
		for _, is := range []bool{true, false} {
			if strings.EqualFold(text, strconv.FormatBool(is)) {
				v.SetBool(is)
				return nil
			}
		}
	case (v.CanInt() || v.CanFloat()) && !isTruth:
		return count(v, number, path)
	}
	found := map[bool]string{isText: "a string", isNumber: "a number", isTruth: "a truth value"}[true]
	return mismatch(path, found, wanted(v))
}

// count puts a number into v.
func count(v reflect.Value, number json.Number, path string) error {
	f, err := strconv.ParseFloat(string(number), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return mismatch(path, "not a number that can be counted with", wanted(v))
	}
	if v.CanFloat() {
		v.SetFloat(f)
		return nil
	}
	if f != math.Trunc(f) || math.Abs(f) > math.MaxInt32 {
		return mismatch(path, "no whole number of 32 bits", wanted(v))
	}
	v.SetInt(int64(f))
	return nil
}

// wanted says what a part of the model is, for people.
func wanted(v reflect.Value) string {
	switch v.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "a truth value"
	case reflect.Slice:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Float64:
		return "a number"
	default:
		return "a whole number"
	}
}

func mismatch(path, found, want string) error {
	return unreadable("The value is %s where %s is wanted. Path '%s'", found, want, path)
}
