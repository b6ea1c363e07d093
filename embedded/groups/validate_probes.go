package groups

import "strings"

// checkProbe wants a probe to do one thing, as often and as long as is possible.
func (v *validator) checkProbe(container, kind string, p *Probe) error {
	if p == nil {
		return nil
	}
	wrong := func(why string) error {
		return invalid("InvalidProbe", "The '%s' of container '%s' in container group '%s' is invalid: %s.", kind, container, v.group.Name, why)
	}
	switch {
	case (p.Exec == nil) == (p.HTTPGet == nil):
		return wrong("it must have exactly one of 'exec' and 'httpGet'")
	case p.Exec != nil && len(p.Exec.Command) == 0:
		return wrong("'exec' has no command")
	case p.Exec != nil && hasNUL(p.Exec.Command):
		return wrong("the command of 'exec' contains a NUL")
	case p.HTTPGet != nil && (p.HTTPGet.Port < 1 || p.HTTPGet.Port > 65535):
		return wrong("the port must be between 1 and 65535")
	case p.HTTPGet != nil && p.HTTPGet.Scheme != "http" && p.HTTPGet.Scheme != "https":
		return wrong("the scheme must be one of 'http,https'")
	case p.HTTPGet != nil && p.HTTPGet.badHeader():
		return wrong("a header has no name, or a line break")
	}
	for _, figure := range []struct {
		name  string
		value *integer
	}{
		{"initialDelaySeconds", p.InitialDelaySeconds}, {"periodSeconds", p.PeriodSeconds}, {"failureThreshold", p.FailureThreshold},
		{"successThreshold", p.SuccessThreshold}, {"timeoutSeconds", p.TimeoutSeconds},
	} {
		if figure.value != nil && *figure.value < 0 {
			return wrong("'" + figure.name + "' is less than zero")
		}
	}
	if kind == "livenessProbe" && p.SuccessThreshold != nil && *p.SuccessThreshold > 1 {
		return wrong("'successThreshold' must be 1")
	}
	return nil
}

// badHeader reports whether a header cannot be sent.
func (p *HTTPProbe) badHeader() bool {
	for _, h := range p.Headers {
		if h.Name == "" || strings.ContainsAny(h.Name, " :\r\n\x00") || strings.ContainsAny(h.Value, "\r\n\x00") {
			return true
		}
	}
	return strings.ContainsAny(p.Path, " \r\n\x00")
}
