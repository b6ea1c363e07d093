package runtime

import (
	"fmt"
	"strings"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/images"
)

// defaultPath is a process's PATH when neither image nor pod sets one.
const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// compose says what the agent is to start for a container: the pod's wishes
// over the image's, as CRI runtimes combine them.
func compose(id string, c *runtimeapi.ContainerConfig, sandbox *runtimeapi.PodSandboxConfig, image images.Image) (protocol.Process, error) {
	args := arguments(c, image)
	if len(args) == 0 {
		return protocol.Process{}, fmt.Errorf("container %s: neither the pod nor image %s has a command", c.GetMetadata().GetName(), image.Ref)
	}
	p := protocol.Process{
		ID: id, Args: args, Env: environment(c, sandbox, image), Dir: firstOf(c.WorkingDir, image.WorkingDir, "/"),
		User: user(c.GetLinux().GetSecurityContext(), image),
		TTY:  c.Tty, Stdin: c.Stdin, StdinOnce: c.StdinOnce,
	}
	security := c.GetLinux().GetSecurityContext()
	p.NoNewPrivileges = security.GetNoNewPrivs()
	p.DropCapabilities = capabilities(security.GetCapabilities().GetDropCapabilities())
	p.AddCapabilities = capabilities(security.GetCapabilities().GetAddCapabilities())
	return p, nil
}

// arguments are the command line: the pod's command replaces the image's entry
// point and its arguments, the pod's arguments only the latter.
func arguments(c *runtimeapi.ContainerConfig, image images.Image) []string {
	command, args := c.Command, c.Args
	if len(command) == 0 {
		command = image.Entrypoint
		if len(args) == 0 {
			args = image.Cmd
		}
	}
	return append(append([]string{}, command...), args...)
}

// environment is the whole environment, in order; a name that comes again
// keeps its place and takes the later value.
func environment(c *runtimeapi.ContainerConfig, sandbox *runtimeapi.PodSandboxConfig, image images.Image) []string {
	var env []string
	place := map[string]int{}
	set := func(pair string) {
		name, _, _ := strings.Cut(pair, "=")
		if at, ok := place[name]; ok {
			env[at] = pair
			return
		}
		place[name] = len(env)
		env = append(env, pair)
	}
	set(defaultPath)
	if c.Tty {
		set("TERM=xterm")
	}
	if sandbox.GetHostname() != "" {
		set("HOSTNAME=" + sandbox.GetHostname())
	}
	for _, pair := range image.Env {
		set(pair)
	}
	for _, e := range c.Envs {
		set(e.Key + "=" + string(e.Value))
	}
	return env
}

// user is whom to run as: the pod's choice or the image's.
func user(s *runtimeapi.LinuxContainerSecurityContext, image images.Image) protocol.User {
	u := protocol.User{Groups: s.GetSupplementalGroups()}
	switch {
	case s.GetRunAsUser() != nil:
		uid := s.GetRunAsUser().GetValue()
		u.UID = &uid
	case s.GetRunAsUsername() != "":
		u.Name = s.GetRunAsUsername()
	default:
		u.Name = image.User
	}
	if s.GetRunAsGroup() != nil {
		gid := s.GetRunAsGroup().GetValue()
		u.GID = &gid
	}
	return u
}

// capabilities writes names as the agent wants them: without CAP_.
func capabilities(names []string) []string {
	var out []string
	for _, name := range names {
		out = append(out, strings.TrimPrefix(strings.ToUpper(name), "CAP_"))
	}
	return out
}

// stopSignal is the signal that asks a container to end.
func stopSignal(c *runtimeapi.ContainerConfig, image images.Image) string {
	if s := c.GetStopSignal(); s != runtimeapi.Signal_RUNTIME_DEFAULT {
		return s.String()
	}
	return firstOf(image.StopSignal, "SIGTERM")
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
