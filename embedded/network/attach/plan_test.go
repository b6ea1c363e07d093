package attach

import (
	"errors"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlanTravelsAsAnnotation(t *testing.T) {
	for _, want := range []Plan{
		{Address: netip.MustParseAddr("198.18.0.2"), Peer: "fk01234567g002", Source: netip.MustParseAddr("198.18.0.1")},
		{Address: netip.MustParseAddr("10.0.0.4"), Peer: "g003", Namespace: "/run/netns/fk01234567-001"},
	} {
		got, err := FromAnnotations(want.Annotations())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := FromAnnotations(nil); !errors.Is(err, ErrNoPlan) {
		t.Errorf("without one: %v", err)
	}
	for _, bad := range []string{"{", "{}", `{"address":"::1","peer":"x"}`, `{"address":"10.0.0.1"}`} {
		if p, err := FromAnnotations(map[string]string{Annotation: bad}); err == nil {
			t.Errorf("%s was read as %+v", bad, p)
		}
	}
}

func TestDetachWhatIsGone(t *testing.T) {
	for _, namespace := range []string{"", filepath.Join(t.TempDir(), "gone")} {
		if err := Detach(namespace, "eth0"); err != nil {
			t.Errorf("%q: %v", namespace, err)
		}
	}
}
