package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"frankenetes.dev/cloud"
	"frankenetes.dev/cluster"
	"frankenetes.dev/embedded"
	"frankenetes.dev/embedded/isolation"
	"frankenetes.dev/fault"
)

// The clouds that --cloud knows.
const (
	cloudLocal = "local"
	cloudAzure = "azure"
)

// operator connects to the cloud that the flags say.
func (o *options) operator(ctx context.Context, progress cluster.Progress) (*cluster.Operator, error) {
	conf, err := o.cloudConfig(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := cloud.Connect(conf)
	if err != nil {
		return nil, err
	}
	return cluster.NewOperator(conn, progress), nil
}

// ask connects to the cloud for a question, which is bounded by --timeout.
func (o *options) ask(ctx context.Context, question func(context.Context, *cluster.Operator) error) error {
	ctx, cancel := o.withTimeout(ctx)
	defer cancel()
	op, err := o.operator(ctx, nil)
	if err != nil {
		return err
	}
	return question(ctx, op)
}

// cloudConfig finds the cloud. A local one that has stopped is not started
// for a question, only by up.
func (o *options) cloudConfig(ctx context.Context) (cloud.Config, error) {
	switch o.cloud {
	case cloudAzure:
		return azure()
	case cloudLocal:
		if _, err := embedded.Stat(ctx, o.embedded()); err != nil {
			return cloud.Config{}, explainLocal(err)
		}
		conf, err := cloud.Load(embedded.ConfigPath(o.home))
		return conf, explainLocal(err)
	}
	return cloud.Config{}, fault.New(fault.Usage, "use --cloud local or --cloud azure", "unknown cloud %q", o.cloud)
}

// azure takes what cannot be guessed from the environment. Who the user is
// comes from there too, by the ways of the Azure SDK.
func azure() (cloud.Config, error) {
	c := cloud.Config{
		Name: cloudAzure, DNSSuffix: "azurecontainer.io",
		SubscriptionID: os.Getenv("AZURE_SUBSCRIPTION_ID"),
		TenantID:       os.Getenv("AZURE_TENANT_ID"),
		Location:       env("AZURE_LOCATION", "eastus"),
		Registry:       os.Getenv("FRANKENETES_REGISTRY"),
	}
	if c.SubscriptionID == "" || c.Registry == "" {
		return c, fault.New(fault.Usage,
			"set AZURE_SUBSCRIPTION_ID, and FRANKENETES_REGISTRY to the registry that holds the images of bin/images",
			"cloud azure is not configured")
	}
	return c, nil
}

// embedded says which embedded cloud the flags mean; its tools and images are
// beside this program.
func (o *options) embedded() embedded.Options {
	bin := o.binDir()
	return embedded.Options{Home: o.home, Tools: bin, Images: filepath.Join(bin, "images"), Isolation: isolation.Mode(o.isolation), Limits: o.limits}
}

// explainLocal gives the errors of the embedded cloud their kind and a hint.
func explainLocal(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, embedded.ErrNotRunning), errors.Is(err, cloud.ErrNoConfig):
		return fault.New(fault.Unavailable, "`frankenetes cloud start` starts it, and so does `frankenetes up`", "%w", err)
	case errors.Is(err, embedded.ErrNotRoot), errors.Is(err, os.ErrPermission):
		return fault.New(fault.Permission, "run it as root, for example with sudo", "%w", err)
	case errors.Is(err, embedded.ErrLocked):
		return fault.New(fault.Conflict, "`frankenetes cloud status` shows it; another data directory is chosen with --home", "%w", err)
	case errors.Is(err, embedded.ErrDamaged):
		return fault.New(fault.Failed, "put a copy of it back, or move the whole data directory away to begin anew; nothing was changed", "%w", err)
	}
	return fault.New(fault.Unavailable, "`frankenetes cloud logs` shows what the cloud says", "%w", err)
}

// binDir is where this program and those that it starts are.
func (o *options) binDir() string {
	exe := o.build.Executable
	if real, err := filepath.EvalSymlinks(exe); err == nil {
		exe = real
	}
	return filepath.Dir(exe)
}

func env(key, otherwise string) string {
	if v := os.Getenv(key); v != "" {
		return v
	}
	return otherwise
}
