package groups

import (
	"math"
	"path"
	"slices"
	"strings"

	"frankenetes.dev/embedded/arm"
)

// maxAmount is far more cores and GB than any host has, and far less than
// what cannot be counted in bytes.
const maxAmount = 1e6

// checkResources wants requests of every container, and limits between the
// container's request and the group's total.
func (v *validator) checkResources() error {
	for _, c := range v.group.Properties.Containers {
		r := c.Properties.Resources
		if r == nil || r.Requests == nil || r.Requests.CPU == nil || r.Requests.MemoryInGB == nil {
			return invalid("ResourceRequestsNotSpecified", "The resource requests are not specified in container '%s' of contain group '%s'. "+
				"Both memory and CPU requests are required since API version '2017-07-01-preview'.", c.Name, v.group.Name)
		}
		if r.Requests.GPU != nil || r.Limits != nil && r.Limits.GPU != nil {
			return notSupported("GPUs (container '%s')", c.Name)
		}
		if *r.Requests.CPU <= 0 || *r.Requests.MemoryInGB <= 0 {
			return invalid("InvalidResourceRequests", "The resource requests in container '%s' of container group '%s' must be greater than zero.", c.Name, v.group.Name)
		}
		if *r.Requests.CPU > maxAmount || *r.Requests.MemoryInGB > maxAmount {
			return invalid("InvalidResourceRequests", "The resource requests in container '%s' of container group '%s' are greater than %d.", c.Name, v.group.Name, int(maxAmount))
		}
	}
	cpu, memory := v.group.total()
	for _, c := range v.group.Properties.Containers {
		r := c.Properties.Resources
		if r.Limits == nil {
			continue
		}
		if err := v.checkLimit(c.Name, "Cpu", r.Requests.CPU, r.Limits.CPU, cpu); err != nil {
			return err
		}
		if err := v.checkLimit(c.Name, "MemoryInGB", r.Requests.MemoryInGB, r.Limits.MemoryInGB, memory); err != nil {
			return err
		}
	}
	return nil
}

func (v *validator) checkLimit(container, what string, request, limit *decimal, total decimal) error {
	switch {
	case limit == nil:
		return nil
	case *limit < *request:
		return invalid("ContainerLimitLessThanRequest", "The '%s' limit '%v' in container '%s' is less than its request '%v'.", what, *limit, container, *request)
	case *limit > total:
		return invalid("ContainerLimitGreaterThanContainerGroupTotalRequest",
			"The '%s' limit '%v' in container '%s' is greater than the total request '%v' of container group '%s'.", what, *limit, container, total, v.group.Name)
	}
	return nil
}

// total is what the application containers ask for together, in cores and GB.
func (g *Group) total() (cpu, memory decimal) {
	for _, c := range g.Properties.Containers {
		cpu += *c.Properties.Resources.Requests.CPU
		memory += *c.Properties.Resources.Requests.MemoryInGB
	}
	return cpu.rounded(), memory.rounded()
}

// rounded takes away what adding up binary fractions leaves: ten times 0.1 is
// 1. Nobody asks for less than a ten-thousandth.
func (d decimal) rounded() decimal { return decimal(math.Round(float64(d)*1e4) / 1e4) }

func (v *validator) checkVolumes() error {
	volumes := v.group.Properties.Volumes
	if len(volumes) > maxVolumes {
		return invalid("TooManyVolumes", "The container group '%s' has %d volumes. At most %d are allowed.", v.group.Name, len(volumes), maxVolumes)
	}
	seen := map[string]bool{}
	for _, volume := range volumes {
		if seen[volume.Name] {
			return invalid("DuplicateVolumeName", "The volume name '%s' is used more than once in container group '%s'.", volume.Name, v.group.Name)
		}
		seen[volume.Name] = true
		if err := v.checkVolume(volume); err != nil {
			return err
		}
	}
	return nil
}

func (v *validator) checkVolume(volume Volume) error {
	kinds := 0
	for _, has := range []bool{volume.AzureFile != nil, volume.EmptyDir != nil, volume.Secret != nil, volume.GitRepo != nil, volume.SecretReference != nil} {
		if has {
			kinds++
		}
	}
	switch {
	case !volumeName.MatchString(volume.Name) || strings.Contains(volume.Name, "--") || len(volume.Name) < 5:
		return invalid("InvalidVolumeName", "The volume name '%s' in container group '%s' is invalid. It can contain only lowercase letters, numbers and single hyphens, "+
			"must start and end with a letter or number, and is between 5 and 63 characters long.", volume.Name, v.group.Name)
	case kinds != 1:
		return invalid("InvalidVolume", "The volume '%s' in container group '%s' must have exactly one kind; it has %d.", volume.Name, v.group.Name, kinds)
	case volume.GitRepo != nil:
		return notSupported("gitRepo volumes (volume '%s')", volume.Name)
	case volume.SecretReference != nil:
		return notSupported("secret references (volume '%s')", volume.Name)
	case volume.AzureFile != nil && (volume.AzureFile.ShareName == "" || volume.AzureFile.StorageAccountName == ""):
		return invalid("InvalidAzureFileVolume", "The volume '%s' in container group '%s' needs a share name and a storage account name.", volume.Name, v.group.Name)
	}
	for file, value := range volume.Secret {
		if !secretFile.MatchString(file) || file == "." || file == ".." || len(file) > 253 {
			return invalid("InvalidSecretName", "The secret name '%s' in volume '%s' of container group '%s' is invalid.", file, volume.Name, v.group.Name)
		}
		if !decodable(value) {
			return invalid("InvalidSecretValue", "The value of the secret '%s' in volume '%s' of container group '%s' is not base64.", file, volume.Name, v.group.Name)
		}
	}
	return nil
}

func (v *validator) checkMounts() error {
	p := &v.group.Properties
	for _, c := range slices.Concat(p.InitContainers, p.Containers) {
		seen := map[string]bool{}
		for _, m := range c.Properties.VolumeMounts {
			if err := v.checkMount(c.Name, m); err != nil {
				return err
			}
			if seen[path.Clean(m.MountPath)] {
				return invalid("DuplicateMountPath", "The mount path '%s' in container '%s' of container group '%s' is used more than once.", m.MountPath, c.Name, v.group.Name)
			}
			seen[path.Clean(m.MountPath)] = true
		}
	}
	return nil
}

func (v *validator) checkMount(container string, m Mount) error {
	if !path.IsAbs(m.MountPath) || path.Clean(m.MountPath) == "/" || strings.ContainsAny(m.MountPath, ":\x00") || slices.Contains(strings.Split(m.MountPath, "/"), "..") {
		return invalid("InvalidMountPath", "The mount path '%s' in container '%s' of container group '%s' is invalid. It must be absolute, not the root, and without ':'.",
			m.MountPath, container, v.group.Name)
	}
	if _, ok := v.group.volume(m.Name); !ok {
		return arm.BadRequest("VolumeNotFound", "The volume '%s' mounted by container '%s' is not defined in container group '%s'.", m.Name, container, v.group.Name)
	}
	return nil
}

func (g *Group) volume(name string) (Volume, bool) {
	for _, volume := range g.Properties.Volumes {
		if volume.Name == name {
			return volume, true
		}
	}
	return Volume{}, false
}
