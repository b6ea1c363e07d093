// Package isolation decides how far container groups are kept from the host
// and from each other. On Azure a group has a virtual machine of its own; here
// all share one kernel, so what is between them is made of its namespaces,
// capabilities and system call filters. The package finds out which of these
// work on this host and writes the filters. embedded/DESIGN.md says why it is
// as it is.
package isolation

import (
	"fmt"
	"log/slog"
)

// Mode is what the operator asks for.
type Mode string

const (
	// Auto uses user namespaces where they work.
	Auto Mode = "auto"
	// UserNamespaces insists on them: the cloud does not start without.
	UserNamespaces Mode = "userns"
	// None does without, for finding out whether they are to blame.
	None Mode = "none"
)

// Modes are all there are.
func Modes() []string { return []string{string(Auto), string(UserNamespaces), string(None)} }

// ParseMode returns the mode of a name; no name means Auto.
func ParseMode(name string) (Mode, error) {
	switch m := Mode(name); m {
	case "":
		return Auto, nil
	case Auto, UserNamespaces, None:
		return m, nil
	}
	return "", fmt.Errorf("unknown isolation %q: it is auto, userns or none", name)
}

// Decide reports whether groups get user namespaces. dirs are on the file
// systems that groups' files are on. Where the host cannot do what mode
// insists on, that is an error.
func Decide(mode Mode, dirs []string, log *slog.Logger) (userNamespaces bool, err error) {
	if mode == None {
		log.Warn("container groups have no user namespaces: the operator asked for none")
		return false, nil
	}
	for _, dir := range dirs {
		if err = probe(dir); err != nil {
			break
		}
	}
	if err == nil {
		return true, nil
	}
	if mode == UserNamespaces {
		return false, fmt.Errorf("give container groups user namespaces: %w", err)
	}
	log.Warn("container groups have no user namespaces: this host cannot give them", "error", err)
	return false, nil
}
