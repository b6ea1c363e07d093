package groups

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"frankenetes.dev/cloud"
	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/network"
)

// Limits of a group, as documented for ACI.
const (
	maxContainers = 60 // init containers included
	maxPorts      = 5
	maxVolumes    = 20
)

var (
	groupName     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	containerName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	volumeName    = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	variableName  = regexp.MustCompile(`^[a-zA-Z0-9]([_a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$`)
	dnsLabel      = regexp.MustCompile(`^[a-z]([-a-z0-9]{3,61})[a-z0-9]$`)
	secretFile    = regexp.MustCompile(`^[-._a-zA-Z0-9]+$`)
)

// validator checks one group, stopping at the first thing that is wrong.
type validator struct {
	group    *Group
	location string
	registry string
}

// notSupported refuses what ACI has and this cloud does not.
func notSupported(what string, args ...any) error {
	return arm.BadRequest("NotSupported", "The embedded cloud does not support "+what+".", args...)
}

func invalid(code, format string, args ...any) error {
	return arm.BadRequest(code, format, args...)
}

func (v *validator) check() error {
	return firstError(v.checkGroup, v.checkFeatures, v.checkContainers, v.checkResources, v.checkNetwork, v.checkAddress,
		v.checkVolumes, v.checkMounts, v.checkCredentials, v.checkIdentity, v.checkDiagnostics, v.checkTags)
}

func firstError(checks ...func() error) error {
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (v *validator) checkGroup() error {
	g, p := v.group, &v.group.Properties
	switch {
	case !groupName.MatchString(g.Name) || strings.Contains(g.Name, "--"):
		return invalid("InvalidContainerGroupName", "The container group name '%s' is invalid. It can contain only lowercase letters, numbers and single hyphens, "+
			"must start and end with a letter or number, and is between 1 and 63 characters long.", g.Name)
	case g.Location == "":
		return invalid("LocationRequired", "The location property is required for this definition.")
	case g.Location != v.location:
		return invalid("LocationNotAvailableForResourceType", "The provided location '%s' is not available for resource type '%s'. List of available regions for the resource type is '%s'.",
			g.Location, Type, v.location)
	case p.OSType != linux && p.OSType != windows:
		return invalid("InvalidOsType", "The 'osType' for container group '%s' is invalid. The value must be one of 'Windows,Linux'.", orDefault(p.OSType, "<null>"))
	case p.OSType == windows:
		return notSupported("Windows containers (osType)")
	case len(g.Zones) > 0:
		return invalid("InvalidAvailabilityZone", "The zone(s) '%s' for resource '%s' is not supported. The supported zones for location '%s' are ''.",
			strings.Join(g.Zones, ","), Type+"/"+g.Name, v.location)
	case !slices.Contains([]string{always, onFailure, never}, p.RestartPolicy):
		return invalid("InvalidRestartPolicy", "The restart policy '%s' of container group '%s' is invalid. The value must be one of 'Always,OnFailure,Never'.", p.RestartPolicy, g.Name)
	}
	return nil
}

// checkFeatures refuses, one by one, what ACI has and this cloud has not.
func (v *validator) checkFeatures() error {
	p := &v.group.Properties
	if p.SKU == confidential || p.ConfidentialCompute != nil {
		return invalid("ConfidentialContainerGroupSkuIsNotSupported", "The sku 'Confidential' of container group '%s' is not supported by the embedded cloud.", v.group.Name)
	}
	for _, feature := range []struct {
		name string
		sent bool
	}{
		{"the sku '" + p.SKU + "'", p.SKU != standard},
		{"the priority '" + p.Priority + "'", p.Priority != "" && p.Priority != "Regular"},
		{"networkProfile; use subnetIds", p.NetworkProfile != nil},
		{"customer-managed keys (encryptionProperties)", p.EncryptionProperties != nil},
		{"extensions", len(p.Extensions) > 0},
		{"container group profiles (containerGroupProfile)", p.ContainerGroupProfile != nil},
		{"standby pools (standbyPoolProfile)", p.StandbyPoolProfile != nil},
		{"secret references (secretReferences)", len(p.SecretReferences) > 0},
		{"access control of identities (identityAcls)", p.IdentityACLs != nil},
	} {
		if feature.sent {
			return notSupported("%s", feature.name)
		}
	}
	return nil
}

func (v *validator) checkAddress() error {
	a := v.group.Properties.IPAddress
	switch {
	case a == nil:
		return nil
	case a.Type != public && a.Type != private:
		return invalid("InvalidIpAddressType", "The 'type' of the 'ipAddress' of container group '%s' is invalid. The value must be one of 'Public,Private'.", v.group.Name)
	case len(a.Ports) == 0 && a.Type == public: // in a subnet all ports are open anyway
		return invalid("MissingIpAddressPorts", "The ports in the 'ipAddress' of container group '%s' cannot be empty.", v.group.Name)
	case len(a.Ports) > maxPorts:
		return invalid("TooManyIpAddressPorts", "The 'ipAddress' of container group '%s' has %d ports. At most %d are allowed.", v.group.Name, len(a.Ports), maxPorts)
	case a.DNSNameLabel != "" && !dnsLabel.MatchString(a.DNSNameLabel):
		return invalid("InvalidDnsNameLabel", "The DNS name label '%s' in container group '%s' is invalid. It can contain only lowercase letters, numbers and hyphens. "+
			"The first character must be a letter. The last character must be a letter or number. The value must be between 5 and 63 characters long.", a.DNSNameLabel, v.group.Name)
	case a.Scope != "" && !slices.Contains(scopes(), a.Scope):
		return invalid("InvalidAutoGeneratedDomainNameLabelScope", "The 'autoGeneratedDomainNameLabelScope' '%s' of container group '%s' is invalid. The value must be one of '%s'.",
			a.Scope, v.group.Name, strings.Join(scopes(), ","))
	}
	return v.checkExposed(a.Ports)
}

// checkExposed wants every port of the address on some container.
func (v *validator) checkExposed(ports []Port) error {
	seen := map[Port]bool{}
	for _, port := range ports {
		if err := v.checkPort(port, "the 'ipAddress'"); err != nil {
			return err
		}
		if seen[port] {
			return invalid("DuplicatePort", "The port '%d' with protocol '%s' in the 'ipAddress' of container group '%s' is given more than once.", port.Port, port.Protocol, v.group.Name)
		}
		seen[port] = true
		if !slices.ContainsFunc(v.group.Properties.Containers, func(c Container) bool { return slices.Contains(c.Properties.Ports, port) }) {
			return invalid("PortNotExposed", "The port '%d' with protocol '%s' in the 'ipAddress' of container group '%s' is not exposed by any container.", port.Port, port.Protocol, v.group.Name)
		}
	}
	return nil
}

func (v *validator) checkCredentials() error {
	for _, c := range v.group.Properties.ImageRegistryCredentials {
		switch {
		case c.Server == "":
			return invalid("InvalidImageRegistryCredential", "An image registry credential of container group '%s' has no server.", v.group.Name)
		case c.PasswordReference != nil:
			return notSupported("secret references (registry '%s')", c.Server)
		case c.Identity != "" && !strings.EqualFold(c.Server, v.registry):
			return notSupported("registry credentials by identity for '%s'; only its own registry '%s' takes them", c.Server, v.registry)
		case c.Identity == "" && c.Username == "":
			return invalid("InvalidImageRegistryCredential", "The credential for the image registry '%s' in container group '%s' has no user name.", c.Server, v.group.Name)
		}
	}
	return nil
}

func (v *validator) checkIdentity() error {
	i := v.group.Identity
	if i == nil {
		return nil
	}
	names := i.Type == identityUser || i.Type == identityBoth
	switch {
	case !names && i.Type != identityNone && i.Type != identitySystem:
		return invalid("InvalidIdentityType", "The identity type '%s' of container group '%s' is invalid. The value must be one of '%s'.",
			i.Type, v.group.Name, strings.Join([]string{identitySystem, identityUser, identityBoth, identityNone}, ";"))
	case names && len(i.UserAssignedIdentities) == 0:
		return invalid("InvalidIdentity", "The identity of container group '%s' has type '%s' but names no identities.", v.group.Name, i.Type)
	case !names && len(i.UserAssignedIdentities) > 0:
		return invalid("InvalidIdentity", "The identity of container group '%s' has type '%s' but names identities.", v.group.Name, i.Type)
	}
	return nil
}

// checkDiagnostics wants what the API wants, though nothing comes of it.
func (v *validator) checkDiagnostics() error {
	d := v.group.Properties.Diagnostics
	switch {
	case d == nil || d.LogAnalytics == nil:
		return nil
	case d.LogAnalytics.WorkspaceID == "":
		return invalid("InvalidLogAnalytics", "The log analytics of container group '%s' have no workspace id.", v.group.Name)
	case d.LogAnalytics.WorkspaceKey == "":
		return invalid("InvalidLogAnalytics", "The log analytics of container group '%s' have no workspace key.", v.group.Name)
	case d.LogAnalytics.LogType != "" && !slices.Contains(logTypes(), d.LogAnalytics.LogType):
		return invalid("InvalidLogAnalytics", "The log type '%s' in the log analytics of container group '%s' is invalid. The value must be one of '%s'.",
			d.LogAnalytics.LogType, v.group.Name, strings.Join(logTypes(), ","))
	}
	return nil
}

// checkTags wants tags that ARM takes, and of the one that means something
// here, a value that can be understood.
func (v *validator) checkTags() error {
	if err := arm.CheckTags(v.group.Tags); err != nil {
		return err
	}
	return v.checkPublish()
}

func (v *validator) checkPublish() error {
	value, ok := v.group.Tags[cloud.PublishTag]
	if !ok {
		return nil
	}
	if _, _, err := network.ParsePublish(value); err != nil {
		return invalid("InvalidPublishTag", "The tag '%s' of container group '%s' is invalid: %s.", cloud.PublishTag, v.group.Name, err)
	}
	return nil
}

// hostPortUnavailable answers for a port on the host that something else has.
func hostPortUnavailable(port uint16) error {
	return &arm.Error{Status: http.StatusConflict, Code: "HostPortUnavailable",
		Message: fmt.Sprintf("The port %d of this host, asked for by the tag '%s', is in use by something else.", port, cloud.PublishTag)}
}

// decodable reports whether a secret's value is base64.
func decodable(value string) bool {
	_, err := base64.StdEncoding.DecodeString(value)
	return err == nil
}
