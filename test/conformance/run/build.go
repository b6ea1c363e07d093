package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// build is what the tests are run on.
type build struct {
	version, kubernetes string
	// digest is that of the programs: a build of changed sources has the same
	// version as another one.
	digest string
	nodes  int
}

// programs are those that make a difference to the tests.
func programs() []string {
	return []string{"frankenetes", "hyperkube", "agent", "await", "containerd", "containerd-shim-runc-v2", "runc", "cni/frankenetes"}
}

// identify tells which build is in bin.
func identify(ctx context.Context, bin string, nodes int) (build, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(bin, "frankenetes"), "version", "-o", "json").Output()
	if err != nil {
		return build{}, fmt.Errorf("ask frankenetes for its version: %w", err)
	}
	var said struct{ Frankenetes, Kubernetes string }
	if err := json.Unmarshal(out, &said); err != nil {
		return build{}, fmt.Errorf("read frankenetes' version: %w", err)
	}
	sum := sha256.New()
	for _, program := range programs() {
		if err := add(sum, filepath.Join(bin, program)); err != nil {
			return build{}, fmt.Errorf("identify the build: %w", err)
		}
	}
	return build{said.Frankenetes, said.Kubernetes, hex.EncodeToString(sum.Sum(nil)[:4]), nodes}, nil
}

func add(sum io.Writer, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(sum, file)
	return err
}

// key is the name under which results of the build are kept.
func (b build) key() string { return fmt.Sprintf("%s-%s-%d", b.version, b.digest, b.nodes) }
