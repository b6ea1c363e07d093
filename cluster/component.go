package cluster

import (
	"encoding/base64"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"

	"frankenetes.dev/cloud"
	"frankenetes.dev/fault"
)

// secretsPath is where a component finds its keys and configuration. They come
// from a secret volume, which the cloud's API never returns.
const secretsPath = "/etc/frankenetes"

// component is one container group of the control plane, as we think of it.
type component struct {
	name    string
	command []string
	// ports are opened; a component with none has an address but no name.
	ports []int32
	cpu   float64
	// memory is in GB.
	memory float64
	// secrets are files below secretsPath.
	secrets map[string][]byte
	// share, when set, is mounted at sharePath.
	share, sharePath string
	// scratch is a directory that outlives the container, not the group.
	scratch  string
	identity *cloud.Identity
	// publish asks for a port on the cloud's loopback address.
	publish string
}

// arg writes a flag with its value.
func arg(name, value string) string { return "--" + name + "=" + value }

// after starts a program once a component that it needs can be connected to.
func (s *signer) after(component, port, program string) []string {
	return []string{"/usr/local/bin/await", net.JoinHostPort(s.fqdn(component), port), "/usr/local/bin/" + program}
}

// secret is the path of one of a component's files.
func secret(name string) string { return secretsPath + "/" + name }

// group writes the component as the cloud's API takes it. In a virtual network
// it is in the subnet; elsewhere that is empty.
func (c component) group(spec Spec, st storage, subnet string) cloud.Group {
	container := &aci.ContainerProperties{
		Image:   &spec.Image,
		Command: to.SliceOfPtrs(c.command...),
		Resources: &aci.ResourceRequirements{
			Requests: &aci.ResourceRequests{CPU: &c.cpu, MemoryInGB: &c.memory}},
		VolumeMounts: []*aci.VolumeMount{
			{Name: to.Ptr("secrets"), MountPath: to.Ptr(secretsPath), ReadOnly: to.Ptr(true)}},
	}
	props := &aci.ContainerGroupPropertiesProperties{
		OSType: to.Ptr(aci.OperatingSystemTypesLinux),
		// Not Always: etcd is to stay down once it was told to end.
		RestartPolicy: to.Ptr(aci.ContainerGroupRestartPolicyOnFailure),
		Containers:    []*aci.Container{{Name: &c.name, Properties: container}},
		Volumes:       []*aci.Volume{{Name: to.Ptr("secrets"), Secret: c.encoded()}},
	}
	if c.share != "" {
		container.VolumeMounts = append(container.VolumeMounts,
			&aci.VolumeMount{Name: to.Ptr("share"), MountPath: &c.sharePath})
		props.Volumes = append(props.Volumes, &aci.Volume{Name: to.Ptr("share"), AzureFile: &aci.AzureFileVolume{
			ShareName: &c.share, StorageAccountName: &st.account, StorageAccountKey: &st.key}})
	}
	if c.scratch != "" {
		container.VolumeMounts = append(container.VolumeMounts,
			&aci.VolumeMount{Name: to.Ptr("scratch"), MountPath: &c.scratch})
		props.Volumes = append(props.Volumes, &aci.Volume{Name: to.Ptr("scratch"), EmptyDir: map[string]any{}})
	}
	c.setAddress(props, spec, subnet)
	for _, port := range c.ports {
		container.Ports = append(container.Ports, &aci.ContainerPort{Port: &port, Protocol: to.Ptr(aci.ContainerNetworkProtocolTCP)})
		props.IPAddress.Ports = append(props.IPAddress.Ports, &aci.Port{Port: &port, Protocol: to.Ptr(aci.ContainerGroupNetworkProtocolTCP)})
	}
	g := cloud.Group{Location: &spec.Location, Properties: props, Tags: map[string]*string{
		clusterTag: &spec.Name}}
	if c.publish != "" {
		g.Tags[cloud.PublishTag] = &c.publish
	}
	if c.identity != nil {
		g.Identity = &aci.ContainerGroupIdentity{
			Type:                   to.Ptr(aci.ResourceIdentityTypeUserAssigned),
			UserAssignedIdentities: map[string]*aci.UserAssignedIdentities{c.identity.ID: {}},
		}
	}
	return g
}

// setAddress says where others reach the component.
func (c component) setAddress(props *aci.ContainerGroupPropertiesProperties, spec Spec, subnet string) {
	if subnet != "" {
		props.SubnetIDs = []*aci.ContainerGroupSubnetID{{ID: &subnet}}
	}
	switch {
	case len(c.ports) == 0:
	case subnet != "":
		props.IPAddress = &aci.IPAddress{Type: to.Ptr(aci.ContainerGroupIPAddressTypePrivate)}
	default:
		props.IPAddress = &aci.IPAddress{
			Type: to.Ptr(aci.ContainerGroupIPAddressTypePublic), DNSNameLabel: to.Ptr(spec.label(c.name))}
	}
}

// encoded returns the secrets as the API takes them.
func (c component) encoded() map[string]*string {
	out := make(map[string]*string, len(c.secrets))
	for name, content := range c.secrets {
		out[name] = to.Ptr(base64.StdEncoding.EncodeToString(content))
	}
	return out
}

// broken returns an error when a group will not run by itself any more: its
// provisioning failed, its container ended, or it fails again and again. log
// is asked for only then.
func broken(name string, g *cloud.Group, log func() string) error {
	what := trouble(g)
	if what == "" {
		return nil
	}
	return &fault.Error{
		Kind: fault.Unavailable,
		Err:  fmt.Errorf("%s does not run: %s", name, what),
		Hint: "`frankenetes up --keep` leaves a failed cluster standing, then `frankenetes logs " + name + "` shows more",
		Log:  lastLines(log(), 5),
	}
}

// restartsBeforeBroken is how often a component may fail before we say that it
// does not run: once may be chance.
const restartsBeforeBroken = 2

func trouble(g *cloud.Group) string {
	if g.Properties == nil {
		return ""
	}
	if p := g.Properties.ProvisioningState; p != nil && *p == "Failed" {
		return "the cloud could not create it" + lastEvent(g)
	}
	for _, c := range g.Properties.Containers {
		if c.Properties == nil || c.Properties.InstanceView == nil {
			continue
		}
		view := c.Properties.InstanceView
		state, status := "", ""
		if now := view.CurrentState; now != nil {
			state, status = deref(now.State), deref(now.DetailStatus)
			if state == "Terminated" && ended(g) {
				return fmt.Sprintf("it ended with exit code %d (%s)", deref(now.ExitCode), status)
			}
		}
		if deref(view.RestartCount) >= restartsBeforeBroken {
			return fmt.Sprintf("it failed %d times", deref(view.RestartCount))
		}
		if state == "Waiting" && strings.Contains(status, "ImagePull") {
			return "its image cannot be had: " + status
		}
	}
	return ""
}

// running tells whether every container of a group runs at this moment; a
// group that restarts one is Running all the same.
func running(g *cloud.Group) bool {
	if g == nil || g.Properties == nil {
		return false
	}
	return !slices.ContainsFunc(g.Properties.Containers, func(c *aci.Container) bool {
		return c.Properties == nil || c.Properties.InstanceView == nil || c.Properties.InstanceView.CurrentState == nil ||
			deref(c.Properties.InstanceView.CurrentState.State) != "Running"
	})
}

// ended tells whether a group will not start its containers again.
func ended(g *cloud.Group) bool {
	view := g.Properties.InstanceView
	return view != nil && slices.Contains([]string{"Succeeded", "Failed", "Stopped"}, deref(view.State))
}

// lastEvent is what the cloud said last about a group.
func lastEvent(g *cloud.Group) string {
	if g.Properties.InstanceView == nil || len(g.Properties.InstanceView.Events) == 0 {
		return ""
	}
	events := g.Properties.InstanceView.Events
	return ": " + deref(events[len(events)-1].Message)
}

// deref returns what p points to, or the zero value.
func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func lastLines(text string, n int) []string {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-n):]
}
