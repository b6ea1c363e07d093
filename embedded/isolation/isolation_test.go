package isolation

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Groups come and go; whoever has a range has it alone.
func TestRangesOfIDs(t *testing.T) {
	ids := NewIDs("01234567")
	take := func(owner string) uint32 {
		t.Helper()
		id, err := ids.Take(owner)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	one, two := take("one"), take("two")
	if one == two {
		t.Errorf("two owners have the range of %d", one)
	}
	if again := take("one"); again != one {
		t.Errorf("the owner of %d got %d as well", one, again)
	}
	ids.Release("one")
	ids.Release("one")
	if three := take("three"); three == one || three == two {
		t.Errorf("a range that was just released, or is taken, was given: %d", three)
	}

	// The next daemon of the same cloud learns what its groups have.
	next := NewIDs("01234567")
	if err := next.Keep("two", two); err != nil {
		t.Fatal(err)
	}
	if err := next.Keep("two", two); err != nil {
		t.Errorf("keeping a range twice: %v", err)
	}
	if err := next.Keep("other", two); err == nil {
		t.Error("two owners kept one range")
	}
	for _, wrong := range []uint32{0, 1000, FirstID - RangeSize, FirstID + 1, 1<<32 - RangeSize, 1<<32 - 1} {
		if err := next.Keep("wrong", wrong); err == nil {
			t.Errorf("%d begins no range, and was kept", wrong)
		}
	}
	for range 10 {
		if id, err := next.Take("new" + string(rune('a'+len(next.of)))); err != nil || id == two {
			t.Errorf("got %d, %v; %d is taken", id, err, two)
		}
	}
}

func TestRangesEnd(t *testing.T) {
	ids := NewIDs("x")
	for i := range ranges {
		id, err := ids.Take(string(rune(i + 1)))
		if err != nil {
			t.Fatal(err)
		}
		if uint64(id) < FirstID || uint64(id)+RangeSize > 1<<32-RangeSize {
			t.Fatalf("range %d begins at %d", i, id)
		}
	}
	if _, err := ids.Take("one more"); !errors.Is(err, ErrNoIDs) {
		t.Errorf("one more: %v", err)
	}
	ids.Release(string(rune(5)))
	if _, err := ids.Take("one more"); err != nil {
		t.Errorf("after one was released: %v", err)
	}
}

// The filter that is written is the one that the runtime reads: it must let
// through what namespaces need, and nothing that acts on the whole kernel.
func TestFilter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seccomp.json")
	if err := WriteFilter(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var profile specs.LinuxSeccomp
	if err := json.Unmarshal(data, &profile); err != nil {
		t.Fatal(err)
	}
	if profile.DefaultAction != specs.ActErrno {
		t.Errorf("what no rule names: %s", profile.DefaultAction)
	}
	rules := map[string][]specs.LinuxSyscall{}
	for _, rule := range profile.Syscalls {
		for _, name := range rule.Names {
			rules[name] = append(rules[name], rule)
		}
	}
	for _, name := range append(nested(), "read", "ptrace", "chroot", "seccomp") {
		if r := rules[name]; len(r) != 1 || r[0].Action != specs.ActAllow || len(r[0].Args) > 0 {
			t.Errorf("%s is not simply allowed: %+v", name, r)
		}
	}
	for _, name := range []string{
		"bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "keyctl", "add_key", "request_key",
		"open_by_handle_at", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot", "swapon",
		"settimeofday", "clock_settime", "iopl", "ioperm", "acct", "quotactl", "syslog", "fanotify_init", "lookup_dcookie", "vhangup",
	} {
		if r, ok := rules[name]; ok {
			t.Errorf("%s is allowed: %+v", name, r)
		}
	}
}

func TestModes(t *testing.T) {
	for _, name := range append(Modes(), "") {
		if m, err := ParseMode(name); err != nil || !slices.Contains(Modes(), string(m)) {
			t.Errorf("mode %q: %q, %v", name, m, err)
		}
	}
	if _, err := ParseMode("vm"); err == nil {
		t.Error("there is no mode vm")
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	if yes, err := Decide(None, nil, quiet); yes || err != nil {
		t.Errorf("none: %v, %v", yes, err)
	}
	// A file system that cannot do it (here: that is not there) is a reason
	// to go without, but not where the operator insists.
	gone := []string{filepath.Join(t.TempDir(), "gone")}
	if yes, err := Decide(Auto, gone, quiet); yes || err != nil {
		t.Errorf("auto on a host that cannot: %v, %v", yes, err)
	}
	if yes, err := Decide(UserNamespaces, gone, quiet); yes || err == nil {
		t.Errorf("userns on a host that cannot: %v, %v", yes, err)
	}
}
