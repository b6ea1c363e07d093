package cluster

import (
	"regexp"
	"strings"
	"testing"

	"frankenetes.dev/fault"
)

func TestNamesOfClusters(t *testing.T) {
	for name, good := range map[string]bool{
		"frankenetes": true, "a": true, "branch-42": true, strings.Repeat("a", 38): true,
		"": false, "Demo": false, "-a": false, "a-": false, "4you": false, "a.b": false, "a_b": false,
		"a--b": false, "x/y": false, "../x": false, strings.Repeat("a", 39): false, "demo-pods": false, "é": false,
	} {
		err := CheckName(name)
		if (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
		if err != nil && (fault.KindOf(err) != fault.Usage || fault.HintOf(err) == "") {
			t.Errorf("%q: %v has kind %d and hint %q", name, err, fault.KindOf(err), fault.HintOf(err))
		}
	}
}

func TestNamesMadeOfAClustersNameAreValid(t *testing.T) {
	account := regexp.MustCompile(`^[a-z0-9]{3,24}$`)
	label := regexp.MustCompile(`^[a-z][-a-z0-9]{3,61}[a-z0-9]$`)
	for _, name := range []string{"a", "frankenetes", "my-branch-name-that-is-long", "a" + strings.Repeat("b", 37)} {
		spec, err := NewSpec(name, "local", "registry", "v1", 0)
		if err != nil {
			t.Fatal(err)
		}
		if !account.MatchString(spec.account()) {
			t.Errorf("storage account %q", spec.account())
		}
		for _, c := range Components() {
			if !label.MatchString(spec.label(c)) {
				t.Errorf("DNS label %q", spec.label(c))
			}
		}
	}
}

func TestTwoClustersOfOneNameDoNotCollide(t *testing.T) {
	one, err := NewSpec("demo", "local", "r", "v1", 0)
	if err != nil {
		t.Fatal(err)
	}
	two, err := NewSpec("demo", "local", "r", "v1", 0)
	if err != nil {
		t.Fatal(err)
	}
	if one.account() == two.account() || one.label(Etcd) == two.label(Etcd) {
		t.Errorf("both are called %s and %s", one.account(), one.label(Etcd))
	}
}
