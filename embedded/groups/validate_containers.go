package groups

import (
	"math"
	"slices"
	"strings"
)

// capabilities are the fourteen that a container has on ACI, and all that it
// can have.
var capabilities = []string{"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
	"NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}

func (v *validator) checkContainers() error {
	p := &v.group.Properties
	if len(p.Containers) == 0 {
		return invalid("MissingContainers", "The container group '%s' has no containers. At least one is required.", v.group.Name)
	}
	if n := len(p.Containers) + len(p.InitContainers); n > maxContainers {
		return invalid("TooManyContainers", "The container group '%s' has %d containers. At most %d are allowed.", v.group.Name, n, maxContainers)
	}
	seen := map[string]bool{}
	for i, c := range slices.Concat(p.InitContainers, p.Containers) {
		if seen[c.Name] {
			return invalid("DuplicateContainerName", "The container name '%s' is used more than once in container group '%s'.", c.Name, v.group.Name)
		}
		seen[c.Name] = true
		if err := v.checkContainer(c, i < len(p.InitContainers)); err != nil {
			return err
		}
	}
	return nil
}

func (v *validator) checkContainer(c Container, initial bool) error {
	p := c.Properties
	switch {
	case !containerName.MatchString(c.Name):
		return invalid("InvalidContainerName", "The container name '%s' in container group '%s' is invalid. It can contain only lowercase letters, numbers and hyphens, "+
			"must start and end with a letter or number, and is between 1 and 63 characters long.", c.Name, v.group.Name)
	case strings.TrimSpace(p.Image) == "":
		return invalid("InvalidImage", "The image of container '%s' in container group '%s' is missing.", c.Name, v.group.Name)
	case strings.ContainsFunc(p.Image, func(c rune) bool { return c <= ' ' || c == 0x7f }):
		return invalid("InvalidImage", "The image '%s' of container '%s' in container group '%s' is no name of an image.", p.Image, c.Name, v.group.Name)
	case hasNUL(p.Command):
		return invalid("InvalidCommand", "The command of container '%s' in container group '%s' contains a NUL.", c.Name, v.group.Name)
	case p.ConfigMap != nil:
		return notSupported("configMap (container '%s')", c.Name)
	case initial && (len(p.Ports) > 0 || p.Resources != nil || p.LivenessProbe != nil || p.ReadinessProbe != nil):
		return invalid("InvalidInitContainer", "The init container '%s' in container group '%s' cannot have ports, resources or probes.", c.Name, v.group.Name)
	}
	for _, port := range p.Ports {
		if err := v.checkPort(port, "container '"+c.Name+"'"); err != nil {
			return err
		}
	}
	return firstError(
		func() error { return v.checkVariables(c) },
		func() error { return v.checkProbe(c.Name, "livenessProbe", p.LivenessProbe) },
		func() error { return v.checkProbe(c.Name, "readinessProbe", p.ReadinessProbe) },
		func() error { return v.checkSecurity(c) },
	)
}

// hasNUL reports whether a command cannot be run because of a NUL in it.
func hasNUL(command []string) bool {
	return slices.ContainsFunc(command, func(word string) bool { return strings.ContainsRune(word, 0) })
}

func (v *validator) checkPort(p Port, of string) error {
	if p.Port < 1 || p.Port > 65535 {
		return invalid("InvalidPort", "The port '%d' of %s in container group '%s' is invalid. It must be between 1 and 65535.", p.Port, of, v.group.Name)
	}
	if p.Protocol != tcp && p.Protocol != udp {
		return invalid("InvalidProtocol", "The protocol '%s' of %s in container group '%s' is invalid. The value must be one of 'TCP,UDP'.", p.Protocol, of, v.group.Name)
	}
	return nil
}

func (v *validator) checkVariables(c Container) error {
	for _, e := range c.Properties.EnvironmentVariables {
		switch {
		case !variableName.MatchString(e.Name):
			return invalid("InvalidEnvironmentVariableName", "The environment variable name '%s' in container '%s' of container group '%s' is invalid.", e.Name, c.Name, v.group.Name)
		case e.SecureValueReference != nil:
			return notSupported("secret references (variable '%s')", e.Name)
		case (e.Value == nil) == (e.SecureValue == nil):
			return invalid("InvalidEnvironmentVariable", "The environment variable '%s' in container '%s' of container group '%s' must have exactly one of 'value' and 'secureValue'.", e.Name, c.Name, v.group.Name)
		case strings.ContainsRune(e.content(), 0):
			return invalid("InvalidEnvironmentVariable", "The environment variable '%s' in container '%s' of container group '%s' contains a NUL.", e.Name, c.Name, v.group.Name)
		}
	}
	return nil
}

func (e Variable) content() string {
	if e.SecureValue != nil {
		return *e.SecureValue
	}
	if e.Value != nil {
		return *e.Value
	}
	return ""
}

func (v *validator) checkSecurity(c Container) error {
	s := c.Properties.SecurityContext
	switch {
	case s == nil:
		return nil
	case s.Privileged != nil && *s.Privileged:
		return invalid("PrivilegedContainerNotAllowed", "The container '%s' in container group '%s' cannot be privileged.", c.Name, v.group.Name)
	case s.SeccompProfile != nil && *s.SeccompProfile != "":
		return notSupported("seccomp profiles of one's own (container '%s')", c.Name)
	case s.RunAsUser != nil && (*s.RunAsUser < 0 || *s.RunAsUser > math.MaxInt32),
		s.RunAsGroup != nil && (*s.RunAsGroup < 0 || *s.RunAsGroup > math.MaxInt32):
		return invalid("InvalidSecurityContext", "The user or group of container '%s' in container group '%s' is out of range.", c.Name, v.group.Name)
	case s.RunAsGroup != nil && s.RunAsUser == nil:
		return invalid("InvalidSecurityContext", "The container '%s' in container group '%s' has runAsGroup without runAsUser.", c.Name, v.group.Name)
	case s.Capabilities == nil:
		return nil
	}
	for _, add := range s.Capabilities.Add {
		if !slices.Contains(capabilities, capability(add)) {
			return invalid("CapabilityNotAllowed", "The capability '%s' of container '%s' in container group '%s' is not allowed. The allowed ones are '%s'.",
				add, c.Name, v.group.Name, strings.Join(capabilities, ","))
		}
	}
	return nil
}

// capability is a name in the form in which we keep it, without CAP_.
func capability(name string) string {
	return strings.TrimPrefix(strings.ToUpper(name), "CAP_")
}
