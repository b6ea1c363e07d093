package azurefiles

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sys/unix"
)

// patience is how long anything may take on a busy machine.
const patience = time.Minute

// seeded returns random numbers, and says how to have the same again.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv("FRANKENETES_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("FRANKENETES_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// etcd is a process of the etcd that clusters have.
type etcd struct {
	t        *testing.T
	patience time.Duration // for an answer
	cmd      *exec.Cmd
	log      string
	url      string
	ended    chan struct{}
	client   *clientv3.Client
}

// startEtcd starts it; it may not come up.
func startEtcd(t *testing.T, flags ...string) *etcd {
	t.Helper()
	bin := os.Getenv("FRANKENETES_BIN")
	if bin == "" {
		t.Skip("NOT TESTED: FRANKENETES_BIN does not say where hyperkube is")
	}
	e := &etcd{t: t, patience: patience, url: "http://" + freeAddress(t)}
	peer := "http://" + freeAddress(t)
	e.start(&exec.Cmd{Path: filepath.Join(bin, "hyperkube"), Args: append([]string{
		"etcd", "--name=etcd", "--listen-client-urls=" + e.url, "--advertise-client-urls=" + e.url,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=etcd=" + peer,
	}, flags...)})
	return e
}

// start starts the process until the test ends, and a client of its etcd.
func (e *etcd) start(cmd *exec.Cmd) {
	e.t.Helper()
	log, err := os.CreateTemp(e.t.TempDir(), "etcd-*.log")
	if err != nil {
		e.t.Fatal(err)
	}
	defer log.Close()
	e.cmd, e.log, e.ended = cmd, log.Name(), make(chan struct{})
	cmd.Stdout, cmd.Stderr = log, log
	e.client, err = clientv3.New(clientv3.Config{Endpoints: []string{e.url}})
	if err != nil {
		e.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	go func() {
		defer close(e.ended)
		_ = cmd.Wait()
	}()
	e.t.Cleanup(e.kill)
}

// kill ends the process, and returns when it has ended.
func (e *etcd) kill() {
	_ = e.cmd.Process.Kill()
	<-e.ended
	_ = e.client.Close()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// come waits until it answers, and reports false if it has ended instead.
func (e *etcd) come() bool {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), e.patience)
	defer cancel()
	go func() {
		select {
		case <-e.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	_, err := e.client.Get(ctx, "any")
	if err == nil {
		return true
	}
	select {
	case <-e.ended:
		return false
	case <-time.After(time.Second):
		e.fail("etcd does not answer: %v", err)
		return false
	}
}

// mustCome waits until it answers.
func (e *etcd) mustCome() {
	e.t.Helper()
	if !e.come() {
		e.fail("etcd has ended")
	}
}

// fail fails the test, with what etcd has said at the end.
func (e *etcd) fail(format string, args ...any) {
	e.t.Helper()
	data, _ := os.ReadFile(e.log)
	e.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), data[max(0, len(data)-4000):])
}

// said reports whether its log has some words.
func (e *etcd) said(words string) bool {
	e.t.Helper()
	data, err := os.ReadFile(e.log)
	if err != nil {
		e.t.Fatal(err)
	}
	return bytes.Contains(data, []byte(words))
}

// put writes a key, if it can before too long.
func (e *etcd) put(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, e.patience)
	defer cancel()
	_, err := e.client.Put(ctx, key, "value of "+key)
	return err
}

// acknowledged has writers write until there were so many answers, calls what
// shall happen then, and returns the keys whose writing was acknowledged.
func (e *etcd) acknowledged(enough int64, then func()) map[string]bool {
	e.t.Helper()
	ctx, cancel := context.WithCancel(e.t.Context())
	defer cancel()
	go func() {
		select {
		case <-e.ended: // nothing will be answered
			cancel()
		case <-ctx.Done():
		}
	}()
	var mu sync.Mutex
	keys := map[string]bool{}
	var count atomic.Int64
	var writers sync.WaitGroup
	happened := make(chan struct{})
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%s/%d/%d", e.url, w, i)
				if e.put(ctx, key) != nil {
					return
				}
				mu.Lock()
				keys[key] = true
				mu.Unlock()
				if count.Add(1) == enough {
					then()
					close(happened)
				}
			}
		})
	}
	writers.Wait()
	select {
	case <-happened:
	default:
		e.fail("after %d answers etcd answers no more", count.Load())
	}
	return keys
}

// lost returns how many of the keys that were acknowledged are not there.
func (e *etcd) lost(keys map[string]bool) int {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), e.patience)
	defer cancel()
	answer, err := e.client.Get(ctx, "http", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		e.fail("list keys: %v", err)
	}
	there := map[string]bool{}
	for _, kv := range answer.Kvs {
		there[string(kv.Key)] = true
	}
	missing := 0
	for key, acknowledged := range keys {
		if acknowledged && !there[key] {
			missing++
		}
	}
	return missing
}

// layout is what of etcd's files is on the share.
type layout struct {
	name  string
	flags func(share, local string) []string
}

var layouts = []layout{
	{"data", func(share, _ string) []string { return []string{"--data-dir=" + share + "/data"} }},
	{"log", func(share, local string) []string {
		return []string{"--data-dir=" + local, "--wal-dir=" + share + "/wal"}
	}},
	{"log and snapshots", func(share, local string) []string {
		return []string{"--data-dir=" + local, "--wal-dir=" + share + "/wal", "--snapshot-count=20", "--max-wals=0"}
	}},
}

// TestEtcd: whatever etcd has acknowledged is there after its machine has lost
// power, and with it all that was not on the share.
func TestEtcd(t *testing.T) {
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			random := seeded(t)
			s := newScene(t, Options{})
			keys := map[string]bool{}
			for round := range 4 {
				c, at := s.mount(MountOptions{Client: fmt.Sprint("etcd-", round)})
				e := startEtcd(t, l.flags(at, t.TempDir())...)
				e.mustCome()
				if round == 0 && !e.said("closing WAL to release flock and retry directory renaming") {
					t.Error("etcd has renamed its directory while a file in it was open")
				}
				if n := e.lost(keys); n > 0 {
					t.Fatalf("%d of %d acknowledged writes are lost in round %d", n, len(keys), round)
				}
				for key := range e.acknowledged(1+random.Int64N(200), func() { s.must(c.Kill()); e.kill() }) {
					keys[key] = true
				}
			}
			t.Logf("%d writes were acknowledged, none is lost", len(keys))
		})
	}
}

// TestEtcdUnsafe is the control: without syncs, what was acknowledged is lost.
func TestEtcdUnsafe(t *testing.T) {
	s := newScene(t, Options{})
	c, at := s.mount(MountOptions{Client: "etcd"})
	e := startEtcd(t, layouts[0].flags(at, "")...)
	e.mustCome()
	e.acknowledged(10, e.kill) // so that there is something to start from
	flags := append(layouts[0].flags(at, ""), "--unsafe-no-fsync")
	e = startEtcd(t, flags...)
	e.mustCome()
	keys := e.acknowledged(50, func() { s.must(c.Kill()); e.kill() })
	_, at = s.mount(MountOptions{Client: "again"})
	e = startEtcd(t, layouts[0].flags(at, "")...)
	if e.come() {
		lost := e.lost(keys)
		t.Logf("%d of %d acknowledged writes are lost", lost, len(keys))
		if lost == 0 {
			t.Error("nothing is lost without syncs")
		}
	}
}

// TestEtcdTwice: of two etcds on one directory the second does not start. With
// nobrl, the control, it does, and both acknowledge.
func TestEtcdTwice(t *testing.T) {
	for name, nobrl := range map[string]bool{"brl": false, "nobrl": true} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, Options{})
			_, a := s.mount(MountOptions{Client: "a", NoBRL: nobrl})
			_, b := s.mount(MountOptions{Client: "b", NoBRL: nobrl})
			first := startEtcd(t, layouts[0].flags(a, "")...)
			first.mustCome()
			s.must(first.put(t.Context(), "http-1"))
			second := startEtcd(t, layouts[0].flags(b, "")...)
			if second.come() != nobrl {
				t.Errorf("the second started: %v, want %v", !nobrl, nobrl)
			}
			if nobrl {
				s.must(second.put(t.Context(), "http-2"))
			}
			s.must(first.put(t.Context(), "http-3"))
		})
	}
}

// TestEtcdFence: a machine is frozen, another takes over, the first thaws. If
// its handles were closed by force and the directory was renamed before, it
// acknowledges nothing any more, even if it opens by itself what was closed. If
// not, the control, it does, and something that was acknowledged is lost.
func TestEtcdFence(t *testing.T) {
	for name, c := range map[string]struct{ fence, reopen bool }{
		"fenced":             {fence: true},
		"fenced, it reopens": {fence: true, reopen: true},
		"not fenced":         {},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, Options{BreakTimeout: 100 * time.Millisecond})
			a, old := s.mount(MountOptions{Client: "a", Reopen: c.reopen})
			b, at := s.mount(MountOptions{Client: "b"})
			first := startEtcd(t, "--data-dir="+old+"/epoch-1")
			first.mustCome()
			keys := map[string]bool{"http-1": true, "http-2": true}
			s.must(first.put(t.Context(), "http-1"))
			a.Freeze()
			epoch := "/epoch-1"
			if c.fence {
				s.CloseHandles(epoch, true)
				s.must(os.Rename(at+epoch, at+"/epoch-2"))
				epoch = "/epoch-2"
			}
			second := startEtcd(t, "--data-dir="+at+epoch)
			second.mustCome()
			s.must(second.put(t.Context(), "http-2"))
			a.Thaw()
			late := first.put(t.Context(), "http-late")
			if (late != nil) != c.fence {
				t.Errorf("a write after the take-over: %v", late)
			}
			keys["http-late"] = late == nil
			s.must(errors.Join(a.Kill(), b.Kill()))
			_, at = s.mount(MountOptions{Client: "c"})
			third := startEtcd(t, "--data-dir="+at+epoch)
			came := third.come()
			if kept := came && third.lost(keys) == 0; kept != c.fence {
				t.Errorf("all that was acknowledged is there: %v, want %v", kept, c.fence)
			}
			t.Logf("the write after the take-over: %v; the next etcd starts: %v", late, came)
		})
	}
}

// TestEtcdFailedSync: an etcd whose sync fails ends, and acknowledges nothing
// that is not there.
func TestEtcdFailedSync(t *testing.T) {
	s := newScene(t, Options{})
	c, at := s.mount(MountOptions{Client: "a"})
	e := startEtcd(t, layouts[0].flags(at, "")...)
	e.mustCome()
	keys := e.acknowledged(50, func() {
		s.SetFault(func(op Op) error {
			if op.Name == "fsync" {
				return unix.EIO
			}
			return nil
		})
	})
	select {
	case <-e.ended:
	case <-time.After(e.patience):
		e.fail("it goes on after a failed sync")
	}
	s.SetFault(nil)
	s.must(c.Kill())
	_, at = s.mount(MountOptions{Client: "b"})
	e = startEtcd(t, layouts[0].flags(at, "")...)
	e.mustCome()
	if n := e.lost(keys); n > 0 {
		t.Errorf("%d of %d acknowledged writes are lost", n, len(keys))
	}
}
