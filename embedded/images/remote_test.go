package images

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// guarded is a registry that lets one account in.
func guarded(t *testing.T) string {
	t.Helper()
	all := registry.New()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case strings.Contains(r.URL.Path, "/busy/"):
			http.Error(w, "too many requests", http.StatusTooManyRequests)
		case r.Method == http.MethodHead && (user != "me" || password != "secret"), r.URL.Path == "/v2/" && user == "":
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, "who are you", http.StatusUnauthorized)
		default:
			all.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestLookForAnImageInItsRegistry(t *testing.T) {
	open := httptest.NewServer(registry.New())
	defer open.Close()
	public := strings.TrimPrefix(open.URL, "http://")
	ref, err := name.ParseReference(public + "/app:1")
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(64, 1)
	if err == nil {
		err = remote.Write(ref, image)
	}
	if err != nil {
		t.Fatal(err)
	}
	nobody := httptest.NewUnstartedServer(nil)
	gone := nobody.Listener.(*net.TCPListener).Addr().String()
	nobody.Close()
	private, me := guarded(t), Account{Username: "me", Password: "secret"}
	for _, c := range []struct {
		image string
		as    Account
		want  error
	}{
		{public + "/app:1", Account{}, nil},
		{public + "/app:2", Account{}, ErrNoImage},
		{public + "/other", Account{}, ErrNoImage},
		{private + "/app:1", Account{}, ErrNoImage},
		{private + "/app:1", Account{Username: "me", Password: "wrong"}, ErrNoImage},
		{private + "/app:1", me, ErrNoImage}, // it is let in, and there is none
		{private + "/busy/app:1", me, ErrRegistry},
		{gone + "/app:1", Account{}, ErrRegistry},
		{"Not A Name", Account{}, ErrNoImage},
	} {
		if _, err := Look(t.Context(), c.image, c.as); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s as %q: %v, want %v", c.image, c.as.Username, err, c.want)
		} else if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells the password: %v", c.image, err)
		}
	}
}
