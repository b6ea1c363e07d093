package isolation

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
)

const (
	// FirstID is the first user or group id on the host that belongs to
	// groups. What people and most of their tools use (system accounts, LDAP,
	// /etc/subuid) is below it; systemd-nspawn takes ids from both sides, at
	// random, and asks first whether they are in use.
	FirstID = 1 << 30
	// RangeSize is how many ids a group has, from 0 on as it sees them.
	RangeSize = 1 << 16
	// ranges is how many groups can have some; the last ids are left out, as
	// -1 is no id and -2 is nobody on some systems.
	ranges = (1<<32-FirstID)/RangeSize - 1
)

// ErrNoIDs is returned by Take when every range is taken.
var ErrNoIDs = errors.New("no range of user ids is free")

// IDs gives every group a range of user and group ids of its own, so that no
// group's processes and files belong to the user of another group or of the
// host. It is safe for concurrent use.
type IDs struct {
	mu    sync.Mutex
	next  uint32
	taken map[uint32]string // the owner of a range, by its number
	of    map[string]uint32 // the number of an owner's range
}

// NewIDs returns ranges of which none is taken. They start somewhere else for
// every cloud, so that two clouds on one host hardly ever meet.
func NewIDs(cloud string) *IDs {
	sum := sha256.Sum256([]byte(cloud))
	return &IDs{next: binary.BigEndian.Uint32(sum[:4]) % ranges, taken: map[uint32]string{}, of: map[string]uint32{}}
}

// Take returns the first id of the owner's range, which is the same until it
// is released. A range that was just released is the last to be given again.
func (s *IDs) Take(owner string) (uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if number, ok := s.of[owner]; ok {
		return first(number), nil
	}
	for range ranges {
		number := s.next
		s.next = (s.next + 1) % ranges
		if _, ok := s.taken[number]; !ok {
			s.taken[number], s.of[owner] = owner, number
			return first(number), nil
		}
	}
	return 0, ErrNoIDs
}

// Keep notes that the owner has the range that begins with an id, from an
// earlier daemon.
func (s *IDs) Keep(owner string, id uint32) error {
	number := (id - FirstID) / RangeSize
	if id < FirstID || number >= ranges || first(number) != id {
		return fmt.Errorf("user id %d begins no range", id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other, ok := s.taken[number]; ok && other != owner {
		return fmt.Errorf("range of user id %d is another's", id)
	}
	s.taken[number], s.of[owner] = owner, number
	return nil
}

// Release gives an owner's range back; one who has none is no error.
func (s *IDs) Release(owner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if number, ok := s.of[owner]; ok {
		delete(s.taken, number)
		delete(s.of, owner)
	}
}

func first(number uint32) uint32 { return FirstID + number*RangeSize }
