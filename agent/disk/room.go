package disk

import (
	"fmt"

	"frankenetes.dev/agent/protocol"
	"golang.org/x/sys/unix"
)

// Room asks the kernel how much the file system of a directory can hold.
func Room(dir string) (protocol.Room, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return protocol.Room{}, fmt.Errorf("read file system of %s: %w", dir, err)
	}
	block := uint64(s.Bsize)
	return protocol.Room{Bytes: s.Blocks * block, BytesFree: s.Bavail * block, Inodes: s.Files, InodesFree: s.Ffree}, nil
}
