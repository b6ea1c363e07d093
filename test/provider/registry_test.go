package baremetal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const user, password = "joe", "only joe knows"

// closedRegistry serves a registry that lets in nobody but joe, and returns the
// name of its only image, and that by digest.
func (n *bareNode) closedRegistry() (tagged, pinned string) {
	n.t.Helper()
	listener, err := net.Listen("tcp", n.at(0))
	if err != nil {
		n.t.Fatal(err)
	}
	host := listener.Addr().String()
	store := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != user || p != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="joe's"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		store.ServeHTTP(w, r)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	n.story.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	// The runtime would speak TLS to any but its own machine's loopback.
	dir := filepath.Join(n.dir, "containerd", "registries", host)
	config := fmt.Sprintf("server = \"http://%s\"\n", host)
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(config), 0o600)); err != nil {
		n.t.Fatal(err)
	}
	ref, err := name.ParseReference(host + "/joe/test:1")
	if err != nil {
		n.t.Fatal(err)
	}
	other := n.otherImage()
	digest, err := other.Digest()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := remote.Write(ref, other, remote.WithAuth(&authn.Basic{Username: user, Password: password})); err != nil {
		n.t.Fatal(err)
	}
	return ref.Name(), ref.Context().Digest(digest.String()).Name()
}

// otherImage is the test's image with another configuration, so that it is one
// that the runtime does not have.
func (n *bareNode) otherImage() v1.Image {
	n.t.Helper()
	index, err := layout.ImageIndexFromPath(filepath.Join(n.dir, "images"))
	if err != nil {
		n.t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		n.t.Fatal(err)
	}
	for _, m := range manifest.Manifests {
		if m.Annotations[ocispec.AnnotationRefName] != image {
			continue
		}
		own, err := index.Image(m.Digest)
		if err != nil {
			n.t.Fatal(err)
		}
		config, err := own.ConfigFile()
		if err != nil {
			n.t.Fatal(err)
		}
		other := config.Config
		other.Labels = map[string]string{"of": "joe"}
		if own, err = mutate.Config(own, other); err != nil {
			n.t.Fatal(err)
		}
		return own
	}
	n.t.Fatalf("there is no image %s", image)
	return nil
}

// sleeper is a pod of an image, with a secret for its registry or without.
const sleeper = `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": %q}, "spec": {"nodeName": "baremetal", "terminationGracePeriodSeconds": 1,
	"imagePullSecrets": [{"name": %q}], "containers": [{"name": "main", "image": %q, "imagePullPolicy": "IfNotPresent", "command": ["sleep", "1000"]}]}}`

// testClosed makes the registry, and joe's secret.
func testClosed(n *bareNode) {
	tagged, pinned := n.closedRegistry()
	n.pinned = pinned
	host, _, _ := strings.Cut(tagged, "/")
	n.kubectl("create", "secret", "docker-registry", "joes", "--docker-server="+host, "--docker-username="+user, "--docker-password="+password)
	n.friendAndStranger(tagged)
}

// testClosedStill is for the time after a restart: the runtime has the image, by
// its digest, and nothing in the node's memory says who had brought it.
func testClosedStill(n *bareNode) { n.friendAndStranger(n.pinned) }

// friendAndStranger run a pod with joe's secret, and one without: that the
// runtime has the image gives nobody a right to it.
func (n *bareNode) friendAndStranger(image string) {
	n.t.Helper()
	n.create(fmt.Sprintf(sleeper, "friend", "joes", image))
	n.kubectl("wait", "--for=condition=Ready", "pod/friend", "--timeout="+patience.String())
	n.create(fmt.Sprintf(sleeper, "stranger", "none", image))
	n.eventually("the stranger is refused", func() error {
		var pod struct {
			Status struct {
				ContainerStatuses []struct {
					State struct {
						Waiting struct{ Reason, Message string }
						Running json.RawMessage
					}
				}
			}
		}
		n.get(&pod, "pod", "stranger")
		s := pod.Status.ContainerStatuses
		if len(s) > 0 && s[0].State.Running != nil {
			n.t.Fatal("a pod without a secret runs an image that another's secret had brought")
		}
		if len(s) != 1 || s[0].State.Waiting.Reason != "ErrImagePull" && s[0].State.Waiting.Reason != "ImagePullBackOff" {
			return fmt.Errorf("its state is %+v", s)
		}
		return nil
	})
	n.kubectl("delete", "pod", "friend", "stranger", "--timeout="+patience.String())
}

// create makes an object.
func (n *bareNode) create(object string) {
	n.t.Helper()
	if _, _, err := n.try([]byte(object), "create", "-f", "-"); err != nil {
		n.t.Fatal(err)
	}
}
