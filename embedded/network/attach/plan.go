// Package attach gives one container group its place in a network: a veth of
// its own, one end in the group, the other in the host or in the router of a
// virtual network. It is the CNI plugin of the embedded cloud, and apart from
// package network because it runs as a program of its own for every group and
// must be small.
//
// It decides nothing. What to do comes from the daemon, as an annotation of
// the group's sandbox, which the runtime passes on.
package attach

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
)

// Annotation is the sandbox's annotation with the Plan.
const Annotation = "frankenetes.dev/network"

// Plugin is the type by which a network configuration names this plugin, and
// so the file name of its program.
const Plugin = "frankenetes"

// Capability is what a configuration must declare for the runtime to pass the
// annotations of a sandbox.
const Capability = "io.kubernetes.cri.pod-annotations"

// Plan is the place of one group.
type Plan struct {
	// Address is the group's own.
	Address netip.Addr `json:"address"`
	// Peer is the name of the interface at the other end of the veth.
	Peer string `json:"peer"`
	// Namespace is the path of the network namespace of the other end; empty
	// means the host's.
	Namespace string `json:"namespace,omitempty"`
	// Source is the address that the host takes to speak to the group; not
	// valid where the other end is a router, which never speaks first.
	Source netip.Addr `json:"source,omitzero"`
}

// ErrNoPlan is returned when a sandbox was made without a plan.
var ErrNoPlan = errors.New("the sandbox has no annotation " + Annotation)

// Annotations returns what a sandbox carries for the plugin to read.
func (p Plan) Annotations() map[string]string {
	data, err := json.Marshal(p)
	if err != nil { // of addresses and strings: cannot happen
		panic(err)
	}
	return map[string]string{Annotation: string(data)}
}

// FromAnnotations returns the plan of a sandbox, or ErrNoPlan.
func FromAnnotations(annotations map[string]string) (Plan, error) {
	var p Plan
	data, ok := annotations[Annotation]
	if !ok {
		return p, ErrNoPlan
	}
	if err := json.Unmarshal([]byte(data), &p); err != nil {
		return p, fmt.Errorf("read annotation %s: %w", Annotation, err)
	}
	if !p.Address.Is4() || p.Peer == "" {
		return p, fmt.Errorf("read annotation %s: no address or no name", Annotation)
	}
	return p, nil
}
