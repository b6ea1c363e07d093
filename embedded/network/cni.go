package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"frankenetes.dev/embedded/network/attach"
)

// WriteCNI writes, into the directory that containerd reads, the network
// configuration that joins a group to the network. What differs from group to
// group comes with its sandbox. plugins is the directory of the programs.
func WriteCNI(id, dir, plugins string) error {
	program := filepath.Join(plugins, attach.Plugin)
	if _, err := os.Stat(program); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the program %s is missing: `make build` makes it, or `go build -o %s ./cmd/join`", program, program)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make network directory: %w", err)
	}
	list, err := json.MarshalIndent(map[string]any{
		"cniVersion": "1.0.0",
		"name":       prefix(id),
		"plugins": []any{map[string]any{
			"type":         attach.Plugin,
			"capabilities": map[string]bool{attach.Capability: true},
		}},
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode network configuration: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "10-frankenetes.conflist"), append(list, '\n'), 0o600); err != nil {
		return fmt.Errorf("write network configuration: %w", err)
	}
	return nil
}
