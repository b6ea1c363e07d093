package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"frankenetes.dev/embedded"
	"frankenetes.dev/fault"
)

func (o *options) cloudPrincipal() *cobra.Command {
	cmd := &cobra.Command{
		Use: "principal", Short: "The local cloud's users: add, list, rm", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(o.principalAdd(), o.principalList(), o.principalRemove())
	return cmd
}

func (o *options) principalAdd() *cobra.Command {
	var role, scope string
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Make a service principal and print its secret, which is not kept", Args: oneName,
		Long: "Makes a service principal and prints its client id and secret, once: only a hash of the secret is\n" +
			"kept. Without a role it may do nothing; roles can also be assigned later through the ARM API.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if scope != "" && role == "" {
				return fault.New(fault.Usage, "such as --role Contributor", "--scope says where a role is good, and there is no --role")
			}
			ctx, cancel := o.withTimeout(cmd.Context())
			defer cancel()
			p, err := embedded.AddPrincipal(ctx, o.embedded(), args[0], role, scope)
			if err != nil {
				return explainPrincipal(err)
			}
			return o.print(p, []string{p.ClientID}, func(w io.Writer) {
				fmt.Fprintf(w, "client id\t%s\nobject id\t%s\nclient secret\t%s\n", p.ClientID, p.ObjectID, p.Secret)
				for _, r := range p.Roles {
					fmt.Fprintf(w, "role\t%s at %s\n", r.Role, r.Scope)
				}
			})
		},
	}
	cmd.Flags().StringVar(&role, "role", "", "a built-in role of Azure, such as Contributor or Reader")
	cmd.Flags().StringVar(&scope, "scope", "", "where the role is good: a resource group, or an ARM id (default: the subscription)")
	return cmd
}

func (o *options) principalList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List them with their roles", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := o.withTimeout(cmd.Context())
			defer cancel()
			list, err := embedded.Principals(ctx, o.embedded())
			if err != nil {
				return explainPrincipal(err)
			}
			var names []string
			for _, p := range list {
				names = append(names, p.Name)
			}
			return o.print(list, names, func(w io.Writer) {
				fmt.Fprintln(w, "NAME\tCLIENT ID\tROLES")
				for _, p := range list {
					fmt.Fprintf(w, "%s\t%s\t%s\n", p.Name, p.ClientID, roles(p))
				}
			})
		},
	}
}

// roles writes the roles of a principal, each with the last word of its scope.
func roles(p embedded.Principal) string {
	var all []string
	for _, r := range p.Roles {
		all = append(all, r.Role+" at "+r.Scope[strings.LastIndex(r.Scope, "/")+1:])
	}
	return strings.Join(all, ", ")
}

func (o *options) principalRemove() *cobra.Command {
	return &cobra.Command{
		Use: "rm NAME", Short: "Remove one with its roles; tokens that it has are of no more use", Args: oneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := o.withTimeout(cmd.Context())
			defer cancel()
			if err := embedded.RemovePrincipal(ctx, o.embedded(), args[0]); err != nil {
				return explainPrincipal(err)
			}
			return o.print(args, args, func(w io.Writer) { fmt.Fprintln(w, args[0]) })
		},
	}
}

func oneName(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fault.New(fault.Usage, "`"+cmd.CommandPath()+" --help` shows how", "%s takes the name of one principal", cmd.Name())
	}
	return nil
}

// explainPrincipal gives a refusal its kind; it says itself what is wrong.
func explainPrincipal(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, embedded.ErrUnknownPrincipal):
		return fault.New(fault.NotFound, "`frankenetes cloud principal list` shows those that there are", "%w", err)
	case errors.Is(err, embedded.ErrPrincipalExists):
		return fault.New(fault.Conflict, "choose another name, or remove it and its roles with `frankenetes cloud principal rm`", "%w", err)
	case errors.Is(err, embedded.ErrRefused):
		return fault.New(fault.Usage, "`frankenetes cloud principal add --help` shows how", "%w", err)
	case errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return explainLocal(err)
}
