package aci

import (
	"encoding/json"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"

	"frankenetes.dev/node/provider"
)

// toARM converts a group. Its containers are never restarted: the agents are
// their first processes and restart what runs in them.
//
// In a subnet groups reach each other at all ports; elsewhere a group has a
// public address for the ports that it names, as in the posts.
func toARM(g provider.Group, location, subnet string) aci.ContainerGroup {
	properties := &aci.ContainerGroupPropertiesProperties{
		OSType:        to.Ptr(aci.OperatingSystemTypesLinux),
		RestartPolicy: to.Ptr(aci.ContainerGroupRestartPolicyNever),
	}
	for _, c := range g.Init {
		properties.InitContainers = append(properties.InitContainers, initContainer(c))
	}
	for _, c := range g.Containers {
		properties.Containers = append(properties.Containers, container(c))
	}
	if subnet != "" {
		properties.SubnetIDs = []*aci.ContainerGroupSubnetID{{ID: to.Ptr(subnet)}}
	} else {
		properties.IPAddress = address(g)
	}
	for _, v := range g.Volumes {
		properties.Volumes = append(properties.Volumes, &aci.Volume{Name: to.Ptr(v), EmptyDir: map[string]any{}})
	}
	for _, r := range g.Registries {
		properties.ImageRegistryCredentials = append(properties.ImageRegistryCredentials, &aci.ImageRegistryCredential{
			Server: to.Ptr(r.Server), Username: to.Ptr(r.Username), Password: to.Ptr(r.Password)})
	}
	tags := map[string]*string{}
	for k, v := range g.Tags {
		tags[k] = to.Ptr(v)
	}
	return aci.ContainerGroup{Location: to.Ptr(location), Tags: tags, Properties: properties}
}

// address is public, with every port that a container names; nil without any.
func address(g provider.Group) *aci.IPAddress {
	a := &aci.IPAddress{Type: to.Ptr(aci.ContainerGroupIPAddressTypePublic)}
	seen := map[provider.Port]bool{}
	for _, c := range g.Containers {
		for _, p := range c.Ports {
			if !seen[p] {
				seen[p] = true
				a.Ports = append(a.Ports, &aci.Port{Port: to.Ptr(p.Number), Protocol: to.Ptr(aci.ContainerGroupNetworkProtocol(protocolOf(p)))})
			}
		}
	}
	if len(a.Ports) == 0 {
		return nil
	}
	return a
}

func ports(c provider.Container) []*aci.ContainerPort {
	var list []*aci.ContainerPort
	for _, p := range c.Ports {
		list = append(list, &aci.ContainerPort{Port: to.Ptr(p.Number), Protocol: to.Ptr(aci.ContainerNetworkProtocol(protocolOf(p)))})
	}
	return list
}

func protocolOf(p provider.Port) string {
	if p.UDP {
		return "UDP"
	}
	return "TCP"
}

func initContainer(c provider.Container) *aci.InitContainerDefinition {
	return &aci.InitContainerDefinition{
		Name: to.Ptr(c.Name),
		Properties: &aci.InitContainerPropertiesDefinition{
			Image:                to.Ptr(c.Image),
			Command:              to.SliceOfPtrs(c.Command...),
			EnvironmentVariables: environment(c.Env),
			VolumeMounts:         mounts(c.Mounts),
			SecurityContext:      security(c),
		},
	}
}

func container(c provider.Container) *aci.Container {
	return &aci.Container{
		Name: to.Ptr(c.Name),
		Properties: &aci.ContainerProperties{
			Image:                to.Ptr(c.Image),
			Command:              to.SliceOfPtrs(c.Command...),
			Ports:                ports(c),
			EnvironmentVariables: environment(c.Env),
			VolumeMounts:         mounts(c.Mounts),
			SecurityContext:      security(c),
			Resources: &aci.ResourceRequirements{
				Requests: &aci.ResourceRequests{CPU: to.Ptr(c.Request.CPU), MemoryInGB: to.Ptr(c.Request.MemoryGB)},
				Limits:   &aci.ResourceLimits{CPU: to.Ptr(c.Limit.CPU), MemoryInGB: to.Ptr(c.Limit.MemoryGB)},
			},
		},
	}
}

func environment(vars []provider.EnvVar) []*aci.EnvironmentVariable {
	var out []*aci.EnvironmentVariable
	for _, v := range vars {
		e := &aci.EnvironmentVariable{Name: to.Ptr(v.Name)}
		if v.Secret {
			e.SecureValue = to.Ptr(v.Value)
		} else {
			e.Value = to.Ptr(v.Value)
		}
		out = append(out, e)
	}
	return out
}

func mounts(all []provider.Mount) []*aci.VolumeMount {
	var out []*aci.VolumeMount
	for _, m := range all {
		out = append(out, &aci.VolumeMount{
			Name: to.Ptr(m.Volume), MountPath: to.Ptr(m.Path), ReadOnly: to.Ptr(m.ReadOnly)})
	}
	return out
}

func security(c provider.Container) *aci.SecurityContextDefinition {
	if c.User == nil {
		return nil
	}
	return &aci.SecurityContextDefinition{RunAsUser: to.Ptr(*c.User)}
}

// messageIn returns the message of ARM's error envelope.
func messageIn(body []byte) string {
	var envelope struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &envelope) != nil {
		return ""
	}
	return envelope.Error.Message
}
