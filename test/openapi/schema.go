package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// schema is the part of a Swagger schema that these documents use.
type schema struct {
	Ref                  string `json:"$ref"`
	Type, Format         string
	Enum                 []any
	EnumKind             struct{ ModelAsString bool } `json:"x-ms-enum"`
	Properties           map[string]*schema
	Required             []string
	AllOf                []*schema
	Items                *schema
	AdditionalProperties *additional
	Secret               bool `json:"x-ms-secret"`
	Nullable             bool `json:"x-nullable"`
}

// additional are members that are not named: of a schema, or of any.
type additional struct{ schema *schema }

// UnmarshalJSON reads true, false or a schema.
func (a *additional) UnmarshalJSON(data []byte) error {
	if string(data) == "true" || string(data) == "false" {
		return nil
	}
	return json.Unmarshal(data, &a.schema)
}

// located is a schema with the document in which its references hold.
type located struct {
	doc *document
	*schema
}

// object is what an object's schema, with all that it inherits, says.
type object struct {
	members  map[string]located
	required []string
	// open objects may have any members; rest is the schema of those not
	// named, nil where they are forbidden or may be anything.
	open bool
	rest *located
}

// What the service does, whatever its documents say.
const (
	// lastPage is left out by the last page of a list, also where a document
	// requires it.
	lastPage = "nextLink"
	// fullKey is how the permissions of a storage account's key are spelled,
	// where the document has Full.
	fullKey = "FULL"
)

// checker compares one body with a schema.
type checker struct {
	*Documents
	// secrets are allowed in an answer that exists to give them.
	secrets bool
	faults  []string
}

func (c *checker) fault(at, format string, args ...any) {
	if at == "" {
		at = "the body"
	}
	c.faults = append(c.faults, at+" "+fmt.Sprintf(format, args...))
}

// check compares a value with a schema.
func (c *checker) check(at string, doc *document, s *schema, value any) {
	nullable := s.Nullable
	doc, s, err := c.resolve(doc, s)
	if err != nil {
		c.fault(at, "cannot be checked: %v", err)
		return
	}
	if value == nil {
		if !nullable && !s.Nullable {
			c.fault(at, "is null")
		}
		return
	}
	switch value := value.(type) {
	case map[string]any:
		c.checkObject(at, doc, s, value)
	case []any:
		if s.Type != "array" || s.Items == nil {
			c.mistyped(at, s, "an array")
			return
		}
		for i, item := range value {
			c.check(fmt.Sprintf("%s[%d]", at, i), doc, s.Items, item)
		}
	case string:
		c.checkString(at, s, value)
	case json.Number:
		if s.Type != "number" && (s.Type != "integer" || strings.ContainsAny(value.String(), ".eE")) {
			c.mistyped(at, s, "the number "+value.String())
		}
	case bool:
		if s.Type != "boolean" {
			c.mistyped(at, s, "a boolean")
		}
	}
}

// mistyped reports a wrong type; a schema without any takes anything.
func (c *checker) mistyped(at string, s *schema, is string) {
	if s.Type != "" {
		c.fault(at, "is %s, not of type %s", is, s.Type)
	}
}

func (c *checker) checkString(at string, s *schema, value string) {
	if s.Type != "string" {
		c.mistyped(at, s, fmt.Sprintf("the string %q", value))
		return
	}
	if s.Format == "date-time" {
		if _, err := time.Parse(time.RFC3339Nano, value); err != nil {
			c.fault(at, "is no time: %q", value)
		}
	}
	if len(s.Enum) == 0 || slices.Contains(s.Enum, any(value)) || value == fullKey && slices.Contains(s.Enum, any("Full")) {
		return
	}
	// An open enumeration takes new values, but not old ones in another spelling.
	spelled := slices.ContainsFunc(s.Enum, func(known any) bool { return strings.EqualFold(fmt.Sprint(known), value) })
	if !s.EnumKind.ModelAsString || spelled {
		c.fault(at, "is %q, not one of %v", value, s.Enum)
	}
}

func (c *checker) checkObject(at string, doc *document, s *schema, value map[string]any) {
	if s.Type != "object" && s.Type != "" {
		c.mistyped(at, s, "an object")
		return
	}
	o := object{members: map[string]located{}}
	if err := c.collect(&o, doc, s); err != nil {
		c.fault(at, "cannot be checked: %v", err)
		return
	}
	for _, name := range o.required {
		if _, there := value[name]; !there && name != lastPage {
			c.fault(at, "lacks %q", name)
		}
	}
	if len(o.members) == 0 && o.rest == nil {
		return // any object
	}
	for _, name := range slices.Sorted(maps.Keys(value)) {
		member, known := o.members[name]
		switch below := strings.TrimPrefix(at+"."+name, "."); {
		case known && member.Secret && !c.secrets:
			c.fault(below, "is a secret")
		case known:
			c.check(below, member.doc, member.schema, value[name])
		case o.rest != nil:
			c.check(below, o.rest.doc, o.rest.schema, value[name])
		case !o.open:
			c.fault(below, "is unknown to %s", doc.Info.Version)
		}
	}
}

// collect gathers what a schema and all that it inherits say of an object.
func (c *checker) collect(o *object, doc *document, s *schema) error {
	doc, s, err := c.resolve(doc, s)
	if err != nil {
		return err
	}
	for _, parent := range s.AllOf {
		if err := c.collect(o, doc, parent); err != nil {
			return err
		}
	}
	for name, member := range s.Properties {
		o.members[name] = located{doc, member}
	}
	o.required = append(o.required, s.Required...)
	if s.AdditionalProperties != nil {
		o.open = true
		if s.AdditionalProperties.schema != nil {
			o.rest = &located{doc, s.AdditionalProperties.schema}
		}
	}
	return nil
}
