// Package provider is what the node needs from a place that runs containers:
// create, delete and list groups of them. It exists so that the runtime knows
// nothing of Azure; another place to run pods is another implementation of one
// small interface. Everything else (starting processes, logs, exec) goes over
// the agents' connections and is no provider's business.
package provider

import (
	"context"
	"errors"
)

// Provider runs groups of containers. It is safe for concurrent use.
// docs/providers.md tells how to write one.
type Provider interface {
	// Create asks for a group and returns once it is accepted; that the group
	// runs shows when its agents call. Names are never used twice. What a
	// Create that failed has left behind, Delete removes.
	Create(ctx context.Context, g Group) error
	// Delete kills a group and returns when its containers have ended. A group
	// that does not exist is no error.
	Delete(ctx context.Context, name string) error
	// List returns the groups that carry all the given tags: all of which
	// anything is left that Delete would remove.
	List(ctx context.Context, tags map[string]string) ([]Listed, error)
}

// What a provider may say of a Create that has failed, where it knows.
var (
	// ErrRefused is that the place will not have the group and has made
	// nothing of it: there is nothing to delete, and no use in asking again at
	// once.
	ErrRefused = errors.New("the group is refused")
	// ErrThrottled is that the place takes no requests now, whatever they are.
	// The provider sees to it that it is not asked too early.
	ErrThrottled = errors.New("the place takes no requests now")
)

// Capabilities are those that every container of a group has, without CAP_:
// what a pod may be given, and all that one which asks for nothing has.
func Capabilities() []string {
	return []string{
		"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
		"NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
	}
}

// Looker is a provider that can say of one group what List does not tell of all.
type Looker interface {
	// Ended reports whether a group does not run and never will again, or does
	// not exist.
	Ended(ctx context.Context, name string) (bool, error)
}

// Group is a set of containers that share a network address and volumes. Its
// containers are never restarted by the provider.
type Group struct {
	// Name is a DNS label of at most 63 characters.
	Name string
	// Tags are kept with the group and returned by List.
	Tags map[string]string
	// Init runs to its end before the containers start.
	Init       []Container
	Containers []Container
	// Volumes are the names of the group's directories, empty at first, that
	// containers share by their mounts.
	Volumes []string
	// Registries are the credentials by which its images are pulled.
	Registries []Registry
}

// Container is one container of a group.
type Container struct {
	Name  string
	Image string
	// Command replaces the image's entry point and command.
	Command []string
	Env     []EnvVar
	Mounts  []Mount
	// Ports are those at which others may reach it. A place where groups reach
	// each other at any port has no need of them.
	Ports []Port
	// Request is what the group's size is the sum of; Limit what the container
	// may use at most. Init containers have neither.
	Request, Limit Resources
	// User is the numeric user to run as; nil is the image's own.
	User *int32
}

// EnvVar is an environment variable. A secret one is never shown again by the
// place that runs the group.
type EnvVar struct {
	Name   string
	Value  string
	Secret bool
}

// Mount is where a container sees one of the group's volumes.
type Mount struct {
	Volume   string
	Path     string
	ReadOnly bool
}

// Port is a TCP or UDP port.
type Port struct {
	UDP    bool
	Number int32
}

// Resources are an amount of CPU, in cores, and of memory, in GB.
type Resources struct {
	CPU      float64
	MemoryGB float64
}

// Registry is the account by which images of one registry are pulled.
type Registry struct {
	Server   string
	Username string
	Password string
}

// Listed is a group as List reports it.
type Listed struct {
	Name string
	Tags map[string]string
	// Ended says that the group does not run and never will again, as after a
	// reboot of the machine that it was on: there is only something to delete.
	// A place that cannot tell says nothing; its groups are missed when their
	// agents have been away for long.
	Ended bool
}
