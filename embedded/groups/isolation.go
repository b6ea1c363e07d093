package groups

import (
	"fmt"
	"strconv"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/embedded/isolation"
)

// labelIDs is on sandboxes in a user namespace: the first id, on the host, of
// the range that the group has. A new daemon reads it there, since a sandbox
// and its containers have to agree.
const labelIDs = "frankenetes.dev/ids"

// Isolation is how groups are kept apart. The zero value is without user
// namespaces and with the runtime's own seccomp profile.
type Isolation struct {
	// IDs gives each group a range of user ids for a user namespace of its
	// own; nil means that new groups have none.
	IDs *isolation.IDs
	// Filter is the file with the seccomp profile of those in a user namespace.
	Filter string
}

// ownIDs is the range of user ids of a deployment; the zero value is none.
type ownIDs struct {
	first  uint32
	filter string
}

// take gives a deployment a range, where groups have one.
func (i Isolation) take(uid string) (ownIDs, error) {
	if i.IDs == nil {
		return ownIDs{}, nil
	}
	first, err := i.IDs.Take(uid)
	if err != nil {
		return ownIDs{}, fmt.Errorf("make user namespace: %w", err)
	}
	return ownIDs{first, i.Filter}, nil
}

// keep notes which range a sandbox has that an earlier daemon made.
func (i Isolation) keep(uid string, labels map[string]string) (ownIDs, error) {
	label, ok := labels[labelIDs]
	if !ok {
		return ownIDs{}, nil
	}
	first, err := strconv.ParseUint(label, 10, 32)
	if err == nil && i.IDs != nil {
		err = i.IDs.Keep(uid, uint32(first))
	}
	if err != nil {
		return ownIDs{}, fmt.Errorf("read user ids of sandbox: %w", err)
	}
	return ownIDs{uint32(first), i.Filter}, nil
}

func (i Isolation) release(uid string) {
	if i.IDs != nil {
		i.IDs.Release(uid)
	}
}

// some reports whether there is a range.
func (o ownIDs) some() bool { return o.first != 0 }

// mappings say which ids of the host the group's own are.
func (o ownIDs) mappings() []*runtimeapi.IDMapping {
	if !o.some() {
		return nil
	}
	return []*runtimeapi.IDMapping{{ContainerId: 0, HostId: o.first, Length: isolation.RangeSize}}
}

// namespaces are those that a group's containers have.
func (o ownIDs) namespaces() *runtimeapi.NamespaceOption {
	option := &runtimeapi.NamespaceOption{
		Network: runtimeapi.NamespaceMode_POD,
		Pid:     runtimeapi.NamespaceMode_CONTAINER,
		Ipc:     runtimeapi.NamespaceMode_POD,
	}
	if o.some() {
		option.UsernsOptions = &runtimeapi.UserNamespace{Mode: runtimeapi.NamespaceMode_POD, Uids: o.mappings(), Gids: o.mappings()}
	}
	return option
}

// sysctls let every user of a group ping: who makes a user namespace inside has
// no raw sockets. The runtime does so only for groups without user namespaces.
func (o ownIDs) sysctls() map[string]string {
	if !o.some() {
		return nil
	}
	return map[string]string{"net.ipv4.ping_group_range": "0 " + strconv.Itoa(isolation.RangeSize-1)}
}

// seccomp is the filter of system calls that containers have. In a user
// namespace it can allow more: what the kernel then grants ends with the group.
func (o ownIDs) seccomp() *runtimeapi.SecurityProfile {
	if !o.some() {
		return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault}
	}
	return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Localhost, LocalhostRef: o.filter}
}

// mount mounts a directory or file of the host's. Owners are in it as the
// group sees them, so that what one group writes to a share looks the same to
// every other, and to those who reach it over the network.
func (o ownIDs) mount(from, to string, readOnly bool) *runtimeapi.Mount {
	return &runtimeapi.Mount{ContainerPath: to, HostPath: from, Readonly: readOnly, UidMappings: o.mappings(), GidMappings: o.mappings()}
}
