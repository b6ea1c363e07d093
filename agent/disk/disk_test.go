package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"frankenetes.dev/agent/protocol"
	"golang.org/x/sys/unix"
)

// write makes a file of a size.
func write(t *testing.T, path string, size int) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, make([]byte, size), 0o644); err != nil {
		t.Fatal(err)
	}
}

func measure(t *testing.T, dir string, since time.Time) protocol.Disk {
	t.Helper()
	d, err := Tree(t.Context(), dir, since)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestATreeTakesWhatItsFilesTake(t *testing.T) {
	dir := t.TempDir()
	empty := measure(t, dir, time.Time{})
	if empty.Inodes != 1 || empty.Bytes > 1<<16 || empty.Time.IsZero() {
		t.Errorf("an empty directory takes %+v", empty)
	}
	write(t, dir+"/a", 1<<20)
	write(t, dir+"/deep/er/b", 1<<20)
	for range 3 * batch {
		f, err := os.CreateTemp(dir, "many")
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	// Neither what a link leads to nor a second name takes anything more.
	write(t, dir+"/sparse", 0)
	if err := errors.Join(os.Symlink("/", dir+"/link"), os.Link(dir+"/a", dir+"/deep/a"), os.Truncate(dir+"/sparse", 1<<30)); err != nil {
		t.Fatal(err)
	}
	full := measure(t, dir, time.Time{})
	if got := full.Bytes - empty.Bytes; got < 2<<20 || got > 2<<20+1<<18 {
		t.Errorf("two files of 1 MiB take %d bytes", got)
	}
	if want := uint64(1 + 2 + 2 + 3*batch + 2); full.Inodes != want {
		t.Errorf("there are %d inodes, want %d", full.Inodes, want)
	}
}

func TestWhatWasThereBeforeDoesNotCount(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/image/old", 1<<20)
	write(t, dir+"/image/changed", 1<<20)
	// The kernel's clock for files is coarser than ours.
	time.Sleep(20 * time.Millisecond)
	since := time.Now()
	time.Sleep(20 * time.Millisecond)
	if d := measure(t, dir, since); d.Bytes != 0 || d.Inodes != 0 {
		t.Errorf("without a change it is %+v", d)
	}
	write(t, dir+"/image/changed", 2<<20)
	write(t, dir+"/image/new", 1<<20)
	past := since.Add(-time.Hour)
	if err := os.Chtimes(dir+"/image/new", past, past); err != nil {
		t.Fatal(err)
	}
	if d := measure(t, dir, since); d.Bytes < 3<<20 || d.Bytes > 3<<20+1<<16 || d.Inodes < 2 {
		t.Errorf("with 3 MiB written it is %+v", d)
	}
}

func TestWhatIsMountedInATreeIsNotOfIt(t *testing.T) {
	var w walk
	var err error
	if w.top, err = stat(unix.AT_FDCWD, "/"); err != nil {
		t.Fatal(err)
	}
	s, err := stat(unix.AT_FDCWD, "/proc")
	if err != nil || !w.isElsewhere(s) {
		t.Errorf("/proc is of the root file system: %v", err)
	}
}

func TestAMeasurementCanBeEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Tree(ctx, t.TempDir(), time.Time{}); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if _, err := Tree(t.Context(), "/no/such/directory", time.Time{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what is not there is measured: %v", err)
	}
}

// slow is something that takes a time to be measured, and is more each time.
func slow(takes time.Duration, count *atomic.Int64) func(context.Context) (protocol.Disk, error) {
	return func(ctx context.Context) (protocol.Disk, error) {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return protocol.Disk{}, ctx.Err()
		}
		return protocol.Disk{Bytes: uint64(count.Add(1))}, nil
	}
}

func TestAskingOftenCostsLittle(t *testing.T) {
	for name, test := range map[string]struct {
		takes, age time.Duration
		// least and most are the looks in an hour.
		least, most int64
	}{
		"quick": {time.Millisecond, 10 * time.Second, 300, 360}, "quick and seldom": {time.Millisecond, time.Minute, 55, 60},
		"slow": {10 * time.Second, 10 * time.Second, 16, 18}, "very slow": {5 * time.Minute, time.Second, 1, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			var count atomic.Int64
			g := NewGauge(slow(test.takes, &count))
			defer g.Close()
			for start := time.Now(); time.Since(start) < time.Hour; time.Sleep(time.Second) {
				asked := time.Now()
				_, _ = g.Read(t.Context(), test.age)
				if waited := time.Since(asked); waited > patience {
					t.Fatalf("%s: an answer took %s", name, waited)
				}
			}
			if n := count.Load(); n < test.least || n > test.most {
				t.Errorf("%s: there were %d looks in an hour, want %d to %d", name, n, test.least, test.most)
			}
		})
	}
}

func TestAGaugeSaysWhatItKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var count atomic.Int64
		g := NewGauge(slow(3*time.Second, &count))
		if _, err := g.Read(t.Context(), time.Second); !errors.Is(err, ErrUnknown) {
			t.Errorf("before the end of the first look: %v", err)
		}
		time.Sleep(3 * time.Second)
		if d, err := g.Read(t.Context(), time.Second); err != nil || d.Bytes != 1 {
			t.Errorf("after it: %+v, %v", d, err)
		}
		time.Sleep(time.Hour)
		if d, err := g.Read(t.Context(), time.Second); err != nil || d.Bytes != 1 {
			t.Errorf("while the second is taken: %+v, %v", d, err)
		}
		began := time.Now()
		g.Close()
		if time.Since(began) > 0 {
			t.Error("closing waits for the look")
		}
		if _, err := g.Read(t.Context(), 0); !errors.Is(err, context.Canceled) {
			t.Errorf("after it was closed: %v", err)
		}
	})
}
