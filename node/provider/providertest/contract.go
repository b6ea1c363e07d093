// Package providertest is the contract of a provider as a test. It exists so
// that whoever writes one need not guess what the runtime relies on.
package providertest

import (
	"context"
	"maps"
	"slices"
	"testing"

	"frankenetes.dev/node/provider"
)

// Contract makes groups by the given function, whose containers should go on
// until they are killed, and deletes them all. Names and tags are its own, so
// it may be run on a place that has other groups.
func Contract(t *testing.T, p provider.Provider, group func(name string) provider.Group) {
	t.Helper()
	ctx := t.Context()
	node, other := map[string]string{provider.TagNode: t.Name()}, map[string]string{provider.TagNode: t.Name() + "-other"}
	pods := map[string]map[string]string{
		provider.GroupName("contract", "web", t.Name()):  {provider.TagNode: t.Name(), provider.TagPod: "web"},
		provider.GroupName("contract", "job", t.Name()):  {provider.TagNode: t.Name(), provider.TagPod: "job"},
		provider.GroupName("contract", "else", t.Name()): {provider.TagNode: t.Name() + "-other", provider.TagPod: "web"},
	}
	for name, tags := range pods {
		t.Cleanup(func() { remove(context.WithoutCancel(ctx), t, p, name) })
		remove(ctx, t, p, name) // what was never there is no error
		g := group(name)
		g.Name, g.Tags = name, tags
		if err := p.Create(ctx, g); err != nil {
			t.Fatal(err)
		}
	}
	for _, wanted := range []map[string]string{
		node, other,
		{provider.TagNode: t.Name(), provider.TagPod: "web"},
		{provider.TagNode: t.Name(), provider.TagPod: "nobody"},
	} {
		expect(t, p, wanted, carrying(pods, wanted))
	}
	for _, name := range slices.Sorted(maps.Keys(pods)) {
		remove(ctx, t, p, name)
		delete(pods, name)
		for _, wanted := range []map[string]string{node, other} {
			expect(t, p, wanted, carrying(pods, wanted))
		}
		remove(ctx, t, p, name) // twice is no error
	}
}

func remove(ctx context.Context, t *testing.T, p provider.Provider, name string) {
	t.Helper()
	if err := p.Delete(ctx, name); err != nil {
		t.Errorf("delete %s: %v", name, err)
	}
}

// carrying are the groups that carry all of the wanted tags.
func carrying(groups map[string]map[string]string, wanted map[string]string) map[string]map[string]string {
	found := maps.Clone(groups)
	maps.DeleteFunc(found, func(_ string, tags map[string]string) bool {
		for k, v := range wanted {
			if tags[k] != v {
				return true
			}
		}
		return false
	})
	return found
}

// expect lists groups by tags, and wants just these with just their tags.
func expect(t *testing.T, p provider.Provider, wanted map[string]string, groups map[string]map[string]string) {
	t.Helper()
	list, err := p.List(t.Context(), wanted)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]string{}
	for _, l := range list {
		if l.Ended {
			t.Errorf("%s is said to have ended", l.Name)
		}
		got[l.Name] = l.Tags
	}
	if len(got) != len(list) || !maps.EqualFunc(got, groups, maps.Equal) {
		t.Errorf("listed by %v: %v, want %v", wanted, list, groups)
	}
}
