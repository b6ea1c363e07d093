package backup

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
)

const passphrase = "correct horse battery staple"

// written is a backup with a store of some size.
func written(t *testing.T, size int) (file, store []byte) {
	t.Helper()
	store = make([]byte, size)
	if _, err := rand.Read(store); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(store)
	m := Manifest{Cluster: "demo", Kubernetes: "v1.2.3", Taken: time.Unix(1, 0).UTC(), SHA256: hex.EncodeToString(sum[:]), Bytes: int64(size)}
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	recipient.SetWorkFactor(10) // a real one takes a second, each time it is read
	var b bytes.Buffer
	if err := write(&b, recipient, m, []byte("the record"), bytes.NewReader(store)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), store
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	file, store := written(t, 300_000)
	if bytes.Contains(file, []byte("the record")) {
		t.Error("the record is there in clear")
	}
	var got bytes.Buffer
	m, record, err := Read(bytes.NewReader(file), passphrase, &got)
	if err != nil || string(record) != "the record" || m.Cluster != "demo" || !bytes.Equal(got.Bytes(), store) {
		t.Errorf("got %+v, %q, %d bytes, %v", m, record, got.Len(), err)
	}
}

func TestWhatIsNoGoodBackupSaysWhy(t *testing.T) {
	file, _ := written(t, 200_000)
	changed := func(at int) []byte {
		b := bytes.Clone(file)
		b[at] ^= 1
		return b
	}
	for name, c := range map[string]struct {
		file       []byte
		passphrase string
		want       error
	}{
		"another passphrase": {file, "another", ErrPassphrase},
		"nothing":            {nil, passphrase, ErrForeign},
		"something else":     {[]byte(strings.Repeat("PK\x03\x04", 100)), passphrase, ErrForeign},
		"a newer one":        {bytes.Replace(file, []byte("backup 1\n"), []byte("backup 2\n"), 1), passphrase, ErrNewer},
		"no version":         {[]byte(magic + "x\n"), passphrase, ErrDamaged},
		"only a line":        {[]byte(magic + "1\n"), passphrase, ErrDamaged},
		// Nobody can tell whether the passphrase or the header is wrong.
		"its header changed": {changed(bytes.Index(file, []byte("scrypt")) + 8), passphrase, ErrPassphrase},
		"changed":            {changed(len(file) / 2), passphrase, ErrDamaged},
		"its end changed":    {changed(len(file) - 1), passphrase, ErrDamaged},
		"cut off":            {file[:len(file)/2], passphrase, ErrDamaged},
		"a byte cut off":     {file[:len(file)-1], passphrase, ErrDamaged},
		"with more after it": {append(bytes.Clone(file), 'x'), passphrase, ErrDamaged},
	} {
		var store bytes.Buffer
		if _, _, err := Read(bytes.NewReader(c.file), c.passphrase, &store); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestASnapshotThatIsNotWhatItShouldBeIsNotWritten(t *testing.T) {
	var b bytes.Buffer
	m := Manifest{SHA256: strings.Repeat("0", 64), Bytes: 3}
	if err := Write(&b, passphrase, m, nil, strings.NewReader("abc")); err == nil || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("another sum: %v", err)
	}
	m.Bytes = 4
	if err := Write(&b, passphrase, m, nil, strings.NewReader("abc")); err == nil {
		t.Error("too short: no error")
	}
}
