package storage

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// mount is one line of a process's mountinfo: a directory of a file system,
// and where the process has it.
type mount struct{ device, root, point string }

// place is where a file is, whoever looks: its file system and the path in it.
type place struct{ device, path string }

// readMounts reads a mountinfo file, by the ids of mounts.
func readMounts(r io.Reader) (map[int]mount, error) {
	mounts := map[int]mount{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		id, err := strconv.Atoi(fields[0])
		if err != nil {
			return nil, fmt.Errorf("read mounts: %w", err)
		}
		mounts[id] = mount{fields[2], unescape(fields[3]), unescape(fields[4])}
	}
	return mounts, lines.Err()
}

// unescape undoes how the kernel writes blanks: as a backslash and three octal
// digits.
func unescape(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+3 < len(text) {
			if c, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// place returns where a path of a process is that goes through the mount.
func (m mount) place(path string) (place, bool) {
	rest, ok := below(path, m.point)
	return place{m.device, filepath.Join(m.root, rest)}, ok
}

// below returns what of a path follows a directory, empty for the directory.
func below(path, dir string) (string, bool) {
	if dir == "/" {
		return strings.TrimPrefix(path, "/"), strings.HasPrefix(path, "/")
	}
	rest, ok := strings.CutPrefix(path, dir)
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	return strings.TrimPrefix(rest, "/"), true
}

// placeOf returns where an open file of this process is.
func placeOf(file *os.File) (place, error) {
	p := process{dir: "/proc/self"}
	if err := p.readMounts(); err != nil {
		return place{}, err
	}
	d, err := p.descriptor(strconv.Itoa(int(file.Fd())))
	if err != nil {
		return place{}, fmt.Errorf("find %s: %w", file.Name(), err)
	}
	return d.place, nil
}
