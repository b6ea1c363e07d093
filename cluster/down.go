package cluster

import (
	"context"

	"frankenetes.dev/fault"
)

// Exists tells whether anything of a cluster is in the cloud, be it only the
// remains of an up or down that was interrupted. It is an error when a resource
// group of that name is somebody else's.
func (o *Operator) Exists(ctx context.Context, name string) (exists bool, err error) {
	if err := CheckName(name); err != nil {
		return false, err
	}
	for _, group := range []string{name, podsGroup(name)} {
		g, err := o.cloud.GetResourceGroup(ctx, group)
		if err != nil {
			return false, err
		}
		if g == nil {
			continue
		}
		if deref(g.Tags[clusterTag]) != name && deref(g.Tags[clusterTag+podsSuffix]) != name {
			return false, fault.New(fault.Conflict, "choose another name, or remove the resource group by hand",
				"resource group %s is there, but it is not a cluster's", group)
		}
		exists = true
	}
	return exists, nil
}

// Down removes a cluster with all its data.
func (o *Operator) Down(ctx context.Context, name string) error {
	if _, err := o.Exists(ctx, name); err != nil {
		return err
	}
	return o.remove(ctx, name)
}

func (o *Operator) remove(ctx context.Context, name string) error {
	drop := func(title, group, detail string, needs ...string) Step {
		return Step{Name: title, Needs: needs, Run: func(ctx context.Context) (string, error) {
			return detail, o.cloud.DeleteResourceGroup(ctx, group)
		}}
	}
	return run(ctx, []Step{
		// The nodes first: they would make pods anew.
		{Name: "Nodes", Run: func(ctx context.Context) (string, error) { return o.deleteNodes(ctx, name) }},
		drop("Pods", podsGroup(name), "resource group "+podsGroup(name)+" deleted", "Nodes"),
		// The pods are in the control plane's network.
		drop("Control plane", name, "resource group "+name+" deleted, with its data", "Pods"),
	}, o.progress)
}
