// Package openapi compares what a cloud answers with the OpenAPI documents that
// Microsoft publishes. It exists so that "a faithful ACI" is checked on every
// answer of every test, by something that was not written with the server.
//
// General validators do not fit: the documents are Swagger 2.0 with Azure's own
// extensions, and what matters most here is what plain Swagger allows, namely a
// member that no document knows, which the SDKs would drop without a word.
package openapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrAbsent is returned by Find where there are no documents.
var ErrAbsent = errors.New("there are no OpenAPI documents")

// Documents are the OpenAPI documents of a directory. They are safe for
// concurrent use.
type Documents struct {
	byPath map[string]*document
	// operations are all of Resource Manager's.
	operations []*operation
	// covered are the namespaces, in lower case, whose operations are all
	// there: an answer of theirs that no document has is a fault.
	covered map[string]bool
}

// document is one file.
type document struct {
	path        string
	Info        struct{ Version string }
	Paths       map[string]map[string]json.RawMessage
	Definitions map[string]*schema
}

// Find loads the documents of $FRANKENETES_SPECS, or of ../shared/specs beside
// the repository, or returns ErrAbsent.
func Find() (*Documents, error) {
	if dir := os.Getenv("FRANKENETES_SPECS"); dir != "" {
		return Load(dir)
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
	}
	specs := filepath.Join(dir, "..", "shared", "specs")
	if _, err := os.Stat(specs); err != nil {
		return nil, fmt.Errorf("look for %s: %w", specs, ErrAbsent)
	}
	return Load(specs)
}

// Load reads all documents below a directory that is laid out as Microsoft's
// repository azure-rest-api-specs.
func Load(dir string) (*Documents, error) {
	d := &Documents{byPath: map[string]*document{}, covered: map[string]bool{}}
	err := filepath.WalkDir(filepath.Join(dir, "specification"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == "examples" {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".json" || strings.Contains(path, "/data-plane/") {
			return nil
		}
		return d.read(path)
	})
	if err != nil {
		return nil, fmt.Errorf("load OpenAPI documents: %w", err)
	}
	if len(d.operations) == 0 {
		return nil, fmt.Errorf("load OpenAPI documents of %s: %w", dir, ErrAbsent)
	}
	return d, nil
}

func (d *Documents) read(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	doc := &document{path: path}
	if err := json.Unmarshal(data, doc); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	d.byPath[path] = doc
	for template, item := range doc.Paths {
		for method, raw := range item {
			if method == "parameters" {
				continue
			}
			op := &operation{doc: doc, method: strings.ToUpper(method), template: segments(template)}
			if err := json.Unmarshal(raw, op); err != nil {
				return fmt.Errorf("%s: %s %s: %w", path, method, template, err)
			}
			d.operations = append(d.operations, op)
			// Of Microsoft.Network there are only the public DNS zones.
			if ns := namespace(op.template); ns != "" && ns != "microsoft.network" {
				d.covered[ns] = true
			}
		}
	}
	return nil
}

// resolve follows a reference, and returns the document in which the next one
// is to be understood.
func (d *Documents) resolve(doc *document, s *schema) (*document, *schema, error) {
	for s.Ref != "" {
		file, name, _ := strings.Cut(s.Ref, "#/definitions/")
		if file != "" {
			path := filepath.Join(filepath.Dir(doc.path), file)
			if doc = d.byPath[path]; doc == nil {
				return nil, nil, fmt.Errorf("%s refers to %s, which is not there", s.Ref, path)
			}
		}
		next := doc.Definitions[name]
		if next == nil {
			return nil, nil, fmt.Errorf("%s has no definition %q", doc.path, name)
		}
		s = next
	}
	return doc, s, nil
}
