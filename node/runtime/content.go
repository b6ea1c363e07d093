package runtime

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"frankenetes.dev/agent/protocol"
)

// read returns what the directory is like. The kubelet may replace the content
// at any time: then it is read again.
func (v *volume) read() (protocol.Volume, error) {
	info, err := os.Stat(v.host)
	if err != nil {
		return protocol.Volume{}, err
	}
	out := protocol.Volume{Mode: unixMode(info), Atomic: v.content, Shared: v.sandbox.shared, Memory: v.memory}
	if gid := owner(info).Gid; gid != 0 {
		group := int64(gid)
		out.GID = &group
	}
	for v.content {
		current, err := filepath.EvalSymlinks(filepath.Join(v.host, dataLink))
		if err != nil {
			return out, err
		}
		out.Files, err = readTree(current)
		if !errors.Is(err, fs.ErrNotExist) {
			return out, err
		}
		if now, _ := filepath.EvalSymlinks(filepath.Join(v.host, dataLink)); now == current {
			return out, err
		}
	}
	return out, nil
}

// readTree returns the files below dir, in order of their paths.
func readTree(dir string) ([]protocol.File, error) {
	var files []protocol.File
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		below, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		who := owner(info)
		files = append(files, protocol.File{Path: below, Data: data, Mode: unixMode(info), UID: int64(who.Uid), GID: int64(who.Gid)})
		return nil
	})
	return files, err
}

// unixMode returns permissions with the set-user, set-group and sticky bits
// where chmod(2) has them.
func unixMode(info fs.FileInfo) uint32 { return owner(info).Mode & 0o7777 }

func owner(info fs.FileInfo) *syscall.Stat_t { return info.Sys().(*syscall.Stat_t) }
