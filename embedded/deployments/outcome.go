package deployments

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/store"
)

// explain is an error as ARM tells it.
func explain(err error) *arm.Error {
	var told *arm.Error
	if errors.As(err, &told) {
		return told
	}
	return &arm.Error{Status: http.StatusInternalServerError, Code: "InternalServerError", Message: "The resource could not be made."}
}

// end notes how the deployment went.
func (d *deployment) end(ctx context.Context, failures map[*planned]error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := &d.record.Properties
	outcome := d.failure(failures)
	if outcome == nil {
		outcome = d.outputs()
	}
	state := failed
	switch {
	case d.wanted.Err() != nil:
		state, outcome = canceled, arm.Conflict("DeploymentCanceled", "The deployment was canceled.")
	case ctx.Err() != nil:
		outcome = arm.Conflict("DeploymentFailed", "The deployment was interrupted by a restart of the embedded cloud.")
	}
	p.ProvisioningState = succeeded
	for _, wanted := range d.template.plan {
		if failures[wanted] == nil {
			p.OutputResources = append(p.OutputResources, idOnly{wanted.id})
		}
	}
	if outcome != nil {
		p.ProvisioningState = state
		p.setError(outcome)
	}
	p.Timestamp, p.Duration = time.Now().UTC(), duration(time.Since(d.began))
	if err := d.service.save(d.key, d.record); err != nil {
		return err
	}
	if outcome != nil {
		return outcome
	}
	return nil
}

// failure is the error of a deployment some of whose resources were not made.
func (d *deployment) failure(failures map[*planned]error) *arm.Error {
	var details []*arm.Error
	for _, p := range d.template.plan {
		err := failures[p]
		if err == nil || errors.Is(err, errNotTried) {
			continue
		}
		d.service.Log.Warn("resource of a deployment failed", "deployment", d.record.Name, "resource", p.id, "error", err)
		told := *explain(err)
		told.Target = p.id
		details = append(details, &told)
	}
	if details == nil {
		return nil
	}
	e := arm.Conflict("DeploymentFailed", "At least one resource deployment operation failed. "+
		"Please list deployment operations for details. Please see https://aka.ms/arm-deployment-operations for usage details.")
	e.Target, e.Details = d.record.ID, details
	return e
}

// outputs notes the outputs, unless they cannot be evaluated.
func (d *deployment) outputs() *arm.Error {
	err := safely(d.evaluateOutputs)
	switch {
	case errors.Is(err, errFault):
		d.service.Log.Error("outputs of a deployment are not evaluated", "deployment", d.record.Name, "error", err)
		return explain(err)
	case err != nil:
		return arm.BadRequest("DeploymentOutputEvaluationFailed", "Unable to evaluate template outputs: %v.", err)
	}
	return nil
}

// evaluateOutputs evaluates the outputs, of which secret ones show no value.
func (d *deployment) evaluateOutputs() error {
	all := map[string]any{}
	vars := d.vars.whileLive(d.cloud)
	for name, o := range d.template.Outputs {
		if o.Condition != nil {
			if v, err := vars.value(plain(o.Condition)); err != nil || v != true {
				continue
			}
		}
		v, err := vars.value(plain(o.Value))
		if err != nil {
			return fmt.Errorf("'%s': %w", name, err)
		}
		shown := map[string]any{"type": strings.ToUpper(o.Type[:min(1, len(o.Type))]) + o.Type[min(1, len(o.Type)):]}
		if !secret(o.Type) {
			shown["value"] = v
		}
		all[name] = shown
	}
	if err := fit(all); err != nil {
		return err
	}
	d.record.Properties.Outputs = all
	return nil
}

// over forgets a deployment that ran; the next of its name may have begun.
func (s *Service) over(d *deployment) {
	d.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active[d.key] == d {
		delete(s.active, d.key)
	}
}

func (s *Service) save(key string, d record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.Store.Get(kind, key, &record{})
	if errors.Is(err, store.ErrNotFound) {
		return nil // it went with its resource group
	}
	if err == nil {
		err = s.Store.Put(kind, key, d)
	}
	if err != nil {
		return fmt.Errorf("note deployment %s: %w", d.Name, err)
	}
	return nil
}
