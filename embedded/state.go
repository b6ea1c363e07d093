package embedded

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// removeState removes the runtime directory. What is mounted in it is of the
// groups' that are gone: their secrets, and what a containerd left that was
// killed. It is unmounted before, all of it: whatever is behind a mount stays.
func removeState(dir string) error {
	places, err := mountsBelow(dir)
	if err != nil {
		return fmt.Errorf("list what is mounted in %s: %w", dir, err)
	}
	for _, place := range slices.Backward(places) { // the latest first
		if err := unix.Unmount(place, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("unmount %s: %w", place, err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove runtime directory: %w", err)
	}
	return nil
}

// mountsBelow returns where something is mounted in a directory, in the order
// in which it was.
func mountsBelow(dir string) ([]string, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var places []string
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			places = append(places, unescape.Replace(fields[4]))
		}
	}
	return places, nil
}

// unescape undoes what the kernel does to the paths in its table.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
