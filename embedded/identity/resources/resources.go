// Package resources puts what package identity knows into Azure Resource
// Manager: user-assigned identities, role assignments and role definitions.
// It stands apart because arm needs identity to know who asks.
package resources

import (
	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/identity"
)

// Register adds the routes to a server.
func Register(a *arm.Server, authority *identity.Authority) {}
