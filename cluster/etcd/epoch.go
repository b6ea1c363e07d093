package etcd

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// Generation says which start of a cluster's etcd a container group is. The
// cluster counts its starts; a group that is older than the one that had the
// store last must not have it again.
type Generation struct {
	// Number grows with each start.
	Number int
	// Nonce tells apart two starts that got the same number, since two programs
	// started the cluster at the same moment. A container that is restarted in
	// its group keeps both.
	Nonce string
}

// epoch is the time for which one launcher has the store. It is written into
// the name of etcd's data directory, so that one rename takes the store away
// from whoever had it and says who has it now.
type epoch struct {
	number int
	owner  Generation
}

// epochName is how an epoch's directory is called on the share.
var epochName = regexp.MustCompile(`^epoch-(\d+)\.(\d+)\.([0-9a-z]+)$`)

func (e epoch) String() string {
	return fmt.Sprintf("epoch-%d.%d.%s", e.number, e.owner.Number, e.owner.Nonce)
}

func parseEpoch(name string) (e epoch, ok bool) {
	m := epochName.FindStringSubmatch(name)
	if m == nil {
		return e, false
	}
	var errs [2]error
	e.number, errs[0] = strconv.Atoi(m[1])
	e.owner.Number, errs[1] = strconv.Atoi(m[2])
	e.owner.Nonce = m[3]
	return e, errs[0] == nil && errs[1] == nil
}

// epochs are those on the share, the oldest first. There is one, or none
// before the first start.
func epochs(share string) ([]epoch, error) {
	entries, err := os.ReadDir(share)
	if err != nil {
		return nil, fmt.Errorf("look for etcd's data: %w", err)
	}
	var all []epoch
	for _, entry := range entries {
		if e, ok := parseEpoch(entry.Name()); ok && entry.IsDir() {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b epoch) int { return cmp.Compare(a.number, b.number) })
	return all, nil
}

// hasStore reports whether etcd has ever made its store in a directory.
func hasStore(dir string) (bool, error) {
	segments, err := filepath.Glob(filepath.Join(dir, "member", "wal", "*.wal"))
	if err != nil || len(segments) == 0 {
		return false, err
	}
	_, err = os.Stat(filepath.Join(dir, "member", "snap", "db"))
	if os.IsNotExist(err) {
		return false, nil
	}
	return err == nil, err
}
