package etcd

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// content is a source of the same snapshot each time.
func content(text string) Source {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
}

func TestASnapshotHasItsNameOnceItIsWhole(t *testing.T) {
	share := t.TempDir()
	taken, err := content("the store").Save(bounded(t), share, "asked-")
	if err != nil || taken.Bytes != 9 || taken.SHA256 != fmt.Sprintf("%x", sha256.Sum256([]byte("the store"))) {
		t.Errorf("taken %+v, %v", taken, err)
	}
	if data, err := os.ReadFile(filepath.Join(share, taken.File)); err != nil || string(data) != "the store" {
		t.Errorf("it holds %q, %v", data, err)
	}
	broken := Source(func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("the st"), failing{})), nil
	})
	if _, err := broken.Save(bounded(t), share, ""); !errors.Is(err, errBroken) {
		t.Errorf("of a source that breaks off: %v", err)
	}
	if got := names(t, filepath.Join(share, SnapshotDir)); got != filepath.Base(taken.File) {
		t.Errorf("there is %s", got)
	}
}

var errBroken = errors.New("broken off")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBroken }

func TestOldSnapshotsOfTheScheduleGo(t *testing.T) {
	share := t.TempDir()
	dir := filepath.Join(share, SnapshotDir)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"20260101T000000Z.db", "20260102T000000Z.db", "20260103T000000Z.db", "asked-20250101T000000Z.db", "somebody's.db", unfinished + "1"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := Schedule{Share: share, Source: content("x"), Every: 10 * time.Millisecond, Keep: 2, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	ctx, end := context.WithCancel(bounded(t))
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx, Running{})
	}()
	awaitGone(t, filepath.Join(dir, "20260102T000000Z.db"))
	end()
	<-done
	left := strings.Fields(names(t, dir))
	if len(left) > 4 || !slices.Contains(left, "asked-20250101T000000Z.db") || slices.Contains(left, unfinished+"1") {
		t.Errorf("there is %v", left)
	}
}

func awaitGone(t *testing.T, path string) {
	t.Helper()
	for ctx := bounded(t); ; {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s does not go", path)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// etcdutlLike is a command that makes a store as etcdutl does, of the last
// argument, in the directory that --data-dir says, after a script.
func etcdutlLike(script string) []string {
	return []string{"/bin/sh", "-c", `for a; do case $a in --data-dir=*) dir=${a#--data-dir=};; esac; done; ` + script + `
		mkdir -p "$dir/member/wal" "$dir/member/snap" && touch "$dir/member/wal/0.wal" && cp "$a" "$dir/member/snap/db"`, "etcdutl"}
}

func TestANewClusterBeginsWithItsSnapshot(t *testing.T) {
	l := newLauncher(t, 1, "a")
	l.Initialized, l.Restore = true, etcdutlLike("exit 3")
	file := filepath.Join(l.Share, RestoreFile)
	if err := os.WriteFile(file, []byte("the store"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.claim(bounded(t)); err == nil {
		t.Error("a restore that fails: no error")
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("the snapshot of a restore that failed: %v", err)
	}
	// What one that was killed has left is no store.
	if err := os.MkdirAll(filepath.Join(l.Share, restoring, "member"), 0o700); err != nil {
		t.Fatal(err)
	}
	l.Restore = etcdutlLike("")
	dir, err := l.claim(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "member", "snap", "db")); err != nil || string(data) != "the store" {
		t.Errorf("the store is %q, %v", data, err)
	}
	if got := names(t, l.Share); got != "epoch-1.1.a" {
		t.Errorf("there is %s", got)
	}
	// Killed before it had removed the snapshot, it does not restore it again.
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.next(2, "b").claim(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if got := names(t, l.Share); got != "epoch-2.2.b" {
		t.Errorf("then there is %s", got)
	}
}
