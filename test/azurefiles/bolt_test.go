package azurefiles

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// The test itself must map no file of a mount that it serves, and bbolt does.
// So the test binary is also a program that uses bbolt.
const (
	boltFile = "AZUREFILES_TEST_BOLT_FILE"
	boltMode = "AZUREFILES_TEST_BOLT_MODE" // write, nosync or check
)

func TestMain(m *testing.M) {
	if file := os.Getenv(boltFile); file != "" {
		if err := useBolt(file, os.Getenv(boltMode)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if dir := os.Getenv(probeDir); dir != "" {
		fmt.Println(strings.Join(probe(dir), "\n"))
		return
	}
	os.Exit(m.Run())
}

// useBolt writes one key after the other until that fails, and prints each that
// it was told is there; or it checks a file and prints how many keys it has.
func useBolt(file, mode string) error {
	db, err := bbolt.Open(file, 0o600, &bbolt.Options{
		NoSync: mode == "nosync", InitialMmapSize: 1 << 30, MmapFlags: unix.MAP_POPULATE, // as etcd does
	})
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer db.Close()
	if mode == "check" {
		return checkBolt(db)
	}
	for i := uint64(1); ; i++ {
		if err := db.Update(func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte("keys"))
			if err != nil {
				return err
			}
			return bucket.Put(binary.BigEndian.AppendUint64(nil, i), make([]byte, 500))
		}); err != nil {
			return fmt.Errorf("put %d: %w", i, err)
		}
		if n, err := countBolt(db); err != nil || n != i { // what was just written is read through the map
			return fmt.Errorf("%d keys after %d were put: %v", n, i, err)
		}
		fmt.Println(i)
	}
}

func countBolt(db *bbolt.DB) (last uint64, err error) {
	err = db.View(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket([]byte("keys"))
		if bucket == nil {
			return nil
		}
		return bucket.ForEach(func(k, _ []byte) error {
			if key := binary.BigEndian.Uint64(k); key != last+1 {
				return fmt.Errorf("key %d follows %d", key, last)
			}
			last++
			return nil
		})
	})
	return last, err
}

func checkBolt(db *bbolt.DB) error {
	var broken []error
	if err := db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			broken = append(broken, err)
		}
		return nil
	}); err != nil || len(broken) > 0 {
		return errors.Join(append(broken, err)...)
	}
	n, err := countBolt(db)
	fmt.Println(n)
	return err
}

// bolt starts the program. What it prints can be read.
func (s *scene) bolt(file, mode string) (*exec.Cmd, io.Reader) {
	s.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), boltFile+"="+file, boltMode+"="+mode)
	out, err := cmd.StdoutPipe()
	s.must(err)
	cmd.Stderr = &bytes.Buffer{} // much, when its map has gone
	s.must(cmd.Start())
	return cmd, out
}

// writeBolt has keys written until a client is killed, at a random moment, and
// returns the last that was told to be there.
func (s *scene) writeBolt(random *rand.Rand, mode string) uint64 {
	s.t.Helper()
	c, at := s.mount(MountOptions{Client: mode})
	cmd, out := s.bolt(filepath.Join(at, "db"), mode)
	after, last := 1+random.Uint64N(60), uint64(0)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		n, err := strconv.ParseUint(lines.Text(), 10, 64)
		s.must(err)
		if last = n; n == after {
			s.must(c.Kill())
		}
	}
	if err := cmd.Wait(); err == nil {
		s.t.Error("it went on without a disk")
	}
	if last < after {
		s.t.Fatalf("%d keys were written, then it ended:\n%s", last, cmd.Stderr)
	}
	return last
}

// keptBolt returns how many keys there are for a new client.
func (s *scene) keptBolt() uint64 {
	s.t.Helper()
	c, at := s.mount(MountOptions{Client: "check"})
	cmd, out := s.bolt(filepath.Join(at, "db"), "check")
	data, err := io.ReadAll(out)
	if err := errors.Join(err, cmd.Wait()); err != nil {
		s.t.Fatalf("check: %v\n%s", err, cmd.Stderr)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
	s.must(errors.Join(err, c.Unmount()))
	return n
}

// TestBolt: bbolt, which writes to a file and reads through a map of it, works
// on a share, and loses nothing that it said was there.
func TestBolt(t *testing.T) {
	random := seeded(t)
	for range 3 {
		s := newScene(t, Options{})
		told := s.writeBolt(random, "write")
		if kept := s.keptBolt(); kept < told || kept > told+1 {
			t.Errorf("%d keys were told to be there, %d are", told, kept)
		}
	}
}

// TestBoltNoSync is the control: without syncs keys are lost.
func TestBoltNoSync(t *testing.T) {
	s := newScene(t, Options{})
	told := s.writeBolt(seeded(t), "nosync")
	if kept := s.keptBolt(); kept >= told {
		t.Errorf("nothing is lost without syncs: %d keys were told to be there, %d are", told, kept)
	}
}
