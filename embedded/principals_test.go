package embedded

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/identity"
	"frankenetes.dev/embedded/store"
)

// TestRefusalsOfPrincipals asks what the daemon's socket answers: whoever asked
// tells the refusals apart by the status.
func TestRefusalsOfPrincipals(t *testing.T) {
	db, err := store.Open(filepath.Join(t.TempDir(), "cloud.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	d := &daemon{settings: settings{Subscription: "11111111-1111-1111-1111-111111111111"}}
	if d.authority, err = identity.New(identity.Options{Store: db, Subscription: d.settings.Subscription, Log: log}); err != nil {
		t.Fatal(err)
	}
	d.arm = arm.New(arm.Options{Store: db, Verifier: d.authority, Subscription: d.settings.Subscription, Log: log})
	defer d.arm.Close()
	mux := http.NewServeMux()
	d.answerPrincipals(mux)
	for _, c := range []struct {
		method, name, role, scope string
		status                    int
		says                      string
	}{
		{http.MethodPut, "ci", "Reader", "", http.StatusOK, `"clientSecret"`},
		{http.MethodPut, "CI", "", "", http.StatusConflict, "there is a principal of that name"},
		{http.MethodPut, "a b", "", "", http.StatusBadRequest, "1 to 64 letters"},
		{http.MethodPut, "two", "King", "", http.StatusBadRequest, "Owner, Contributor, Reader, "},
		{http.MethodPut, "two", "Reader", "nowhere", http.StatusBadRequest, "'nowhere' could not be found"},
		{http.MethodGet, "", "", "", http.StatusOK, `"role":"Reader"`},
		{http.MethodDelete, "two", "", "", http.StatusGone, "there is no principal of that name"},
		{http.MethodDelete, "ci", "", "", http.StatusOK, ""},
	} {
		query := url.Values{"role": {c.role}, "scope": {c.scope}}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(c.method, principalsPath+"/"+url.PathEscape(c.name)+"?"+query.Encode(), nil))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s %q: %d, want %d: %s", c.method, c.name, w.Code, c.status, w.Body)
		}
	}
}
