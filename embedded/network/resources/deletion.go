package resources

import (
	"context"
	"strings"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/identity"
)

// deleteGroup deletes what a resource group has, once its container groups are
// gone, or nothing of it where something outside still needs some of it.
func (s *Service) deleteGroup(_ context.Context, sub, rg string) error {
	scope := "/subscriptions/" + sub + "/resourceGroups/" + rg
	return s.exclusively(func() error {
		if err := s.checkDeletion(rg, scope); err != nil {
			return err
		}
		return s.drop(scope)
	})
}

// checkDeletion returns what forbids the deletion of a resource group.
func (s *Service) checkDeletion(rg, scope string) error {
	var ids []string
	var details []*arm.Error
	block := func(id string, why *arm.Error) {
		ids, details = append(ids, id[strings.LastIndex(id, namespace):]), append(details, why)
	}
	for _, n := range s.networks.within(scope) {
		for _, sub := range n.Subnets {
			if users := s.users(n.subnetID(sub.Name)); len(users) > 0 {
				block(n.ID, inUse(n, sub, users))
			}
		}
	}
	for _, g := range s.gateways.within(scope) {
		for _, user := range s.behind(g) {
			if !identity.Within(user, scope) {
				block(g.ID, gatewayInUse(g, user))
			}
		}
	}
	for _, a := range s.addresses.within(scope) {
		if g, ok := s.holder(a); ok && !identity.Within(g.ID, scope) {
			block(a.ID, addressInUse(a, g))
		}
	}
	if len(details) == 0 {
		return nil
	}
	err := arm.Conflict("ResourceGroupDeletionBlocked", "Deletion of resource group '%s' failed as resources with identifiers '%s' could not be deleted. "+
		"The provisioning state of the resource group will be rolled back. %s", rg, strings.Join(ids, ","), details[0].Message)
	err.Details = details
	return err
}

// drop removes all that is within a scope, what needs others first.
func (s *Service) drop(scope string) error {
	for _, z := range s.zones.within(scope) {
		if err := s.dropZone(z); err != nil {
			return err
		}
	}
	for _, n := range s.networks.within(scope) {
		if err := s.dropNetwork(n); err != nil {
			return err
		}
	}
	for _, g := range s.gateways.within(scope) {
		if err := s.gateways.delete(g.ID); err != nil {
			return err
		}
	}
	for _, a := range s.addresses.within(scope) {
		if err := s.addresses.delete(a.ID); err != nil {
			return err
		}
	}
	return nil
}
