// Package deployments is Microsoft.Resources/deployments: it makes what an ARM
// template says. It exists because templates are how many people describe
// their container groups, and because az deployment group create should find
// here what it finds on Azure. A template can do here what its sender can: each
// resource is a request of theirs to the provider of its type.
//
// What templates for container groups use is there (parameters, variables,
// conditions, copies and children of resources, nested templates, outputs and
// the functions in common use). Linked templates, key vault
// references, functions of a template's own, complete mode and what-if are refused.
package deployments

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/store"
)

const (
	kind         = "deployments"
	resourceType = "Microsoft.Resources/deployments"
)

// The states of a deployment and of its operations.
const (
	running   = "Running"
	succeeded = "Succeeded"
	failed    = "Failed"
	canceled  = "Canceled"
)

// Options are what a Service needs.
type Options struct {
	Store *store.Store
	// Tenant is told to templates that ask for it.
	Tenant string
	Log    *slog.Logger
}

// Service answers the requests of the provider.
type Service struct {
	Options
	server *arm.Server
	// mu is held by whatever changes records, and guards active.
	mu sync.Mutex
	// active are the deployments that run, by their keys.
	active map[string]*deployment
}

// Register adds the routes to a server, and the deletion of a resource group's
// deployments. Those that an earlier daemon did not finish have failed.
func Register(server *arm.Server, opts Options) error {
	s := &Service{Options: opts, server: server, active: map[string]*deployment{}}
	const all = "/subscriptions/{sub}/resourceGroups/{rg}/providers/" + resourceType
	const one = all + "/{name}"
	server.Handle(http.MethodPut, one, resourceType+"/write", s.put)
	server.Handle(http.MethodGet, one, resourceType+"/read", s.get)
	server.Handle(http.MethodDelete, one, resourceType+"/delete", s.delete)
	server.Handle(http.MethodGet, all, resourceType+"/read", s.list)
	server.Handle(http.MethodPost, one+"/validate", resourceType+"/validate/action", s.validate)
	server.Handle(http.MethodPost, one+"/cancel", resourceType+"/cancel/action", s.cancel)
	server.Handle(http.MethodPost, one+"/whatIf", resourceType+"/whatIf/action", s.whatIf)
	for _, base := range []string{one, "/subscriptions/{sub}/resourceGroups/{rg}/deployments/{name}"} {
		server.Handle(http.MethodGet, base+"/operations", resourceType+"/operations/read", s.operations)
		server.Handle(http.MethodGet, base+"/operations/{op}", resourceType+"/operations/read", s.operation)
	}
	server.OnDeleteResourceGroup(s.deleteGroup)
	return s.endInterrupted()
}

// record is a deployment as it is kept. Secret parameters are not in it, nor
// is the template.
type record struct {
	ID         string      `json:"id"`
	Name       string      `json:"name"`
	Type       string      `json:"type"`
	Properties properties  `json:"properties"`
	Operations []operation `json:"operations,omitempty"`
}

type properties struct {
	ProvisioningState string         `json:"provisioningState"`
	Mode              string         `json:"mode"`
	CorrelationID     string         `json:"correlationId"`
	Timestamp         time.Time      `json:"timestamp"`
	Duration          string         `json:"duration"`
	Parameters        map[string]any `json:"parameters,omitempty"`
	Outputs           map[string]any `json:"outputs,omitempty"`
	OutputResources   []idOnly       `json:"outputResources,omitempty"`
	Dependencies      []dependency   `json:"dependencies"`
	Providers         []providerUsed `json:"providers"`
	// Error is an *arm.Error as it is shown.
	Error json.RawMessage `json:"error,omitempty"`
}

type idOnly struct {
	ID string `json:"id"`
}

type providerUsed struct {
	Namespace     string         `json:"namespace"`
	ResourceTypes []resourceUsed `json:"resourceTypes"`
}

type resourceUsed struct {
	ResourceType string   `json:"resourceType"`
	Locations    []string `json:"locations"`
}

// target is a resource in words.
type target struct {
	ID           string `json:"id"`
	ResourceType string `json:"resourceType"`
	ResourceName string `json:"resourceName"`
}

type dependency struct {
	target
	DependsOn []target `json:"dependsOn"`
}

// operation is what a deployment did about one resource.
type operation struct {
	ID          string              `json:"id"`
	OperationID string              `json:"operationId"`
	Properties  operationProperties `json:"properties"`
}

type operationProperties struct {
	ProvisioningOperation string         `json:"provisioningOperation"`
	ProvisioningState     string         `json:"provisioningState"`
	Timestamp             time.Time      `json:"timestamp"`
	Duration              string         `json:"duration"`
	StatusCode            string         `json:"statusCode,omitempty"`
	StatusMessage         map[string]any `json:"statusMessage,omitempty"`
	TargetResource        target         `json:"targetResource"`
}

func key(sub, rg, name string) string {
	return strings.ToLower("/subscriptions/" + sub + "/resourcegroups/" + rg + "/deployments/" + name)
}

func keyOf(r *arm.Request) string { return key(r.Var("sub"), r.Var("rg"), r.Var("name")) }

// each calls fn for the deployments whose keys have a prefix.
func (s *Service) each(prefix string, fn func(key string, d record) error) error {
	return s.Store.Each(kind, prefix, func(key string, value []byte) error {
		var d record
		if err := json.Unmarshal(value, &d); err != nil {
			return fmt.Errorf("read deployment %s: %w", key, err)
		}
		return fn(key, d)
	})
}

// endInterrupted gives up what an earlier daemon had begun.
func (s *Service) endInterrupted() error {
	return s.each("", func(key string, d record) error {
		if d.Properties.ProvisioningState != running {
			return nil
		}
		d.Properties.ProvisioningState = failed
		d.Properties.setError(arm.Conflict("DeploymentFailed", "The deployment was interrupted by a restart of the embedded cloud."))
		return s.Store.Put(kind, key, d)
	})
}

func (p *properties) setError(e *arm.Error) {
	p.Error, _ = json.Marshal(e) // an error of strings can be written
}

func (s *Service) deleteGroup(_ context.Context, sub, rg string) error {
	return s.each(key(sub, rg, ""), func(key string, _ record) error { return s.Store.Delete(kind, key) })
}

// duration writes a time as ISO 8601 does.
func duration(d time.Duration) string { return fmt.Sprintf("PT%.3fS", d.Seconds()) }
