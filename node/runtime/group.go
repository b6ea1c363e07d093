package runtime

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"

	v1 "k8s.io/api/core/v1"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/images"
	"frankenetes.dev/node/provider"
)

const (
	// installer is the init container that copies the agent into the group.
	installer = "frankenetes-install"
	// agentInImage is where the agent's image has its binary.
	agentInImage = "/agent"
	// rootVolume is the group's volume that is mounted at protocol.Root.
	rootVolume = "frankenetes"
	// sharedVolume is the one that has all volumes of a pod with very many.
	sharedVolume = "volumes"
)

// plan is all that a pod's group is made of.
type plan struct {
	pod  *v1.Pod
	node Options
	// name is the group's, sandbox the sandbox's ID.
	name, sandbox string
	// images and accounts are what the containers run, by container.
	images   map[string]images.Image
	accounts map[string]*images.Account
	// token makes the one-time token of a container's agent.
	token func(protocol.ID) (string, error)
}

// group returns the container group for a pod. Every container of the pod is
// held by an agent until the kubelet starts it; init containers too, because
// a group's own init containers have neither limits nor a say in their order.
func (p plan) group() (provider.Group, error) {
	g := provider.Group{Name: p.name, Tags: p.tags(), Volumes: []string{rootVolume}}
	g.Init = []provider.Container{{
		Name: installer, Image: p.node.AgentImage, Command: []string{agentInImage, "install", protocol.Root},
		Mounts: []provider.Mount{{Volume: rootVolume, Path: protocol.Root}},
	}}
	sizes := sizesOf(p.pod, protocol.PodAgent)
	agent := provider.Container{Name: protocol.PodAgent, Image: p.node.AgentImage}
	places := p.places()
	for _, name := range used(p.pod) {
		if !slices.Contains(agent.Mounts, places[name]) {
			g.Volumes = append(g.Volumes, places[name].Volume)
			agent.Mounts = append(agent.Mounts, places[name])
		}
	}
	g.Containers = append(g.Containers, agent)
	for _, c := range containersOf(p.pod) {
		g.Containers = append(g.Containers, p.container(c, places))
	}
	for i := range g.Containers {
		c := &g.Containers[i]
		c.Request, c.Limit = sizes[c.Name].request.resources(), sizes[c.Name].limit.resources()
		if err := p.hold(c); err != nil {
			return provider.Group{}, err
		}
	}
	capLimits(g.Containers)
	g.Registries = p.registries()
	return g, nil
}

// capLimits cuts limits to the sum of the requests as the cloud computes it:
// 0.7 + 0.2 + 0.1 is a little less than 1.
func capLimits(containers []provider.Container) {
	var sum provider.Resources
	for _, c := range containers {
		sum.CPU += c.Request.CPU
		sum.MemoryGB += c.Request.MemoryGB
	}
	for i := range containers {
		limit := &containers[i].Limit
		limit.CPU, limit.MemoryGB = min(limit.CPU, sum.CPU), min(limit.MemoryGB, sum.MemoryGB)
	}
}

// container translates one of the pod's containers. What the group cannot mount
// as the pod wants it is mounted where only the agent looks.
func (p plan) container(c *v1.Container, places map[string]provider.Mount) provider.Container {
	image := p.images[c.Name]
	out := provider.Container{Name: c.Name, Image: p.node.pullName(image)}
	if !image.RunsAsRoot() {
		root := int32(0) // only root can become the user that the pod asks for
		out.User = &root
	}
	images := imageVolumes(p.pod)
	for _, m := range c.VolumeMounts {
		mount := places[m.Name]
		if !isPart(m) && !images[m.Name] && !sharesVolume(p.pod) {
			mount.Path, mount.ReadOnly = m.MountPath, m.ReadOnly
		}
		if !slices.Contains(out.Mounts, mount) {
			out.Mounts = append(out.Mounts, mount)
		}
	}
	for _, port := range c.Ports {
		// What is neither TCP nor UDP, no cloud opens.
		if port.Protocol != v1.ProtocolSCTP {
			out.Ports = append(out.Ports, provider.Port{UDP: port.Protocol == v1.ProtocolUDP, Number: port.ContainerPort})
		}
	}
	return out
}

// hold makes the agent the container's program.
func (p plan) hold(c *provider.Container) error {
	token, err := p.token(protocol.ID{Group: p.name, Container: c.Name})
	if err != nil {
		return fmt.Errorf("issue token of container %s: %w", c.Name, err)
	}
	c.Command = []string{protocol.Binary, "run"}
	if c.Name == protocol.PodAgent {
		c.Command = append(c.Command, "-trial")
		if len(inMemory(p.pod, true)) > 0 {
			c.Command = append(c.Command, "-keeper")
		}
	}
	c.Env = []provider.EnvVar{
		{Name: protocol.EnvNode, Value: p.node.AgentAddress},
		{Name: protocol.EnvAuthority, Value: string(p.node.AgentAuthority)},
		{Name: protocol.EnvToken, Value: token, Secret: true},
	}
	c.Mounts = append([]provider.Mount{{Volume: rootVolume, Path: protocol.Root}}, c.Mounts...)
	return nil
}

// places are where agents have the pod's volumes, by their names. The group's
// have others, since those have other rules.
func (p plan) places() map[string]provider.Mount {
	places := map[string]provider.Mount{}
	for i, v := range p.pod.Spec.Volumes {
		if sharesVolume(p.pod) {
			places[v.Name] = provider.Mount{Volume: sharedVolume, Path: protocol.Volumes}
			continue
		}
		places[v.Name] = provider.Mount{Volume: "volume-" + strconv.Itoa(i), Path: protocol.Volumes + "/" + v.Name}
	}
	return places
}

// sharesVolume reports whether a pod has more volumes than a group can have: they
// are then directories of one, which only agents can mount.
func sharesVolume(pod *v1.Pod) bool { return len(used(pod))+1 > maxVolumes }

func (p plan) tags() map[string]string {
	tags := map[string]string{
		provider.TagNode:      p.node.NodeName,
		provider.TagNamespace: p.pod.Namespace,
		provider.TagPod:       p.pod.Name,
		provider.TagUID:       string(p.pod.UID),
		provider.TagSandbox:   p.sandbox,
		provider.TagSpec:      p.specHash(),
	}
	for k, v := range tags {
		tags[k] = provider.TagValue(v)
	}
	return tags
}

// specHash tells apart groups that were made of different specifications.
func (p plan) specHash() string {
	data, err := p.pod.Spec.Marshal()
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// registries are the accounts that the images need, one for each registry.
func (p plan) registries() []provider.Registry {
	var all []provider.Registry
	seen := map[string]bool{}
	for _, c := range containersOf(p.pod) {
		account, host := p.accounts[c.Name], p.images[c.Name].Registry()
		if account == nil || account.Username == "" || seen[host] {
			continue
		}
		seen[host] = true
		all = append(all, provider.Registry{Server: host, Username: account.Username, Password: account.Password})
	}
	return all
}

// pullName is the name by which the provider gets an image: by digest, so that
// it cannot be another than the one resolved. The cloud's own registry may hold
// images by tag only.
func (o Options) pullName(image images.Image) string {
	if image.Registry() == o.Registry {
		return image.Ref
	}
	return image.RepoDigest()
}
