package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"frankenetes.dev/embedded/store"
)

type record struct {
	Name  string
	Count int
}

func open(t *testing.T) (*store.Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cloud.db")
	s, err := store.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, path
}

func TestRecordsOutliveTheStore(t *testing.T) {
	s, path := open(t)
	want := record{"a", 3}
	if err := s.Put("things", "/a", want); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := store.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	var got record
	if err := again.Get("things", "/a", &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAbsentRecords(t *testing.T) {
	s, _ := open(t)
	var got record
	if err := s.Get("things", "/a", &got); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("of a kind without records: %v", err)
	}
	if err := s.Delete("things", "/a"); err != nil {
		t.Errorf("delete of a kind without records: %v", err)
	}
	if err := s.Put("things", "/b", record{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Get("things", "/a", &got); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("among others: %v", err)
	}
	if err := s.Delete("things", "/b"); err != nil {
		t.Fatal(err)
	}
	if err := s.Get("things", "/b", &got); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after its deletion: %v", err)
	}
}

func TestEachIsOrderedAndMayWrite(t *testing.T) {
	s, _ := open(t)
	for _, key := range []string{"/g2/b", "/g1/z", "/g1/a", "/g10/x"} {
		if err := s.Put("things", key, record{Name: key}); err != nil {
			t.Fatal(err)
		}
	}
	var keys []string
	err := s.Each("things", "/g1/", func(key string, _ []byte) error {
		keys = append(keys, key)
		return s.Delete("things", key)
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/g1/a", "/g1/z"}, keys); diff != "" {
		t.Error(diff)
	}
	stop := errors.New("stop")
	if err := s.Each("things", "", func(string, []byte) error { return stop }); err != stop {
		t.Errorf("an error of the function came back as %v", err)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	_, path := open(t)
	if _, err := store.Open(path); !errors.Is(err, store.ErrLocked) {
		t.Errorf("second open: %v", err)
	}
}

func TestOnlyTheOwnerCanRead(t *testing.T) {
	_, path := open(t)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("mode is %o", mode)
	}
}

func TestWhatIsNoStoreIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cloud.db")
	if err := os.WriteFile(path, make([]byte, 64<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := store.Open(path); err == nil {
		s.Close()
		t.Error("a file of zeros was opened")
	}
}

// TestDeletingWhatIsAbsentWritesNothing: on a full disk that is all there is to
// clean up after a record that could not be written.
func TestDeletingWhatIsAbsentWritesNothing(t *testing.T) {
	s, path := open(t)
	if err := s.Put("things", "/a", record{"a", 3}); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Delete("things", "/b"); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Error("the file has changed")
	}
}
