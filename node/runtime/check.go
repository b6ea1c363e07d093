package runtime

import (
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/provider"
)

const (
	// maxContainers and maxVolumes are what a container group may have.
	maxContainers = 60
	maxVolumes    = 20
)

// check refuses a pod that asks for what a container group cannot give. The
// error names the field, so that it can be read from the pod's events.
func check(pod *v1.Pod) error {
	spec := &pod.Spec
	for _, rule := range []struct {
		broken bool
		field  string
		why    string
	}{
		{spec.HostNetwork, "hostNetwork", "a container group has a network of its own"},
		{spec.HostPID, "hostPID", "a container group has no host"},
		{spec.HostIPC, "hostIPC", "a container group has no host"},
		{spec.HostUsers != nil && !*spec.HostUsers, "hostUsers", "container groups have no user namespaces"},
		{spec.ShareProcessNamespace != nil && *spec.ShareProcessNamespace, "shareProcessNamespace",
			"containers of a group do not see each other's processes"},
		{spec.SecurityContext != nil && len(spec.SecurityContext.Sysctls) > 0, "securityContext.sysctls",
			"a container group's sysctls cannot be set"},
		{len(containersOf(pod))+2 > maxContainers, "containers",
			fmt.Sprintf("a container group has at most %d containers, two of them ours", maxContainers)},
	} {
		if rule.broken {
			return refuse("spec."+rule.field, rule.why)
		}
	}
	for _, c := range containersOf(pod) {
		if err := checkContainer(c); err != nil {
			return err
		}
	}
	return checkEnvFiles(pod)
}

// checkPlain refuses a pod that asks for what only containers with namespaces of
// their own can have.
func checkPlain(pod *v1.Pod) error {
	if sharesVolume(pod) {
		return refuse("spec.volumes", fmt.Sprintf("a container group has at most %d volumes, one of them ours", maxVolumes))
	}
	images := imageVolumes(pod)
	for _, name := range used(pod) {
		if images[name] {
			return refuse("volume "+name+": image", "a container group cannot mount images")
		}
	}
	for _, c := range containersOf(pod) {
		field := "container " + c.Name + ": "
		for _, m := range c.VolumeMounts {
			if isPart(m) {
				return refuse(field+"volumeMounts.subPath", "a container group mounts whole volumes only")
			}
		}
		if s := c.SecurityContext; s != nil && s.ReadOnlyRootFilesystem != nil && *s.ReadOnlyRootFilesystem {
			return refuse(field+"securityContext.readOnlyRootFilesystem", "a container group's root file systems are writable")
		}
	}
	return nil
}

// isPart reports whether not all of a volume is mounted.
func isPart(m v1.VolumeMount) bool { return m.SubPath != "" || m.SubPathExpr != "" }

func checkContainer(c *v1.Container) error {
	field := func(name string) string { return "container " + c.Name + ": " + name }
	if c.Name == protocol.PodAgent || c.Name == installer {
		return refuse(field("name"), "this name is taken by the agent")
	}
	for _, p := range c.Ports {
		if p.HostPort != 0 {
			return refuse(field("ports.hostPort"), "a container group has no host")
		}
	}
	if len(c.VolumeDevices) > 0 {
		return refuse(field("volumeDevices"), "a container group has no block devices")
	}
	for _, m := range c.VolumeMounts {
		if err := checkMount(m); err != nil {
			return fmt.Errorf("container %s: %w", c.Name, err)
		}
	}
	return checkSecurity(c)
}

func checkMount(m v1.VolumeMount) error {
	switch {
	case m.MountPropagation != nil && *m.MountPropagation == v1.MountPropagationBidirectional:
		return refuse("volumeMounts.mountPropagation", "a container in a group cannot mount")
	case strings.Contains(m.MountPath, ":") && !isPart(m):
		return refuse("volumeMounts.mountPath", "a container group's mount path cannot have a colon")
	case within(protocol.Root, m.MountPath), within(protocol.Volumes, m.MountPath):
		return refuse("volumeMounts.mountPath", m.MountPath+" is the agent's")
	}
	return nil
}

func checkSecurity(c *v1.Container) error {
	s := c.SecurityContext
	if s == nil {
		return nil
	}
	field := "container " + c.Name + ": securityContext."
	switch {
	case s.Privileged != nil && *s.Privileged:
		return refuse(field+"privileged", "a container group gives no privileges")
	case s.ProcMount != nil && *s.ProcMount != v1.DefaultProcMount:
		return refuse(field+"procMount", "a container group has the default one only")
	case s.SeccompProfile != nil && s.SeccompProfile.Type == v1.SeccompProfileTypeLocalhost:
		return refuse(field+"seccompProfile", "a container group has no profiles of its own")
	}
	if s.Capabilities == nil {
		return nil
	}
	for _, added := range s.Capabilities.Add {
		if !isOffered(added) {
			return refuse(field+"capabilities.add", fmt.Sprintf("a container group does not give %s", added))
		}
	}
	return nil
}

// isOffered reports whether a group's containers have a capability: no other
// can one of a pod be given.
func isOffered(c v1.Capability) bool {
	return slices.Contains(provider.Capabilities(), strings.TrimPrefix(strings.ToUpper(string(c)), "CAP_"))
}

func refuse(field, why string) error {
	return fmt.Errorf("%s is not possible on this node: %s", field, why)
}

// containersOf are the pod's containers in the order in which they start.
// Ephemeral ones are not among them: a group's containers are fixed.
func containersOf(pod *v1.Pod) []*v1.Container {
	var all []*v1.Container
	for i := range pod.Spec.InitContainers {
		all = append(all, &pod.Spec.InitContainers[i])
	}
	for i := range pod.Spec.Containers {
		all = append(all, &pod.Spec.Containers[i])
	}
	return all
}

// used are the names of the pod's volumes that any container mounts, in the
// order of the pod's specification.
func used(pod *v1.Pod) []string {
	mounted := map[string]bool{}
	for _, c := range containersOf(pod) {
		for _, m := range c.VolumeMounts {
			mounted[m.Name] = true
		}
	}
	var names []string
	for _, v := range pod.Spec.Volumes {
		if mounted[v.Name] {
			names = append(names, v.Name)
		}
	}
	return names
}

// imageVolumes are the names of the pod's volumes that are the content of images.
func imageVolumes(pod *v1.Pod) map[string]bool {
	names := map[string]bool{}
	for _, v := range pod.Spec.Volumes {
		if v.Image != nil {
			names[v.Name] = true
		}
	}
	return names
}

// within reports whether path is dir or below it.
func within(dir, path string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}
