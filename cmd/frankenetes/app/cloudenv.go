package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"frankenetes.dev/cloud"
	"frankenetes.dev/cloud/clients"
	"frankenetes.dev/embedded"
	"frankenetes.dev/fault"
)

// cloudEnv prints the operator's secret, since that is what it is asked for:
// into a shell, where it is a variable of what runs there.
func (o *options) cloudEnv() *cobra.Command {
	var unset bool
	cmd := &cobra.Command{
		Use: "env", Short: "Print what points az, the Azure SDKs and curl at it", Args: noArgs,
		Long: "Prints variables for a POSIX shell that point az, the Azure SDKs and curl at the local cloud,\n" +
			"with the operator's secret among them:\n\n" +
			"  eval \"$(sudo frankenetes cloud env)\"\n  " + clients.SignIn + "\n\n" +
			"az gets a directory of its own, so that your az stays signed in where it is. What is trusted\n" +
			"besides the system's authorities is the local cloud's alone.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if unset {
				_, err := fmt.Fprintf(o.streams.Out, "unset %s\n", strings.Join(clients.Names(), " "))
				return err
			}
			ctx, cancel := o.withTimeout(cmd.Context())
			defer cancel()
			variables, err := o.clientVariables(ctx)
			if err != nil {
				return err
			}
			return o.printVariables(variables)
		},
	}
	cmd.Flags().BoolVar(&unset, "unset", false, "print what takes the variables away again")
	return cmd
}

// clientVariables writes the files of the clients and returns what names them.
func (o *options) clientVariables(ctx context.Context) ([]clients.Variable, error) {
	if os.Geteuid() != 0 {
		return nil, fault.New(fault.Permission, `eval "$(sudo frankenetes cloud env)"`, "%w",
			fmt.Errorf("print the environment of the local cloud: only root can read its operator's secret: %w", os.ErrPermission))
	}
	status, err := embedded.Stat(ctx, o.embedded())
	if err != nil {
		return nil, explainLocal(err)
	}
	conf, err := cloud.Load(embedded.ConfigPath(o.home))
	if err != nil {
		return nil, explainLocal(err)
	}
	home, err := clientsHome(status)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(home.root)
	if err != nil {
		return nil, fmt.Errorf("open home of clients: %w", err)
	}
	defer root.Close()
	if err := clients.Write(root, home.dir, conf, home.uid, home.gid); err != nil {
		return nil, err
	}
	return clients.Variables(conf, filepath.Join(home.root, home.dir)), nil
}

// clientsPlace is where the files of clients are, and whose they are.
type clientsPlace struct {
	// root is there; dir is below it.
	root, dir string
	uid, gid  int
}

// clientsHome is the cloud's own directory, or under sudo a directory of the
// user who called it: az has to write there, and nobody else may read that.
func clientsHome(status embedded.Status) (clientsPlace, error) {
	name := os.Getenv("SUDO_USER")
	if name == "" || name == "root" {
		return clientsPlace{root: status.Home, dir: "clients"}, nil
	}
	caller, err := user.Lookup(name)
	if err != nil {
		return clientsPlace{}, fmt.Errorf("find home of %s: %w", name, err)
	}
	uid, err := strconv.Atoi(caller.Uid)
	if err != nil {
		return clientsPlace{}, fmt.Errorf("find home of %s: %w", name, err)
	}
	gid, err := strconv.Atoi(caller.Gid)
	if err != nil {
		return clientsPlace{}, fmt.Errorf("find home of %s: %w", name, err)
	}
	return clientsPlace{caller.HomeDir, filepath.Join(".frankenetes", status.ID), uid, gid}, nil
}

// printVariables prints for a shell, or as data.
func (o *options) printVariables(variables []clients.Variable) error {
	if o.output != "text" {
		values := map[string]string{}
		for _, v := range variables {
			values[v.Name] = v.Value
		}
		return o.print(values, clients.Names(), nil)
	}
	return writeShell(o.streams.Out, variables)
}

func writeShell(w io.Writer, variables []clients.Variable) error {
	var text strings.Builder
	for _, v := range variables {
		fmt.Fprintf(&text, "export %s=%s\n", v.Name, quote(v.Value))
	}
	fmt.Fprintf(&text, "# az signs in with: %s\n", clients.SignIn)
	fmt.Fprintf(&text, "# For the files of an account: %s\n", clients.ConnectStorage)
	fmt.Fprintf(&text, "# To go back: eval \"$(frankenetes cloud env --unset)\"\n")
	_, err := io.WriteString(w, text.String())
	return err
}

// quote makes one word of a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
