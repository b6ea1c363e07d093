package durability

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"frankenetes.dev/cloud"
	"frankenetes.dev/test/azurefiles"
)

// patience is how long anything may take on a busy machine.
const patience = 2 * time.Minute

// world is a share, and the groups of etcd's that have it one after another.
type world struct {
	t     *testing.T
	bin   string
	dir   string
	share *azurefiles.Share
	// files is the share's file service, config how it is reached.
	files  *httptest.Server
	config string
	kind   kind

	mu          sync.Mutex
	groups      []*group
	starts      int
	initialized bool
}

// kind is how etcd is run: as in a cluster, or with a rule broken.
type kind struct {
	// flags are further ones of etcd's.
	flags []string
	// unfenced runs etcd without the launcher, on a share without locks.
	unfenced bool
	// snapshots keeps the store in the group and copies it to the share.
	snapshots bool
}

func newWorld(t *testing.T, k kind) *world {
	t.Helper()
	bin := os.Getenv("FRANKENETES_BIN")
	if bin == "" {
		t.Skip("NOT TESTED: FRANKENETES_BIN does not say where the programs are")
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skipf("NOT TESTED: no file systems can be made here: %v", err)
	}
	w := &world{t: t, bin: bin, dir: t.TempDir(), kind: k}
	truth := filepath.Join(w.dir, "share")
	if err := os.Mkdir(truth, 0o700); err != nil {
		t.Fatal(err)
	}
	var err error
	// A server keeps the handles of who has died for a while.
	if w.share, err = azurefiles.New(truth, azurefiles.Options{Linger: true}); err != nil {
		t.Fatal(err)
	}
	w.files = httptest.NewTLSServer(http.HandlerFunc(w.serveFiles))
	t.Cleanup(w.end)
	w.writeConfig()
	return w
}

// writeConfig writes what the launcher is told of the share.
func (w *world) writeConfig() {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.files.Certificate().Raw})
	data, err := json.Marshal(cloud.ShareConfig{Account: "account", Key: "a2V5", Files: w.files.URL + "/account", Name: "share", CA: string(ca)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.config = filepath.Join(w.dir, "share.json")
	if err := os.WriteFile(w.config, data, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// serveFiles answers what the launcher asks of Azure Files: who has handles, and
// to close them.
func (w *world) serveFiles(out http.ResponseWriter, r *http.Request) {
	dir := strings.TrimPrefix(r.URL.Path, "/account/share")
	switch r.URL.Query().Get("comp") {
	case "listhandles":
		type entry struct{ HandleId, Path, ClientIp string } //nolint:revive // the names are the protocol's
		var list struct {
			XMLName xml.Name `xml:"EnumerationResults"`
			Entries []entry  `xml:"Entries>Handle"`
		}
		for i, h := range w.share.Handles() {
			if strings.HasPrefix(h.Path+"/", dir+"/") {
				list.Entries = append(list.Entries, entry{fmt.Sprint(i), strings.TrimPrefix(h.Path, "/"), h.Client})
			}
		}
		out.Header().Set("Content-Type", "application/xml")
		_ = xml.NewEncoder(out).Encode(list)
	case "forceclosehandles":
		out.Header().Set("x-ms-number-of-handles-closed", fmt.Sprint(w.share.CloseHandles(dir, true)))
		out.Header().Set("x-ms-number-of-handles-failed", "0")
	default:
		out.WriteHeader(http.StatusBadRequest)
	}
}

// end ends all groups and the share.
func (w *world) end() {
	w.share.SetFault(nil)
	w.share.SetQuota(0)
	w.mu.Lock()
	groups := w.groups
	w.mu.Unlock()
	for _, g := range groups {
		g.powerCut()
	}
	w.files.Close()
	if err := w.share.Close(); err != nil {
		w.t.Error(err)
	}
}

// start starts the next group.
func (w *world) start() *group {
	w.t.Helper()
	w.mu.Lock()
	w.starts++
	g := &group{world: w, start: w.starts, address: freeAddress(w.t), peer: freeAddress(w.t)}
	g.log = filepath.Join(w.dir, fmt.Sprintf("group-%d.log", g.start))
	g.mount = filepath.Join(w.dir, fmt.Sprintf("mount-%d", g.start))
	w.mu.Unlock()
	if err := os.Mkdir(g.mount, 0o700); err != nil {
		w.t.Fatal(err)
	}
	var err error
	if g.client, err = w.share.Mount(g.mount, azurefiles.MountOptions{Client: fmt.Sprintf("group-%d", g.start), NoBRL: w.kind.unfenced}); err != nil {
		w.t.Fatal(err)
	}
	g.etcd, err = clientv3.New(clientv3.Config{Endpoints: []string{"http://" + g.address}, Logger: zap.NewNop(), DialTimeout: time.Second})
	if err != nil {
		w.t.Fatal(err)
	}
	g.over = make(chan struct{})
	w.mu.Lock()
	w.groups = append(w.groups, g)
	w.mu.Unlock()
	go g.keepRunning()
	return g
}

// recent are the groups that may answer: all in which something runs, since one
// that should be dead and is not is what this is about.
func (w *world) recent() []*group {
	w.mu.Lock()
	defer w.mu.Unlock()
	var alive []*group
	for _, g := range w.groups {
		select {
		case <-g.over:
		default:
			alive = append(alive, g)
		}
	}
	return alive
}

// await waits until a group serves.
func (w *world) await(g *group) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for {
		ask, end := context.WithTimeout(ctx, 2*time.Second)
		_, err := g.etcd.Get(ask, "any")
		end()
		if err == nil {
			w.mu.Lock()
			w.initialized = true
			w.mu.Unlock()
			return
		}
		select {
		case <-ctx.Done():
			w.t.Fatalf("group %d does not serve: %v\n%s", g.start, err, g.says())
		case <-g.over:
			w.t.Fatalf("group %d has ended: %v\n%s", g.start, err, g.says())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// read reads the store to its end.
func (w *world) read(g *group) final {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	got, err := g.etcd.Get(ctx, "", clientv3.WithPrefix())
	if err != nil {
		w.t.Fatalf("read the store: %v\n%s", err, g.says())
	}
	f := final{values: map[string]int{}, revision: got.Header.Revision}
	for _, kv := range got.Kvs {
		n := 0
		if _, err := fmt.Sscan(string(kv.Value), &n); err != nil {
			w.t.Errorf("%s has value %q: %v", kv.Key, kv.Value, err)
		}
		f.values[string(kv.Key)] = n
	}
	return f
}

func contextFor(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}
