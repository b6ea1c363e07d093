// Package backup is the form of a backup: one file, encrypted with a passphrase,
// that has all that a cluster is made of. It exists so that a cluster can be
// carried to another cloud, or brought back after everything else was lost.
//
// A line says what it is and of which version. The rest is encrypted by age:
// a compressed tar of the manifest, the cluster's record, and a snapshot of
// etcd. What was cut off or changed anywhere does not decrypt.
package backup

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"filippo.io/age"
)

// Version is that of the form that is written. Older ones are read.
const Version = 1

// magic begins the first line, before the version.
const magic = "frankenetes backup "

// The names of the parts, in their order.
const (
	manifestFile = "manifest.json"
	recordFile   = "cluster.json"
	storeFile    = "etcd.db"
)

var (
	// ErrForeign says that a file is no backup.
	ErrForeign = errors.New("this is not a backup of frankenetes")
	// ErrNewer says that a backup was written by a newer version.
	ErrNewer = errors.New("this backup was written by a newer version")
	// ErrPassphrase says that the passphrase is not the one it was written with.
	ErrPassphrase = errors.New("the passphrase is wrong")
	// ErrDamaged says that a backup was cut off or changed.
	ErrDamaged = errors.New("this backup is damaged")
)

// Manifest says what a backup is of.
type Manifest struct {
	Cluster    string    `json:"cluster"`
	Kubernetes string    `json:"kubernetes"`
	Taken      time.Time `json:"taken"`
	// SHA256 and Bytes are those of etcd's snapshot.
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// Write writes a backup. The store is a snapshot of etcd with the manifest's
// length and sum; what has another is an error.
func Write(w io.Writer, passphrase string, m Manifest, record []byte, store io.Reader) error {
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return fmt.Errorf("take passphrase: %w", err)
	}
	return write(w, recipient, m, record, store)
}

func write(w io.Writer, to age.Recipient, m Manifest, record []byte, store io.Reader) error {
	if _, err := fmt.Fprintf(w, "%s%d\n", magic, Version); err != nil {
		return err
	}
	sealed, err := age.Encrypt(w, to)
	if err != nil {
		return fmt.Errorf("encrypt backup: %w", err)
	}
	compressed := gzip.NewWriter(sealed)
	archive := tar.NewWriter(compressed)
	manifest, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	sum := sha256.New()
	err = errors.Join(
		add(archive, manifestFile, int64(len(manifest)), strings.NewReader(string(manifest))),
		add(archive, recordFile, int64(len(record)), strings.NewReader(string(record))),
		add(archive, storeFile, m.Bytes, io.TeeReader(store, sum)))
	if err == nil && hex.EncodeToString(sum.Sum(nil)) != m.SHA256 {
		err = fmt.Errorf("the snapshot is not what etcd has written: its SHA-256 is %x, not %s", sum.Sum(nil), m.SHA256)
	}
	return errors.Join(err, archive.Close(), compressed.Close(), sealed.Close())
}

func add(archive *tar.Writer, name string, size int64, content io.Reader) error {
	if err := archive.WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o600}); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if _, err := io.Copy(archive, content); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// Read reads a backup to its end, and writes the store as it comes: what was
// written is good only if there is no error.
func Read(r io.Reader, passphrase string, store io.Writer) (m Manifest, record []byte, err error) {
	in := bufio.NewReader(r)
	if err := readVersion(in); err != nil {
		return m, nil, err
	}
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return m, nil, fmt.Errorf("take passphrase: %w", err)
	}
	opened, err := age.Decrypt(in, identity)
	if wrong := (*age.NoIdentityMatchError)(nil); errors.As(err, &wrong) {
		return m, nil, ErrPassphrase
	}
	if err != nil {
		return m, nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	m, record, err = unpack(opened, store)
	if err != nil {
		return m, nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return m, record, nil
}

// readVersion reads the first line.
func readVersion(in *bufio.Reader) error {
	start, err := in.Peek(len(magic))
	if err != nil || string(start) != magic {
		return ErrForeign
	}
	line, err := in.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("%w: its first line has no end", ErrDamaged)
	}
	version, err := strconv.Atoi(strings.TrimSpace(string(line[len(magic):])))
	if err != nil || version < 1 {
		return fmt.Errorf("%w: its version is %q", ErrDamaged, line[len(magic):])
	}
	if version > Version {
		return fmt.Errorf("%w: of its form %d, this program knows %d", ErrNewer, version, Version)
	}
	return nil
}

// atMost bounds what is read of the two small parts, in bytes.
const atMost = 16 << 20

// unpack reads the parts, and all that follows them, so that the whole file has
// been decrypted.
func unpack(in io.Reader, store io.Writer) (m Manifest, record []byte, err error) {
	compressed, err := gzip.NewReader(in)
	if err != nil {
		return m, nil, err
	}
	archive := tar.NewReader(compressed)
	manifest, err := part(archive, manifestFile)
	if err != nil {
		return m, nil, err
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		return m, nil, fmt.Errorf("read manifest: %w", err)
	}
	if record, err = part(archive, recordFile); err != nil {
		return m, nil, err
	}
	if err := next(archive, storeFile); err != nil {
		return m, nil, err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(store, sum), archive)
	if err != nil {
		return m, nil, err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); n != m.Bytes || got != m.SHA256 {
		return m, nil, fmt.Errorf("etcd's snapshot has %d bytes and SHA-256 %s, not %d and %s", n, got, m.Bytes, m.SHA256)
	}
	if _, err := archive.Next(); !errors.Is(err, io.EOF) {
		return m, nil, errors.Join(errors.New("it has more parts than it should"), err)
	}
	_, err = io.Copy(io.Discard, compressed)
	return m, record, err
}

func part(archive *tar.Reader, name string) ([]byte, error) {
	if err := next(archive, name); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(archive, atMost))
}

func next(archive *tar.Reader, name string) error {
	header, err := archive.Next()
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	if header.Name != name {
		return fmt.Errorf("find %s: there is %s", name, header.Name)
	}
	return nil
}
