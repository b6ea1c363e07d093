package groups

import "strings"

// integer is a whole number. decode bounds it to 32 bits.
type integer int32

// decimal is a number of cores or of GB.
type decimal float64

// unsupported is a part of the model that this cloud knows of but does not
// offer. It only remembers that it was sent, so that validation can say so.
type unsupported struct{}

// UnmarshalJSON accepts anything.
func (*unsupported) UnmarshalJSON([]byte) error { return nil }

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
	identityUser             = "UserAssigned"
	identityNone             = "None"
	identitySystem           = "SystemAssigned"
	identityBoth             = "SystemAssigned, UserAssigned"
	standard, confidential   = "Standard", "Confidential"
)

// normalise gives every enumeration its own spelling and every absent value
// its default, and takes away what only the cloud says.
func (g *Group) normalise() {
	g.Location = location(g.Location)
	if g.Tags == nil {
		g.Tags = map[string]string{}
	}
	if len(g.Zones) == 0 {
		g.Zones = nil
	}
	if g.Identity != nil {
		g.Identity.normalise()
	}
	p := &g.Properties
	p.OSType = choose(p.OSType, linux, windows)
	p.RestartPolicy = choose(orDefault(p.RestartPolicy, always), always, onFailure, never)
	p.SKU = choose(orDefault(p.SKU, standard), standard, "Dedicated", confidential, "NotSpecified")
	if p.SKU == "NotSpecified" { // the word of api-version 2025-09-01 for none
		p.SKU = standard
	}
	p.Priority = choose(p.Priority, "Regular", "Spot")
	if p.InitContainers == nil {
		p.InitContainers = []Container{}
	}
	for i := range p.Containers {
		p.Containers[i].normalise()
		p.Containers[i].Properties.Ports = normalPorts(p.Containers[i].Properties.Ports)
	}
	for i := range p.InitContainers {
		p.InitContainers[i].normalise()
	}
	if p.IPAddress != nil {
		p.IPAddress.normalise()
	}
	if d := p.Diagnostics; d != nil && d.LogAnalytics != nil {
		d.LogAnalytics.LogType = choose(d.LogAnalytics.LogType, logTypes()...)
	}
}

func logTypes() []string { return []string{"ContainerInsights", "ContainerInstanceLogs"} }

func (i *Identity) normalise() {
	i.PrincipalID, i.TenantID = "", ""
	i.Type = choose(orDefault(i.Type, identityNone), identityUser, identityNone, identitySystem, identityBoth)
	if strings.EqualFold(strings.ReplaceAll(i.Type, " ", ""), strings.ReplaceAll(identityBoth, " ", "")) {
		i.Type = identityBoth
	}
}

func (c *Container) normalise() {
	p := &c.Properties
	if p.Command == nil {
		p.Command = []string{}
	}
	if p.EnvironmentVariables == nil {
		p.EnvironmentVariables = []Variable{}
	}
	for _, probe := range []*Probe{p.LivenessProbe, p.ReadinessProbe} {
		if probe != nil {
			probe.normalise()
		}
	}
}

// normalise takes zeros where they make no sense for no figures at all.
func (p *Probe) normalise() {
	for _, figure := range []**integer{&p.PeriodSeconds, &p.FailureThreshold, &p.SuccessThreshold, &p.TimeoutSeconds} {
		if *figure != nil && **figure == 0 {
			*figure = nil
		}
	}
	if p.HTTPGet != nil {
		p.HTTPGet.Scheme = choose(orDefault(p.HTTPGet.Scheme, "http"), "http", "https")
	}
}

func (a *IPAddress) normalise() {
	a.Type = choose(a.Type, public, private)
	a.Ports = normalPorts(a.Ports)
	a.IP, a.FQDN = "", ""
	a.Scope = choose(a.Scope, scopes()...)
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
