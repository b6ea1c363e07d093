package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"frankenetes.dev/agent/protocol"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const (
	passwd = `# a comment
root:x:0:0:root:/root:/bin/sh
web:x:1000:1001:Web:/srv/web:/bin/sh
broken:x
`
	group = `root:x:0:
web:x:1001:
www:x:2000:other,web
logs:x:2001:web
`
)

func etc(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"passwd": passwd, "group": group} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLookUp(t *testing.T) {
	number := func(n int64) *int64 { return &n }
	tests := map[string]struct {
		user protocol.User
		want identity
	}{
		"nobody said":       {protocol.User{}, identity{0, 0, []uint32{0}, "/root"}},
		"name":              {protocol.User{Name: "web"}, identity{1000, 1001, []uint32{1001, 2000, 2001}, "/srv/web"}},
		"number with entry": {protocol.User{Name: "1000"}, identity{1000, 1001, []uint32{1001, 2000, 2001}, "/srv/web"}},
		"number without":    {protocol.User{Name: "4711"}, identity{4711, 0, []uint32{0}, ""}},
		"name and group":    {protocol.User{Name: "web:www"}, identity{1000, 2000, []uint32{2000, 2001}, "/srv/web"}},
		"numbers":           {protocol.User{Name: "4711:4712"}, identity{4711, 4712, []uint32{4712}, ""}},
		"UID wins": {
			protocol.User{Name: "web", UID: number(4711)}, identity{4711, 0, []uint32{0}, ""},
		},
		"GID wins": {
			protocol.User{Name: "web:www", GID: number(5)}, identity{1000, 5, []uint32{5, 2000, 2001}, "/srv/web"},
		},
		"more groups": {
			protocol.User{UID: number(1), GID: number(2), Groups: []int64{9, 3, 2}}, identity{1, 2, []uint32{2, 3, 9}, ""},
		},
	}
	dir := etc(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := lookUp(dir, test.user)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(identity{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLookUpRefuses(t *testing.T) {
	number := func(n int64) *int64 { return &n }
	dir := etc(t)
	for want, user := range map[string]protocol.User{
		"unable to find user nemo":  {Name: "nemo"},
		"unable to find group crew": {Name: "web:crew"},
		`"-1" is no user`:           {Name: "web", GID: number(-1)},
		`"4294967295" is no user`:   {Name: "web", Groups: []int64{4294967295}},
	} {
		if _, err := lookUp(dir, user); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestLookUpWithoutFiles(t *testing.T) {
	if id, err := lookUp(t.TempDir(), protocol.User{Name: "12:34"}); err != nil || id.uid != 12 || id.gid != 34 {
		t.Errorf("got %+v, %v", id, err)
	}
}

func TestParseSignal(t *testing.T) {
	for text, want := range map[string]unix.Signal{
		"SIGTERM": unix.SIGTERM, "TERM": unix.SIGTERM, "term": unix.SIGTERM, "15": unix.SIGTERM,
		"SIGUSR1": unix.SIGUSR1, "9": unix.SIGKILL, "RTMIN": 34, "SIGRTMIN+3": 37, "RTMAX-1": 63, "64": 64,
	} {
		if got, err := ParseSignal(text); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "-9", "65", "SIGNONE", "RTMIN+31", "RTMAX+1", "RTMINx", "TERM "} {
		if got, err := ParseSignal(text); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestParseCapabilities(t *testing.T) {
	set, err := parseCapabilities([]string{"NET_RAW", "cap_chown"})
	if err != nil || set != 1<<unix.CAP_NET_RAW|1<<unix.CAP_CHOWN || set.String() != "CHOWN,NET_RAW" {
		t.Errorf("got %v, %v", set, err)
	}
	if set, err := parseCapabilities([]string{"ALL"}); err != nil || set != 1<<(unix.CAP_LAST_CAP+1)-1 {
		t.Errorf("ALL is %v, %v", set, err)
	}
	if _, err := parseCapabilities([]string{"FLY"}); err == nil {
		t.Error("FLY is no capability")
	}
}

func TestParseStat(t *testing.T) {
	for text, want := range map[string]processEntry{
		"12 (sh) S 1 12 11 0 -1":         {1, 11},
		"12 (a) b) (c) R 7 12 9 0 -1":    {7, 9},
		"12 (line\nbreak) R 7 12 9 0 -1": {7, 9},
	} {
		if got, ok := parseStat([]byte(text)); !ok || got != want {
			t.Errorf("%q: got %v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "12 (sh", "12 (sh) S 1", "12 (zombie) Z 1 2 3"} {
		if got, ok := parseStat([]byte(text)); ok {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

func TestFindProgram(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"bin/tool": 0o755, "data": 0o644, "local/run": 0o755} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	s := &Setting{dir: dir, env: []string{"PATH=/none", "PATH=" + dir + "/bin:local:."}}
	for name, want := range map[string]string{
		"tool": dir + "/bin/tool", "run": dir + "/local/run", "./local/run": dir + "/local/run", dir + "/bin/tool": dir + "/bin/tool",
	} {
		if got, err := s.find(name); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", name, got, err, want)
		}
	}
	for name, want := range map[string]string{
		"nope":     `exec: "nope": executable file not found in $PATH`,
		"":         `exec: "": executable file not found in $PATH`,
		"data":     `exec: "data": permission denied`,
		"./data":   `exec: "./data": permission denied`,
		"./local":  `exec: "./local": is a directory`,
		"/no/such": `exec: "/no/such": stat /no/such: no such file or directory`,
	} {
		if got, err := s.find(name); err == nil || err.Error() != want {
			t.Errorf("%s: got %s, %v, want %s", name, got, err, want)
		}
	}
}
