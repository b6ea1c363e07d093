package deployments

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/store"
)

// put starts a deployment.
func (s *Service) put(_ context.Context, r *arm.Request) (*arm.Response, error) {
	d, t, vars, err := s.prepare(r)
	if err != nil {
		return nil, err
	}
	work := &deployment{service: s, key: keyOf(r), record: d, template: t, vars: vars, began: time.Now(),
		cloud: cloud{server: s.server, by: r}}
	work.wanted, work.cancel = context.WithCancel(context.Background())
	existed, err := s.begin(r, work)
	if err != nil {
		return nil, err
	}
	header := s.server.Async(r, work.run)
	status := http.StatusCreated
	if existed {
		status = http.StatusOK
	}
	return &arm.Response{Status: status, Header: header, Body: d}, nil
}

// begin notes that a deployment runs, unless one of its name does.
func (s *Service) begin(r *arm.Request, work *deployment) (existed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var before record
	err = s.Store.Get(kind, work.key, &before)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	existed = err == nil
	if existed && before.Properties.ProvisioningState == running {
		return true, arm.Conflict("DeploymentActive", "Unable to edit or replace deployment '%s': previous deployment from '%s' is still active.",
			work.record.Name, before.Properties.Timestamp.Format(time.RFC3339))
	}
	if !existed {
		if err := s.makeRoom(r); err != nil {
			return false, err
		}
	}
	err = s.Store.Put(kind, work.key, work.record)
	if err == nil {
		s.active[work.key] = work
	}
	return existed, err
}

// validate says what PUT would say before anything runs.
func (s *Service) validate(_ context.Context, r *arm.Request) (*arm.Response, error) {
	d, _, _, err := s.prepare(r)
	if err != nil {
		return nil, err
	}
	d.Properties.ProvisioningState = succeeded
	return &arm.Response{Status: http.StatusOK, Body: d}, nil
}

// find returns the deployment that a request is about.
func (s *Service) find(r *arm.Request) (record, error) {
	var d record
	err := s.Store.Get(kind, keyOf(r), &d)
	if errors.Is(err, store.ErrNotFound) {
		return d, &arm.Error{Status: http.StatusNotFound, Code: "DeploymentNotFound",
			Message: "Deployment '" + r.Var("name") + "' could not be found."}
	}
	return d, err
}

func (s *Service) get(_ context.Context, r *arm.Request) (*arm.Response, error) {
	d, err := s.find(r)
	if err != nil {
		return nil, err
	}
	d.Operations = nil
	return &arm.Response{Status: http.StatusOK, Body: d}, nil
}

// listPage is how many deployments, or operations, a page of a list has.
const listPage = 100

func (s *Service) list(_ context.Context, r *arm.Request) (*arm.Response, error) {
	var all []record
	err := s.each(key(r.Var("sub"), r.Var("rg"), ""), func(_ string, d record) error {
		d.Operations = nil
		all = append(all, d)
		return nil
	})
	if err != nil {
		return nil, err
	}
	page, err := arm.Page(r, listPage, all, func(d record) string { return strings.ToLower(d.Name) })
	if err != nil {
		return nil, err
	}
	return &arm.Response{Status: http.StatusOK, Body: page}, nil
}

// delete forgets a deployment; what it made stays.
func (s *Service) delete(_ context.Context, r *arm.Request) (*arm.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.find(r)
	var absent *arm.Error
	switch {
	case errors.As(err, &absent):
		return &arm.Response{Status: http.StatusNoContent}, nil
	case err != nil:
		return nil, err
	case d.Properties.ProvisioningState == running:
		return nil, arm.Conflict("DeploymentActive", "The deployment '%s' is still active and cannot be deleted.", d.Name)
	}
	return &arm.Response{Status: http.StatusNoContent}, s.Store.Delete(kind, keyOf(r))
}

// cancel ends a deployment that runs: what is being made is left alone, and
// nothing more is made.
func (s *Service) cancel(_ context.Context, r *arm.Request) (*arm.Response, error) {
	d, err := s.find(r)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	work := s.active[keyOf(r)]
	s.mu.Unlock()
	if work != nil {
		work.cancel()
		return &arm.Response{Status: http.StatusNoContent}, nil
	}
	return nil, arm.Conflict("DeploymentCannotBeCancelled", "The deployment '%s' is in the state '%s' and cannot be cancelled.",
		d.Name, d.Properties.ProvisioningState)
}

func (s *Service) whatIf(context.Context, *arm.Request) (*arm.Response, error) {
	return nil, arm.BadRequest("WhatIfNotSupported", "The embedded cloud does not tell what a deployment would change.")
}

func (s *Service) operations(_ context.Context, r *arm.Request) (*arm.Response, error) {
	d, err := s.find(r)
	if err != nil {
		return nil, err
	}
	page, err := arm.Page(r, listPage, d.Operations, func(o operation) string { return o.OperationID })
	if err != nil {
		return nil, err
	}
	return &arm.Response{Status: http.StatusOK, Body: page}, nil
}

func (s *Service) operation(_ context.Context, r *arm.Request) (*arm.Response, error) {
	d, err := s.find(r)
	if err != nil {
		return nil, err
	}
	for _, o := range d.Operations {
		if strings.EqualFold(o.OperationID, r.Var("op")) {
			return &arm.Response{Status: http.StatusOK, Body: o}, nil
		}
	}
	return nil, &arm.Error{Status: http.StatusNotFound, Code: "DeploymentOperationNotFound",
		Message: "Deployment operation '" + r.Var("op") + "' could not be found."}
}
