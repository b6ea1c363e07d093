package etcd

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// server is a share's server as far as it knows handles.
type server struct {
	mu sync.Mutex
	// open are the handles that are there, stubborn those that stay.
	open, stubborn []string
	asked          []string
}

func (s *server) OpenHandles(_ context.Context, dir string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, dir)
	return append(append([]string(nil), s.open...), s.stubborn...), nil
}

func (s *server) CloseHandles(context.Context, string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = nil
	return nil
}

// closeStubborn is what happens when their process has ended.
func (s *server) closeStubborn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stubborn = nil
}

func newLauncher(t *testing.T, start int, nonce string) *Launcher {
	t.Helper()
	return &Launcher{
		Share: t.TempDir(), Handles: &server{}, Generation: Generation{start, nonce},
		Command: etcdLike("exit 0"), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

// etcdLike is a command that makes a store as etcd does and then runs a script,
// where $dir is the data directory.
func etcdLike(script string) []string {
	return []string{"/bin/sh", "-c", `dir=${1#--data-dir=}; mkdir -p "$dir/member/wal" "$dir/member/snap" &&
		touch "$dir/member/wal/0.wal" "$dir/member/snap/db"; ` + script, "etcd"}
}

// next is a later start of the same cluster's etcd.
func (l *Launcher) next(start int, nonce string) *Launcher {
	n := *l
	n.Generation = Generation{start, nonce}
	return &n
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// names are what is on a share.
func names(t *testing.T, share string) string {
	t.Helper()
	entries, err := os.ReadDir(share)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func mustRun(t *testing.T, l *Launcher) {
	t.Helper()
	// etcd that ends by itself is a failure, also with exit code 0.
	if code, err := l.Run(bounded(t)); err != nil || code != 1 {
		t.Fatalf("exit code %d, %v", code, err)
	}
}

func TestEveryStartHasAnEpochOfItsOwn(t *testing.T) {
	l := newLauncher(t, 1, "a")
	mustRun(t, l)
	if got := names(t, l.Share); got != "epoch-1.1.a" {
		t.Errorf("after the first start there is %s", got)
	}
	mustRun(t, l) // the container is restarted in its group
	if got := names(t, l.Share); got != "epoch-2.1.a" {
		t.Errorf("after the restart there is %s", got)
	}
	mustRun(t, l.next(2, "b"))
	if got := names(t, l.Share); got != "epoch-3.2.b" {
		t.Errorf("after the second start there is %s", got)
	}
}

func TestTheStoreOfBeforeThereWereEpochsIsKept(t *testing.T) {
	l := newLauncher(t, 4, "a")
	l.Initialized = true
	for _, dir := range []string{"wal", "snap"} {
		if err := os.MkdirAll(filepath.Join(l.Share, legacy, "member", dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	mustRun(t, l)
	if got := names(t, l.Share); got != "epoch-1.4.a" {
		t.Errorf("there is %s", got)
	}
}

func TestAnEarlierStartNeverTakesTheStoreBack(t *testing.T) {
	l := newLauncher(t, 5, "a")
	mustRun(t, l)
	for _, earlier := range []Generation{{4, "a"}, {5, "b"}} {
		code, err := l.next(earlier.Number, earlier.Nonce).Run(bounded(t))
		if !errors.Is(err, ErrSuperseded) || code == 0 {
			t.Errorf("start %v: exit code %d, %v", earlier, code, err)
		}
	}
	if got := names(t, l.Share); got != "epoch-1.5.a" {
		t.Errorf("there is %s", got)
	}
}

func TestOthersHandlesAreClosedFirst(t *testing.T) {
	l := newLauncher(t, 1, "a")
	mustRun(t, l)
	s := &server{open: []string{"member/snap/db by 10.0.0.4"}}
	l.Handles = s
	mustRun(t, l.next(2, "b"))
	if s.open != nil {
		t.Errorf("left open: %v", s.open)
	}
	if s.asked[0] != "epoch-1.1.a" {
		t.Errorf("asked for %v", s.asked)
	}
}

func TestAStoreThatSomebodyKeepsOpenIsNotTaken(t *testing.T) {
	l := newLauncher(t, 1, "a")
	mustRun(t, l)
	s := &server{stubborn: []string{"member/snap/db by 10.0.0.4"}}
	l.Handles = s
	ctx, cancel := context.WithTimeout(bounded(t), 3*claimPause)
	defer cancel()
	if _, err := l.next(2, "b").claim(ctx); err == nil || !strings.Contains(err.Error(), "10.0.0.4") {
		t.Errorf("it says %v", err)
	}
	if got := names(t, l.Share); got != "epoch-1.1.a" {
		t.Errorf("there is %s", got)
	}
	// It waits for who is about to end.
	done := make(chan error, 1)
	go func() {
		_, err := l.next(2, "b").claim(bounded(t))
		done <- err
	}()
	s.closeStubborn()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestNoEmptyStoreForAClusterThatHadOne(t *testing.T) {
	l := newLauncher(t, 2, "a")
	l.Initialized = true
	if _, err := l.Run(bounded(t)); err == nil || !strings.Contains(err.Error(), "backup") {
		t.Errorf("on an empty share: %v", err)
	}
	if got := names(t, l.Share); got != "" {
		t.Errorf("it has made %s", got)
	}
	if err := os.Mkdir(filepath.Join(l.Share, "epoch-1.1.a"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Run(bounded(t)); err == nil || !strings.Contains(err.Error(), "epoch-1.1.a") {
		t.Errorf("with an empty directory: %v", err)
	}
}

func TestTwoStoresAreRefused(t *testing.T) {
	l := newLauncher(t, 2, "a")
	for _, dir := range []string{"epoch-1.1.a", "epoch-2.1.a"} {
		if err := os.Mkdir(filepath.Join(l.Share, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Run(bounded(t)); err == nil || !strings.Contains(err.Error(), "2 stores") {
		t.Errorf("it says %v", err)
	}
}

func TestManyStartersOneStore(t *testing.T) {
	l := newLauncher(t, 1, "a")
	mustRun(t, l)
	const starters = 8
	var (
		wg   sync.WaitGroup
		dirs [starters]string
	)
	for i := range starters {
		wg.Go(func() {
			var err error
			if dirs[i], err = l.next(2+i, "x").claim(bounded(t)); err != nil && !errors.Is(err, ErrSuperseded) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	there := 0
	for _, dir := range dirs {
		if _, err := os.Stat(dir); dir != "" && err == nil {
			there++
		}
	}
	if there != 1 || strings.Contains(names(t, l.Share), " ") {
		t.Errorf("%d have a store: %s", there, names(t, l.Share))
	}
}

func TestEtcdMakesNoStoreWhereItsOwnWas(t *testing.T) {
	l := newLauncher(t, 1, "a")
	mustRun(t, l)
	// The store is taken after etcd was started, and before it opens it.
	started, goOn := filepath.Join(t.TempDir(), "started"), filepath.Join(t.TempDir(), "go")
	l.Command = []string{"/bin/sh", "-c", "touch " + started + "; while [ ! -e " + goOn + " ]; do sleep 0.01; done; " + etcdLike("exit 0")[2], "etcd"}
	done := make(chan error, 1)
	go func() {
		_, err := l.Run(bounded(t))
		done <- err
	}()
	awaitFile(t, started)
	if _, err := l.next(2, "b").claim(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(goOn, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	<-done
	if got := names(t, l.Share); got != "epoch-3.2.b" {
		t.Errorf("there is %s", got)
	}
}

func TestItEndsEtcdKindly(t *testing.T) {
	l := newLauncher(t, 1, "a")
	l.Command = etcdLike(`trap 'touch "$dir/ended"; exit 0' TERM; touch "$dir/started"; while :; do sleep 0.05; done`)
	ctx, end := context.WithCancel(bounded(t))
	type result struct {
		code int
		err  error
	}
	done := make(chan result, 1)
	go func() {
		code, err := l.Run(ctx)
		done <- result{code, err}
	}()
	dir := filepath.Join(l.Share, "epoch-1.1.a")
	awaitFile(t, filepath.Join(dir, "started"))
	end()
	if r := <-done; r.code != 0 || r.err != nil {
		t.Errorf("exit code %d, %v", r.code, r.err)
	}
	if _, err := os.Stat(filepath.Join(dir, "ended")); err != nil {
		t.Errorf("it was not asked: %v", err)
	}
}

func TestWhatRunsBesideEtcdMayEndIt(t *testing.T) {
	l := newLauncher(t, 1, "a")
	l.Command = etcdLike(`trap 'touch "$dir/ended"; exit 0' TERM; touch "$dir/started"; while :; do sleep 0.05; done`)
	dir := filepath.Join(l.Share, "epoch-1.1.a")
	after := false
	l.Beside = []func(context.Context, Running){func(ctx context.Context, etcd Running) {
		awaitFile(t, filepath.Join(dir, "started"))
		if err := etcd.End(ctx); err != nil {
			t.Error(err)
		}
		_, err := os.Stat(filepath.Join(dir, "ended"))
		after = err == nil && ctx.Err() == nil
	}}
	if code, err := l.Run(bounded(t)); err == nil || code == 0 {
		t.Errorf("it is not started again: %d, %v", code, err)
	}
	if !after {
		t.Error("it could do nothing after etcd had ended")
	}
}

func TestItKillsEtcdWhoseStoreIsTaken(t *testing.T) {
	l := newLauncher(t, 1, "a")
	l.Command = etcdLike(`trap '' TERM; touch "$dir/started"; while :; do sleep 0.05; done`)
	done := make(chan error, 1)
	go func() {
		_, err := l.Run(bounded(t))
		done <- err
	}()
	awaitFile(t, filepath.Join(l.Share, "epoch-1.1.a", "started"))
	if _, err := l.next(2, "b").claim(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, ErrSuperseded) {
		t.Errorf("it says %v", err)
	}
}

func TestItEndsWithEtcdsExitCode(t *testing.T) {
	l := newLauncher(t, 1, "a")
	l.Command = etcdLike("exit 7")
	if code, err := l.Run(bounded(t)); code != 7 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
	l.Command = etcdLike("kill -9 $$")
	if code, err := l.Run(bounded(t)); code == 0 || err != nil {
		t.Errorf("killed: exit code %d, %v", code, err)
	}
	l.Command = []string{"/nowhere/etcd"}
	if _, err := l.Run(bounded(t)); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("no program: %v", err)
	}
}

// awaitFile waits until a file is there.
func awaitFile(t *testing.T, path string) {
	t.Helper()
	for ctx := bounded(t); ; {
		if _, err := os.Stat(path); err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s does not come", path)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
