package groups

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// integer is a whole number that clients also send as a string ("80").
type integer int32

// UnmarshalJSON accepts 80 and "80".
func (i *integer) UnmarshalJSON(data []byte) error {
	f, err := number(data)
	if err != nil {
		return err
	}
	if f != math.Trunc(f) || math.Abs(f) > math.MaxInt32 {
		return fmt.Errorf("%s is not a whole number", data)
	}
	*i = integer(f)
	return nil
}

// decimal is a number that clients also send as a string ("1.5").
type decimal float64

// UnmarshalJSON accepts 1.5 and "1.5".
func (d *decimal) UnmarshalJSON(data []byte) error {
	f, err := number(data)
	if err != nil {
		return err
	}
	*d = decimal(f)
	return nil
}

func number(data []byte) (float64, error) {
	text := string(data)
	if len(data) > 0 && data[0] == '"' {
		if err := json.Unmarshal(data, &text); err != nil {
			return 0, err
		}
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, fmt.Errorf("%s is not a number", data)
	}
	return f, nil
}

// unsupported is a part of the model that this cloud knows of but does not
// offer. It only remembers that it was sent, so that validation can say so.
type unsupported struct{}

// UnmarshalJSON accepts anything.
func (*unsupported) UnmarshalJSON([]byte) error { return nil }

// MarshalJSON keeps an empty secret volume a secret volume: the map alone
// would be left out.
func (v Volume) MarshalJSON() ([]byte, error) {
	type plain Volume
	data, err := json.Marshal(plain(v))
	if err != nil || v.Secret == nil || len(v.Secret) > 0 {
		return data, err
	}
	return append(bytes.TrimSuffix(data, []byte("}")), `,"secret":{}}`...), nil
}

// choose returns the spelling among allowed that equals value in any case, or
// value itself.
func choose(value string, allowed ...string) string {
	for _, a := range allowed {
		if strings.EqualFold(a, value) {
			return a
		}
	}
	return value
}

// The values of the model's enumerations.
const (
	always, onFailure, never = "Always", "OnFailure", "Never"
	public, private          = "Public", "Private"
	tcp, udp                 = "TCP", "UDP"
	linux, windows           = "Linux", "Windows"
	scopeUnsecure            = "Unsecure"
	identityUser             = "UserAssigned"
	identityNone             = "None"
)

// normalise gives every enumeration its own spelling and every absent value
// its default.
func (g *Group) normalise() {
	g.Location = location(g.Location)
	if g.Tags == nil {
		g.Tags = map[string]string{}
	}
	if g.Identity != nil {
		g.Identity.PrincipalID, g.Identity.TenantID = "", ""
		g.Identity.Type = choose(g.Identity.Type, identityUser, identityNone, "SystemAssigned", "SystemAssigned, UserAssigned")
	}
	p := &g.Properties
	p.ProvisioningState, p.InstanceView = "", nil
	p.OSType = choose(p.OSType, linux, windows)
	p.RestartPolicy = choose(orDefault(p.RestartPolicy, always), always, onFailure, never)
	p.SKU = choose(orDefault(p.SKU, "Standard"), "Standard", "Dedicated", "Confidential")
	p.Priority = choose(p.Priority, "Regular", "Spot")
	for i := range p.Containers {
		p.Containers[i].normalise()
	}
	for i := range p.InitContainers {
		p.InitContainers[i].normalise()
	}
	if p.IPAddress != nil {
		p.IPAddress.normalise()
	}
}

func (c *Container) normalise() {
	p := &c.Properties
	p.InstanceView = nil
	if p.Command == nil {
		p.Command = []string{}
	}
	if p.EnvironmentVariables == nil {
		p.EnvironmentVariables = []Variable{}
	}
	p.Ports = normalPorts(p.Ports)
}

func (a *IPAddress) normalise() {
	a.Type = choose(a.Type, public, private)
	a.Ports = normalPorts(a.Ports)
	a.IP, a.FQDN = "", ""
	a.Scope = choose(a.Scope, scopeUnsecure, "TenantReuse", "SubscriptionReuse", "ResourceGroupReuse", "Noreuse")
	if a.DNSNameLabel != "" {
		a.Scope = orDefault(a.Scope, scopeUnsecure)
	}
}

func normalPorts(ports []Port) []Port {
	normal := make([]Port, 0, len(ports))
	for _, p := range ports {
		normal = append(normal, Port{Port: p.Port, Protocol: choose(orDefault(p.Protocol, tcp), tcp, udp)})
	}
	return normal
}

func orDefault(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// location is a location's short form: "West US" is "westus".
func location(name string) string {
	return strings.ToLower(strings.ReplaceAll(name, " ", ""))
}
