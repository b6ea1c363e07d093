package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"frankenetes.dev/embedded/store"
)

// filled is the content of a store with so many records.
func filled(t *testing.T, records int) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cloud.db")
	s, err := store.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range records {
		if err := s.Put("things", fmt.Sprintf("/thing/%04d", n), record{strings.Repeat("x", 400), n}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestADamagedStoreIsRefusedAndLeftAlone opens stores that were cut short or
// overwritten in places. What is opened all the same must be whole.
func TestADamagedStoreIsRefusedAndLeftAlone(t *testing.T) {
	const records = 60
	whole := filled(t, records)
	damaged := map[string][]byte{"empty": {}, "text": []byte(strings.Repeat("not a database\n", 5000))}
	for page := 1; page*4096 < len(whole); page++ {
		damaged[fmt.Sprintf("cut after page %d", page)] = whole[:page*4096]
		zeroed := bytes.Clone(whole)
		clear(zeroed[page*4096:][:4096])
		damaged[fmt.Sprintf("page %d zeroed", page)] = zeroed
	}
	refused := 0
	for name, data := range damaged {
		path := filepath.Join(t.TempDir(), "cloud.db")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(path)
		if err == nil { // the damage is where nothing is
			count := 0
			eachErr := s.Each("things", "", func(string, []byte) error { count++; return nil })
			if eachErr != nil || count < records-1 { // the last commit may be what is damaged
				t.Errorf("%s: opened with %d records: %v", name, count, eachErr)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			continue
		}
		refused++
		if !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, data) {
			t.Errorf("%s: the file was changed, %v", name, err)
		}
	}
	if refused < len(damaged)/3 {
		t.Errorf("%d of %d were refused", refused, len(damaged))
	}
}
