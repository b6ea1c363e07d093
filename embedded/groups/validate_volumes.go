package groups

import (
	"path"
	"slices"
	"strings"

	"frankenetes.dev/embedded/arm"
)

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
		return checkGitRepo(volume.Name, v.group.Name, volume.GitRepo)
	case volume.SecretReference != nil:
		return notSupported("secret references (volume '%s')", volume.Name)
	case volume.AzureFile != nil && volume.AzureFile.StorageAccountKeyReference != nil:
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
