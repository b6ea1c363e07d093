package runtime

import (
	"fmt"
	"os"
	"slices"
	"strings"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/agent/protocol"
)

// process says what the agent is to start for a container, with the files that
// Kubernetes manages in it.
func (r *Runtime) process(c *container) (protocol.Process, error) {
	c.sandbox.mu.Lock()
	config := c.sandbox.config
	c.sandbox.mu.Unlock()
	p, err := compose(c.id, c.config, config, c.image)
	if err != nil {
		return p, err
	}
	p.Env = withAPIServer(p.Env, r.opts.APIServer)
	p.TerminationMessagePath = c.messagePath
	if p.Files, err = managedFiles(c, config); err != nil {
		return p, err
	}
	p.Exact = r.exact(c, config)
	if c.ephemeral() {
		p.AddCapabilities = slices.DeleteFunc(p.AddCapabilities, isTrace)
	}
	return p, nil
}

// managedFiles are the files that a container finds in its /etc, unless a
// volume is mounted there.
func managedFiles(c *container, config *runtimeapi.PodSandboxConfig) ([]protocol.File, error) {
	var files []protocol.File
	add := func(path string, data []byte) {
		for _, m := range c.config.GetMounts() {
			if m.HostPath != c.hosts && within(m.ContainerPath, path) {
				return
			}
		}
		files = append(files, protocol.File{Path: path, Data: data, Mode: 0o644})
	}
	if c.hosts != "" {
		data, err := os.ReadFile(c.hosts)
		if err != nil {
			return nil, fmt.Errorf("read hosts file: %w", err)
		}
		add("/etc/hosts", data)
	}
	if dns := config.GetDnsConfig(); len(dns.GetServers()) > 0 {
		add("/etc/resolv.conf", resolvConf(dns))
	}
	if name := config.GetHostname(); name != "" {
		add("/etc/hostname", []byte(name+"\n"))
	}
	return files, nil
}

func resolvConf(dns *runtimeapi.DNSConfig) []byte {
	var b strings.Builder
	if len(dns.Searches) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(dns.Searches, " "))
	}
	for _, s := range dns.Servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	if len(dns.Options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(dns.Options, " "))
	}
	return []byte(b.String())
}
