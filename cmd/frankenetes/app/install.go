package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"frankenetes.dev/embedded"
	"frankenetes.dev/fault"
)

// unit is what systemd is told of the local cloud. Only the daemon itself is
// ended: it ends what runs in the cloud, which may take minutes, and where it
// has crashed, that must go on without it.
var unit = template.Must(template.New("unit").Parse(`# Written by frankenetes cloud install.
[Unit]
Description=The local cloud of Frankenetes, and the clusters in it
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
ExecStart={{.Program}} cloud run --home {{.Home}}
Restart=on-failure
KillMode=process
TimeoutStartSec=5min
TimeoutStopSec=11min
Delegate=yes
TasksMax=infinity
LimitNOFILE=1048576

[Install]
WantedBy=multi-user.target
`))

// unitDir is where systemd looks for the units of an administrator.
const unitDir = "/etc/systemd/system"

func (o *options) cloudInstall() *cobra.Command {
	var show bool
	cmd := &cobra.Command{
		Use: "install", Short: "Have systemd start it at every boot", Args: noArgs,
		Long: "Writes a systemd unit by which the local cloud starts at every boot, with the clusters that were\n" +
			"running, and enables it. Clusters that were paused stay paused.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := o.unitText()
			if err != nil {
				return err
			}
			if show {
				_, err := fmt.Fprint(o.streams.Out, text)
				return err
			}
			ctx, cancel := o.withTimeout(cmd.Context())
			defer cancel()
			return o.install(ctx, text)
		},
	}
	cmd.Flags().BoolVar(&show, "print", false, "print the unit and change nothing")
	return cmd
}

func (o *options) cloudUninstall() *cobra.Command {
	return &cobra.Command{
		Use: "uninstall", Short: "Have systemd start it no more; what runs goes on", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := o.withTimeout(cmd.Context())
			defer cancel()
			path := o.unitPath()
			if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
				fmt.Fprintln(o.streams.Err, "There is no such unit: nothing to remove.")
				return nil
			}
			if err := systemctl(ctx, "disable", filepath.Base(path)); err != nil {
				return err
			}
			if err := os.Remove(path); err != nil {
				return explainLocal(fmt.Errorf("remove systemd's unit: %w", err))
			}
			if err := systemctl(ctx, "daemon-reload"); err != nil {
				return err
			}
			fmt.Fprintln(o.streams.Err, "The local cloud is no longer started at boot.")
			return nil
		},
	}
}

// unitPath is the unit's file. Each data directory has a cloud and a unit of
// its own.
func (o *options) unitPath() string {
	name := "frankenetes"
	if o.home != defaultHome {
		name += "-" + strings.Trim(strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
				return r
			}
			return '-'
		}, o.home), "-")
	}
	return filepath.Join(unitDir, name+".service")
}

func (o *options) unitText() (string, error) {
	home, err := filepath.Abs(o.home)
	if err != nil {
		return "", fmt.Errorf("find data directory: %w", err)
	}
	var b strings.Builder
	err = unit.Execute(&b, struct{ Program, Home string }{quoted(o.build.Executable), quoted(home)})
	return b.String(), err
}

// quoted is a word of a unit's command line: % and $ begin what systemd fills
// in.
func quoted(word string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, `$`, `$$`).Replace(word) + `"`
}

func (o *options) install(ctx context.Context, text string) error {
	path := o.unitPath()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return fault.New(fault.Unavailable, "start it your own way: `frankenetes cloud run` runs it in the foreground", "write systemd's unit: %w", err)
		}
		return explainLocal(fmt.Errorf("write systemd's unit: %w", err))
	}
	name := filepath.Base(path)
	if err := errors.Join(systemctl(ctx, "daemon-reload"), systemctl(ctx, "enable", name)); err != nil {
		return err
	}
	if _, err := embedded.Stat(ctx, o.embedded()); err == nil {
		fmt.Fprintf(o.streams.Err, "The local cloud will be started at boot by %s. It runs already, without systemd.\n", path)
		return nil
	}
	if err := systemctl(ctx, "start", name); err != nil {
		return err
	}
	fmt.Fprintf(o.streams.Err, "The local cloud runs, and will be started at boot by %s.\n", path)
	return nil
}

// systemctl tells systemd something.
func systemctl(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput()
	if err != nil {
		return fault.New(fault.Unavailable, "this machine may not run systemd: `frankenetes cloud run` runs it in the foreground",
			"systemctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
