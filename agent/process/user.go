package process

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"frankenetes.dev/agent/protocol"
)

// identity is whom a program runs as.
type identity struct {
	uid, gid uint32
	// groups are all its groups, the primary one included.
	groups []uint32
	home   string
}

// lookUp finds a user in the passwd and group files of a directory, which is
// /etc but for tests. A number needs no entry there, a name does.
func lookUp(etc string, u protocol.User) (identity, error) {
	name, group, _ := strings.Cut(u.Name, ":")
	if u.UID != nil {
		name = strconv.FormatInt(*u.UID, 10)
	}
	if name == "" {
		name = "0"
	}
	users, err := readTable(filepath.Join(etc, "passwd"), 6)
	if err != nil {
		return identity{}, err
	}
	groups, err := readTable(filepath.Join(etc, "group"), 4)
	if err != nil {
		return identity{}, err
	}
	id, login, err := findUser(users, name)
	if err != nil {
		return identity{}, err
	}
	switch {
	case u.GID != nil:
		id.gid, err = number(strconv.FormatInt(*u.GID, 10))
	case group != "":
		id.gid, err = findGroup(groups, group)
	}
	if err != nil {
		return identity{}, err
	}
	id.groups = append(id.groups, id.gid)
	for _, g := range u.Groups {
		gid, err := number(strconv.FormatInt(g, 10))
		if err != nil {
			return identity{}, err
		}
		id.groups = append(id.groups, gid)
	}
	id.groups = append(id.groups, memberships(groups, login)...)
	slices.Sort(id.groups)
	id.groups = slices.Compact(id.groups)
	return id, nil
}

// findUser returns what passwd says of a name or number, and the login name.
func findUser(users [][]string, name string) (identity, string, error) {
	for _, f := range users { // name:password:uid:gid:comment:home:shell
		if f[0] != name && f[2] != name {
			continue
		}
		uid, err1 := number(f[2])
		gid, err2 := number(f[3])
		if err1 == nil && err2 == nil {
			return identity{uid: uid, gid: gid, home: f[5]}, f[0], nil
		}
	}
	uid, err := number(name)
	if err != nil {
		return identity{}, "", fmt.Errorf("unable to find user %s: no matching entries in passwd file", name)
	}
	return identity{uid: uid}, "", nil
}

func findGroup(groups [][]string, name string) (uint32, error) {
	for _, f := range groups { // name:password:gid:members
		if f[0] == name {
			if gid, err := number(f[2]); err == nil {
				return gid, nil
			}
		}
	}
	gid, err := number(name)
	if err != nil {
		return 0, fmt.Errorf("unable to find group %s: no matching entries in group file", name)
	}
	return gid, nil
}

// memberships are the groups that list a login name.
func memberships(groups [][]string, login string) []uint32 {
	var found []uint32
	for _, f := range groups {
		if login == "" || !slices.Contains(strings.Split(f[3], ","), login) {
			continue
		}
		if gid, err := number(f[2]); err == nil {
			found = append(found, gid)
		}
	}
	return found
}

// number reads a user's or group's number.
func number(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == math.MaxUint32 { // which means "no one" to the kernel
		return 0, fmt.Errorf("%q is no user or group number", text)
	}
	return uint32(n), nil
}

// readTable reads a file of colon-separated lines that have at least the given
// number of fields. There may be no such file.
func readTable(path string, fields int) ([][]string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up user: %w", err)
	}
	defer f.Close()
	var lines [][]string
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 1<<20) // a group may have many members
	for scanner.Scan() {
		line := strings.Split(strings.TrimSpace(scanner.Text()), ":")
		if len(line) >= fields && !strings.HasPrefix(line[0], "#") {
			lines = append(lines, line)
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("look up user in %s: %w", path, err)
	}
	return lines, nil
}
