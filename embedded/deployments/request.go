package deployments

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"frankenetes.dev/embedded/arm"
)

// request is the body of PUT and validate.
type request struct {
	Properties struct {
		Mode           string           `json:"mode"`
		Template       *template        `json:"template"`
		TemplateLink   any              `json:"templateLink"`
		Parameters     map[string]given `json:"parameters"`
		ParametersLink any              `json:"parametersLink"`
	} `json:"properties"`
}

var deploymentName = regexp.MustCompile(`^[-\w.()]{1,64}$`)

// invalid is a refusal of a template or of what was sent with it.
func invalid(err error) *arm.Error {
	return arm.BadRequest("InvalidTemplate", "Deployment template validation failed: %s.", strings.TrimSuffix(err.Error(), "."))
}

// prepare reads a request and finds out all that can be known before it runs.
func (s *Service) prepare(r *arm.Request) (record, *template, *scope, error) {
	var body request
	if err := decode(r.Body, &body); err != nil {
		return record{}, nil, nil, arm.BadRequest("InvalidRequestContent",
			"The request content was invalid and could not be deserialized: '%v'.", err)
	}
	p, name := body.Properties, r.Var("name")
	switch {
	case !deploymentName.MatchString(name):
		return record{}, nil, nil, arm.BadRequest("InvalidDeploymentName",
			"The deployment name '%s' is not valid: it must have 1 to 64 letters, digits, '-', '_', '.', '(' and ')'.", name)
	case p.TemplateLink != nil || p.ParametersLink != nil:
		return record{}, nil, nil, arm.BadRequest("InvalidTemplate", "Linked templates are not supported by the embedded cloud.")
	case p.Template == nil:
		return record{}, nil, nil, arm.BadRequest("InvalidTemplate", "Deployment template validation failed: there is no template.")
	case p.Mode != "" && !strings.EqualFold(p.Mode, "Incremental"):
		return record{}, nil, nil, arm.BadRequest("DeploymentModeNotSupported",
			"The deployment mode '%s' is not supported by the embedded cloud: only 'Incremental' is.", p.Mode)
	case len(p.Template.Functions) > 0:
		return record{}, nil, nil, invalid(fmt.Errorf("functions of the user's own are not supported by the embedded cloud"))
	}
	if err := p.Template.checkCounts(); err != nil {
		return record{}, nil, nil, invalid(err)
	}
	vars, err := s.scope(r, p.Template)
	if err != nil {
		return record{}, nil, nil, err
	}
	if err := p.Template.resolve(vars, p.Parameters); err != nil {
		return record{}, nil, nil, invalid(err)
	}
	if err := p.Template.makePlan(vars); err != nil {
		return record{}, nil, nil, invalid(err)
	}
	return describe(r, p.Template, vars), p.Template, vars, nil
}

// scope is what the template can see before it runs.
func (s *Service) scope(r *arm.Request, t *template) (*scope, error) {
	subscription := "/subscriptions/" + r.Var("sub")
	response, err := s.server.Call(r.Context(), r, http.MethodGet, escaped(subscription+"/resourceGroups/"+r.Var("rg"), defaultVersion), nil)
	if err != nil {
		return nil, err
	}
	var group map[string]any
	if err := response.Into(&group); err != nil {
		return nil, err
	}
	t.Variables, _ = plain(t.Variables).(map[string]any)
	return &scope{
		template: t, parameters: map[string]any{}, variables: map[string]any{}, asked: map[string]bool{}, group: group,
		sub:  map[string]any{"id": subscription, "subscriptionId": r.Var("sub"), "tenantId": s.Tenant, "displayName": "Embedded cloud"},
		name: r.Var("name"), copyIndex: -1,
	}, nil
}

// describe is the record of a deployment that has not run.
func describe(r *arm.Request, t *template, vars *scope) record {
	d := record{ID: fmt.Sprint(vars.group["id"]) + "/providers/" + resourceType + "/" + r.Var("name"), Name: r.Var("name"), Type: resourceType}
	d.Properties = properties{ProvisioningState: running, Mode: "Incremental", CorrelationID: uuid.NewString(), Timestamp: time.Now().UTC(),
		Duration: duration(0), Parameters: map[string]any{}, Dependencies: []dependency{}, Providers: []providerUsed{}}
	for name, declared := range t.Parameters {
		shown := map[string]any{"type": declared.Type}
		if !secret(declared.Type) {
			shown["value"] = vars.parameters[strings.ToLower(name)]
		}
		d.Properties.Parameters[name] = shown
	}
	for _, p := range t.plan {
		d.Properties.use(p.kind, fmt.Sprint(vars.group["location"]))
		if len(p.needs) == 0 {
			continue
		}
		needs := dependency{target: p.target()}
		for _, need := range p.needs {
			needs.DependsOn = append(needs.DependsOn, need.target())
		}
		d.Properties.Dependencies = append(d.Properties.Dependencies, needs)
	}
	return d
}

func (p *planned) target() target { return target{p.id, p.kind, p.name} }

// use notes a resource type of the deployment.
func (p *properties) use(kind, location string) {
	namespace, rest, _ := strings.Cut(kind, "/")
	used := resourceUsed{rest, []string{location}}
	for i, provider := range p.Providers {
		if !strings.EqualFold(provider.Namespace, namespace) {
			continue
		}
		for _, have := range provider.ResourceTypes {
			if strings.EqualFold(have.ResourceType, rest) {
				return
			}
		}
		p.Providers[i].ResourceTypes = append(provider.ResourceTypes, used)
		return
	}
	p.Providers = append(p.Providers, providerUsed{namespace, []resourceUsed{used}})
}
