package resources

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"frankenetes.dev/embedded/identity"
	"frankenetes.dev/embedded/store"
)

// table is all the records of one type, by their ARM ids in any case: in the
// store, and in memory to be read. A value is never changed in place.
type table[T any] struct {
	store *store.Store
	kind  string

	mu   sync.RWMutex
	byID map[string]T // in lower case, as the store has them
}

// openTable reads the records of a type.
func openTable[T any](st *store.Store, kind string) (*table[T], error) {
	t := &table[T]{store: st, kind: kind, byID: map[string]T{}}
	err := st.Each(kind, "", func(id string, value []byte) error {
		var v T
		if err := json.Unmarshal(value, &v); err != nil {
			return fmt.Errorf("read %s %s: %w", kind, id, err)
		}
		t.byID[id] = v
		return nil
	})
	return t, err
}

func (t *table[T]) get(id string) (T, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v, ok := t.byID[strings.ToLower(id)]
	return v, ok
}

// put writes a record. Nobody reads what is not on disk.
func (t *table[T]) put(id string, v T) error {
	id = strings.ToLower(id)
	if err := t.store.Put(t.kind, id, v); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byID[id] = v
	return nil
}

// delete removes a record. To delete what is absent is no error.
func (t *table[T]) delete(id string) error {
	id = strings.ToLower(id)
	if err := t.store.Delete(t.kind, id); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byID, id)
	return nil
}

// within returns the records at and below a scope, an ARM id or empty for all,
// in the order of their ids.
func (t *table[T]) within(scope string) []T {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var ids []string
	for id := range t.byID {
		if scope == "" || identity.Within(id, scope) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	list := make([]T, len(ids))
	for i, id := range ids {
		list[i] = t.byID[id]
	}
	return list
}
