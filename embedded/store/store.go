// Package store keeps the records of the embedded cloud in one file. It exists
// so that a cloud outlives its daemon: every resource is written, and on disk,
// before a client is told that it exists.
//
// A record is a JSON value under a kind and a key. Keys of resources are their
// ARM ids in lower case, so that the records of a resource group are one run
// of keys.
package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

var (
	// ErrNotFound is returned by Get when there is no such record.
	ErrNotFound = errors.New("no such record")
	// ErrLocked is returned by Open when another process has the file open.
	ErrLocked = errors.New("in use by another process")
	// ErrDamaged is returned by Open for a file that is no store, or no whole
	// one. It is left as it is.
	ErrDamaged = errors.New("the database is damaged")
)

// lockWait is how long Open waits for a process that is just ending.
const lockWait = 250 * time.Millisecond

// Store is the open file. It is safe for concurrent use.
type Store struct {
	db *bbolt.DB
}

// Open opens the file, making it, readable by its owner only, where there is
// none. It returns ErrLocked when another process holds it, and ErrDamaged
// when it cannot be trusted.
func Open(path string) (*Store, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		err = create(path)
	case err == nil && info.Size() == 0: // which the database would take for a new one
		err = fmt.Errorf("%w: it is empty", ErrDamaged)
	}
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	db, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	return &Store{db: db}, nil
}

// create makes an empty store. The file has its name only once it is whole, so
// that a start that is cut short leaves no half of one.
func create(path string) error {
	half := path + ".new"
	if err := os.Remove(half); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, err := bbolt.Open(half, 0o600, nil)
	if err != nil {
		return err
	}
	if err := errors.Join(db.Close(), os.Rename(half, path)); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close()) // the name is on disk too
}

// open opens the database and reads all of it once, so that what is wrong with
// it is known before anything is built on it. The database itself trusts its
// file and would end the process.
func open(path string) (db *bbolt.DB, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // of reads beyond the end of a mapped file
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, r)
			if db != nil {
				err = errors.Join(err, db.Close())
				db = nil
			}
		}
	}()
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType})
	var system syscall.Errno
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, ErrLocked
	case errors.As(err, &system):
		return nil, err
	case err != nil: // it does not like what it reads
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err := check(db, path); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrDamaged, err), db.Close())
	}
	return db, nil
}

// check compares the file's length with what its records need and reads all of
// them. The database's own check would do so in a goroutine of its own, where
// nobody can catch what it panics with.
func check(db *bbolt.DB, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return db.View(func(tx *bbolt.Tx) error {
		if info.Size() < tx.Size() {
			return fmt.Errorf("it has %d bytes of %d", info.Size(), tx.Size())
		}
		return tx.ForEach(func(kind []byte, bucket *bbolt.Bucket) error {
			return bucket.ForEach(func(key, value []byte) error {
				if !json.Valid(value) {
					return fmt.Errorf("%s %s is no record", kind, key)
				}
				return nil
			})
		})
	})
}

// Close waits for running transactions and lets go of the file.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// Put writes v as the record of that kind and key. It is on disk when Put returns.
func (s *Store) Put(kind, key string, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s %s: %w", kind, key, err)
	}
	err = s.db.Update(func(tx *bbolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists([]byte(kind))
		if err != nil {
			return err
		}
		return bucket.Put([]byte(key), value)
	})
	if err != nil {
		return fmt.Errorf("store %s %s: %w", kind, key, err)
	}
	return nil
}

// Get reads a record into v, or returns ErrNotFound.
func (s *Store) Get(kind, key string, v any) error {
	err := s.db.View(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket([]byte(kind))
		if bucket == nil {
			return ErrNotFound
		}
		value := bucket.Get([]byte(key))
		if value == nil {
			return ErrNotFound
		}
		return json.Unmarshal(value, v)
	})
	if err != nil {
		return fmt.Errorf("read %s %s: %w", kind, key, err)
	}
	return nil
}

// Delete removes a record. To delete what is absent is no error, and writes
// nothing: it can be done on a full disk.
func (s *Store) Delete(kind, key string) error {
	if absent := s.Get(kind, key, &json.RawMessage{}); errors.Is(absent, ErrNotFound) {
		return nil
	}
	err := s.db.Update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket([]byte(kind))
		if bucket == nil {
			return nil
		}
		return bucket.Delete([]byte(key))
	})
	if err != nil {
		return fmt.Errorf("delete %s %s: %w", kind, key, err)
	}
	return nil
}

// Each calls fn for every record of a kind whose key starts with prefix, in
// the order of their keys, as they were at one moment. fn may use the store.
// An error of fn ends the walk and is returned as it is.
func (s *Store) Each(kind, prefix string, fn func(key string, value []byte) error) error {
	type record struct {
		key   string
		value []byte
	}
	var records []record
	// Copied first: a write inside a bbolt read transaction can deadlock.
	err := s.db.View(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket([]byte(kind))
		if bucket == nil {
			return nil
		}
		cursor := bucket.Cursor()
		for k, v := cursor.Seek([]byte(prefix)); k != nil && bytes.HasPrefix(k, []byte(prefix)); k, v = cursor.Next() {
			records = append(records, record{string(k), bytes.Clone(v)})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list %s %s: %w", kind, prefix, err)
	}
	for _, r := range records {
		if err := fn(r.key, r.value); err != nil {
			return err
		}
	}
	return nil
}
