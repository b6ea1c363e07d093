package groups

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"

	"frankenetes.dev/embedded/arm"
)

// FuzzBody: whatever is put, either its client is told what is wrong with it,
// or it is a group that can be kept, deployed and shown, but for its secrets.
// The fuzzer changes bytes, and, since that seldom leaves JSON, puts something
// in the place of a part.
func FuzzBody(f *testing.F) {
	for _, body := range bodies() {
		var g Group
		if err := decode([]byte(body), &g); err != nil || strings.Count(body, mark) != marks(&g) {
			f.Fatalf("%s has marks that are in no secret: %v", body, err)
		}
		f.Add([]byte(body), uint16(0), "")
		f.Add([]byte(body), uint16(2), `{"name":"x"}`)
	}
	f.Fuzz(func(t *testing.T, body []byte, part uint16, value string) {
		if part > 0 {
			body, _ = grafted(body, int(part), value)
		}
		judge(t, body)
	})
}

// TestEveryPartReplaced does what FuzzBody does, with every part of every body.
func TestEveryPartReplaced(t *testing.T) {
	values := []string{`null`, `""`, `"` + mark + `"`, `"\u0000"`, `"a b"`, `"-1"`, `0`, `-1`, `1e-300`, `2147483648`, `true`, `[]`, `[null]`, `{}`, `{"a":"` + mark + `"}`}
	groups := 0
	for _, body := range bodies() {
		for part := 1; ; part++ {
			if _, ok := grafted([]byte(body), part, ""); !ok {
				break
			}
			for _, value := range values {
				changed, _ := grafted([]byte(body), part, value)
				if judge(t, changed) {
					groups++
				}
				if t.Failed() {
					t.Fatalf("%s", changed)
				}
			}
		}
	}
	t.Logf("%d were groups", groups)
	if groups == 0 {
		t.Error("nothing was a group")
	}
}

// grafted puts a value in the place of a part of a body: the first is the whole
// of it. What is no JSON becomes a string. It reports whether there is such a part.
func grafted(body []byte, part int, value string) ([]byte, bool) {
	var whole any
	if json.Unmarshal(body, &whole) != nil {
		return body, false
	}
	var graft any = value
	_ = json.Unmarshal([]byte(value), &graft)
	left := part
	whole = graftInto(whole, &left, graft)
	changed, err := json.Marshal(whole)
	return changed, err == nil && left <= 0
}

func graftInto(node any, left *int, graft any) any {
	if *left--; *left == 0 {
		return graft
	}
	switch node := node.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(node)) {
			node[name] = graftInto(node[name], left, graft)
		}
	case []any:
		for i := range node {
			node[i] = graftInto(node[i], left, graft)
		}
	}
	return node
}

// judge takes a body as PUT does, and reports whether it is a group.
func judge(t *testing.T, body []byte) bool {
	t.Helper()
	g := &Group{}
	if err := decode(body, g); err != nil {
		clientsFault(t, err)
		return false
	}
	g.Name = "web"
	g.normalise()
	// Only where every mark is in a secret can one that gets out be told from others.
	secret := bytes.Count(body, []byte(mark)) == marks(g)
	v := validator{group: g, location: "local", registry: "frankenetes.internal"}
	if err := v.check(); err != nil {
		clientsFault(t, err)
		if secret && strings.Contains(err.Error(), mark) {
			t.Errorf("the refusal tells a secret: %v", err)
		}
		return false
	}
	survives(t, g)
	deploys(t, g)
	for _, listed := range []bool{true, false} {
		shows(t, g, listed, secret)
	}
	return true
}

func clientsFault(t *testing.T, err error) {
	t.Helper()
	var refusal *arm.Error
	if !errors.As(err, &refusal) || refusal.Status < 400 || refusal.Status > 499 || refusal.Code == "" || refusal.Message == "" {
		t.Fatalf("refused with %#v", err)
	}
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// survives wants the group to be the same after it was in the store, and after
// a client has sent it again.
func survives(t *testing.T, g *Group) {
	t.Helper()
	before := encoded(t, g)
	var kept Group
	if err := json.Unmarshal([]byte(before), &kept); err != nil {
		t.Fatal(err)
	}
	if after := encoded(t, &kept); after != before {
		t.Errorf("from the store it is another:\n%s\n%s", before, after)
	}
	hash, err := g.hash()
	if again, err2 := kept.hash(); err != nil || err2 != nil || hash != again {
		t.Errorf("from the store it has another hash: %v, %v", err, err2)
	}
	if !g.canBecome(&kept) {
		t.Error("it cannot become itself")
	}
	again, err := check(g.Name, before)
	if err != nil {
		t.Fatalf("sent again it is refused: %v\n%s", err, before)
	}
	if after := encoded(t, again); after != before {
		t.Errorf("sent again it is another:\n%s\n%s", before, after)
	}
}

// deploys wants figures that the runtime can work with.
func deploys(t *testing.T, g *Group) {
	t.Helper()
	cpu, memory := g.total()
	d := &deployment{group: g}
	for _, c := range slices.Concat(g.Properties.Containers, g.Properties.InitContainers) {
		limits := d.limits(c)
		if limits.CpuQuota < minQuota || limits.CpuShares < 2 || limits.MemoryLimitInBytes < 100<<20 || limits.MemoryLimitInBytes > int64(memory*gigabyte) {
			t.Errorf("of %v cores and %v GB container %s has %v", cpu, memory, c.Name, limits)
		}
		_ = ownIDs{}.securityContext(c.Properties.SecurityContext)
	}
}

// shows wants views that the SDK understands, and that have no secret.
func shows(t *testing.T, g *Group, listed, secret bool) {
	t.Helper()
	before := encoded(t, g)
	shown := encoded(t, view(g, newStatus(g, time.Now()).snapshot(), false, listed))
	if secret && strings.Contains(shown, mark) {
		t.Errorf("a secret is shown: %s", shown)
	}
	if encoded(t, g) != before {
		t.Error("the view has changed the group")
	}
	var group aci.ContainerGroup
	if err := json.Unmarshal([]byte(shown), &group); err != nil {
		t.Errorf("the SDK cannot read it: %v", err)
	}
	if _, err := check(g.Name, shown); err != nil {
		clientsFault(t, err) // a secret that was not sent again, perhaps
	}
}
