// Package containerd runs a containerd of the embedded cloud's own: it writes
// its configuration, starts it, keeps it alive and hands out clients. It exists
// so that container groups run on a real container runtime without touching any
// that the host has: every path, socket and plugin directory is private.
package containerd

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"text/template"
)

// Namespace is the containerd namespace in which its CRI plugin keeps images
// and containers.
const Namespace = "k8s.io"

// Options say where a containerd lives.
type Options struct {
	// Tools is the directory with containerd, containerd-shim-runc-v2, runc
	// and cni/.
	Tools string
	// Root holds what survives a restart of the machine: content, snapshots,
	// the log and the configuration.
	Root string
	// State holds what does not: sockets, tasks, network namespaces. Unix
	// sockets live below it, so it is short (40 bytes at most).
	State string
	// CNI is the directory with the network configuration list.
	CNI string
	// SandboxImage is the image of the process that holds a group's namespaces.
	SandboxImage string
	Log          *slog.Logger
}

// Socket is the path on which this containerd listens.
func (o Options) Socket() string { return filepath.Join(o.State, "containerd.sock") }

// LogFile is where containerd writes its own log.
func (o Options) LogFile() string { return filepath.Join(o.Root, "containerd.log") }

// InUse reports whether containers are there that an earlier containerd with
// this state directory ran: each has a directory for its shim.
func (o Options) InUse() bool {
	tasks, err := os.ReadDir(o.tasks())
	return err == nil && len(tasks) > 0
}

// tasks is the directory of those directories.
func (o Options) tasks() string {
	return filepath.Join(o.State, "io.containerd.runtime.v2.task", Namespace)
}

func (o Options) configFile() string { return filepath.Join(o.Root, "config.toml") }

// disabled are built-in plugins that the cloud has no use for. Each costs time
// at start, and some reach for paths of the host's.
var disabled = []string{
	"io.containerd.snapshotter.v1.blockfile",
	"io.containerd.snapshotter.v1.btrfs",
	"io.containerd.snapshotter.v1.devmapper",
	"io.containerd.snapshotter.v1.erofs",
	"io.containerd.snapshotter.v1.native",
	"io.containerd.snapshotter.v1.zfs",
	"io.containerd.differ.v1.erofs",
	"io.containerd.mount-handler.v1.erofs",
	"io.containerd.image-verifier.v1.bindir",
	"io.containerd.internal.v1.opt",
	"io.containerd.internal.v1.restart",
	"io.containerd.internal.v1.tracing",
	"io.containerd.monitor.container.v1.restart",
	"io.containerd.monitor.task.v1.cgroups",
	"io.containerd.tracing.processor.v1.otlp",
}

// configuration is containerd's own format, version 4. SystemdCgroup stays
// false since the cloud makes its cgroups itself; restrict_oom_score_adj since
// it may run where root lacks CAP_SYS_RESOURCE.
var configuration = template.Must(template.New("config.toml").Parse(`version = 4
root = {{printf "%q" .Root}}
state = {{printf "%q" .State}}
imports = []
disabled_plugins = [{{range .Disabled}}
  {{printf "%q" .}},{{end}}
]
required_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.overlayfs"]

[debug]
  level = "info"

[plugins."io.containerd.server.v1.grpc"]
  address = {{printf "%q" .Socket}}
[plugins."io.containerd.server.v1.ttrpc"]
  address = {{printf "%q" (print .Socket ".ttrpc")}}
[plugins."io.containerd.shim.v1.manager"]
  socket_dir = {{printf "%q" .ShimSockets}}
[plugins."io.containerd.nri.v1.nri"]
  disable = true

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = {{printf "%q" .SandboxImage}}
[plugins."io.containerd.cri.v1.images".registry]
  config_path = {{printf "%q" .Registries}}
[plugins."io.containerd.transfer.v1.local"]
  config_path = {{printf "%q" .Registries}}

[plugins."io.containerd.cri.v1.runtime"]
  disable_apparmor = {{.NoAppArmor}}
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  enable_cdi = false
  cdi_spec_dirs = []
  enable_criu = false
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = [{{printf "%q" .Plugins}}]
  conf_dir = {{printf "%q" .CNI}}
  max_conf_num = 1
  use_internal_loopback = true
[plugins."io.containerd.cri.v1.runtime".containerd]
  default_runtime_name = "runc"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  runtime_path = {{printf "%q" .Shim}}
  sandboxer = "podsandbox"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  BinaryName = {{printf "%q" .Runc}}
  Root = {{printf "%q" .RuncRoot}}
  SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri"]
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  enable_tls_streaming = false
`))

// parameters are what the template is filled with.
type parameters struct {
	Options
	Disabled    []string
	ShimSockets string
	Registries  string
	Plugins     string
	Shim, Runc  string
	RuncRoot    string
	NoAppArmor  bool
}

// render returns the configuration file's content.
func (o Options) render(noAppArmor bool) ([]byte, error) {
	var b bytes.Buffer
	err := configuration.Execute(&b, parameters{
		Options:     o,
		Disabled:    disabled,
		ShimSockets: filepath.Join(o.State, "s"),
		Registries:  filepath.Join(o.Root, "registries"),
		Plugins:     filepath.Join(o.Tools, "cni"),
		Shim:        filepath.Join(o.Tools, "containerd-shim-runc-v2"),
		Runc:        filepath.Join(o.Tools, "runc"),
		RuncRoot:    filepath.Join(o.State, "runc"),
		NoAppArmor:  noAppArmor,
	})
	if err != nil {
		return nil, fmt.Errorf("render containerd configuration: %w", err)
	}
	return b.Bytes(), nil
}

// write makes the directories and the configuration file.
func (o Options) write() error {
	for _, dir := range []string{o.Root, o.State, filepath.Join(o.Root, "registries")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make containerd directory: %w", err)
		}
	}
	// The first process of a container in a user namespace is not root out
	// here, and has to pass through to its root file system.
	if err := os.Chmod(o.State, 0o711); err != nil {
		return fmt.Errorf("make containerd directory: %w", err)
	}
	config, err := o.render(!appArmor())
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.configFile(), config, 0o600); err != nil {
		return fmt.Errorf("write containerd configuration: %w", err)
	}
	return nil
}

// appArmor reports whether the kernel has AppArmor and its parser is there to
// load a profile with.
func appArmor() bool {
	enabled, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	if err != nil || len(enabled) == 0 || enabled[0] != 'Y' {
		return false
	}
	_, err = os.Stat("/sbin/apparmor_parser")
	return err == nil
}
