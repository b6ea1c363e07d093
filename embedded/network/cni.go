package network

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// WriteCNI writes the network configuration list that joins a group to the
// bridge. dir is read by containerd; leases holds one file for each address
// given out.
func WriteCNI(o Options, dir, leases string) error {
	for _, d := range []string{dir, leases} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("make network directory: %w", err)
		}
	}
	list, err := json.MarshalIndent(map[string]any{
		"cniVersion": "1.0.0",
		"name":       o.Bridge(),
		"plugins": []any{map[string]any{
			"type":      "bridge",
			"bridge":    o.Bridge(),
			"isGateway": false, // the daemon made the bridge and its address
			"ipMasq":    false, // and the firewall
			"ipam": map[string]any{
				"type":    "host-local",
				"dataDir": leases,
				"ranges":  []any{[]any{map[string]any{"subnet": o.Subnet.String(), "gateway": o.Gateway().String()}}},
				"routes":  []any{map[string]any{"dst": "0.0.0.0/0"}},
			},
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
