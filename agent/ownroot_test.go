package agent

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/agent/rootless"
)

// busyboxRoot is a root file system that has nothing but a shell, and a link
// where the kernel's files are to be.
func busyboxRoot(t *testing.T) *bytes.Buffer {
	t.Helper()
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Skipf("NOT TESTED: there is no static busybox: %v", err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(h tar.Header, data []byte) {
		h.Uid, h.Gid, h.Size = os.Geteuid(), os.Getegid(), int64(len(data))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	add(tar.Header{Typeflag: tar.TypeReg, Name: "bin/busybox", Mode: 0o755}, program)
	for path, data := range ownLibraries(t) {
		add(tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o755}, data)
	}
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeSymlink, Name: "bin/sh", Linkname: "busybox"},
		{Typeflag: tar.TypeSymlink, Name: "dev", Linkname: "/../../elsewhere"},
		{Typeflag: tar.TypeDir, Name: "elsewhere", Mode: 0o755},
	} {
		add(h, nil)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

// ownLibraries are the loader and libraries of this test, by path. The stages of
// a room are this program, which the agent's static one is not: with the race
// detector it is linked dynamically, and starts in no root without them.
func ownLibraries(t *testing.T) map[string][]byte {
	t.Helper()
	program, err := elf.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	files := map[string][]byte{}
	loader := program.Section(".interp")
	if loader == nil {
		return files
	}
	name, err := loader.Data()
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	paths := []string{string(bytes.TrimRight(name, "\x00"))}
	for line := range strings.Lines(string(maps)) {
		if fields := strings.Fields(line); len(fields) == 6 && strings.Contains(fields[5], ".so") {
			paths = append(paths, fields[5])
		}
	}
	for _, path := range paths {
		if files[path], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestAProcessWithARootOfItsOwn(t *testing.T) {
	needsNamespaces(t)
	a := newTestAgent(t)
	c := connectTo(t, a)
	root := busyboxRoot(t)
	if err := c.PutRoot(bounded(t), "main", bytes.NewReader(root.Bytes())); err != nil {
		t.Fatal(err)
	}
	// Sent again, as after a connection that was lost.
	if err := c.PutRoot(bounded(t), "main", root); err != nil {
		t.Fatal(err)
	}
	p := exact("main", "busybox ls -x /; busybox ls /proc/self/exe; echo gone >/dev/null; echo kept >/file; busybox cat /file; "+
		"busybox test -e "+a.cfg.Root+" || echo hidden; exec busybox sleep 1000", protocol.Exact{OwnRoot: true, Hostname: "own"})
	p.Env = []string{"PATH=/bin"}
	p.Files = []protocol.File{{Path: "/etc/hostname", Data: []byte("own\n"), Mode: 0o644, UID: int64(os.Geteuid()), GID: int64(os.Getegid())}}
	start(t, c, p)
	awaitLine(t, c, "main", "hidden")
	log, err := c.Logs(bounded(t), "main", 0, false)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	text, err := io.ReadAll(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"bin", "etc", "proc", "sys", "/proc/self/exe", "kept"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("it says %q, without %q", text, want)
		}
	}
	var out strings.Builder
	code, err := c.Exec(bounded(t), command("busybox", "cat", "/etc/hostname"), protocol.Streams{Stdout: &out})
	if err != nil || code != 0 || out.String() != "own\n" {
		t.Errorf("a command beside it says %q, %d, %v", out.String(), code, err)
	}
	if err := c.PutRoot(bounded(t), "main", bytes.NewReader(nil)); refusal(err) != http.StatusConflict {
		t.Errorf("another root for a process that runs: %v", err)
	}
	if err := c.Signal(bounded(t), "main", "KILL"); err != nil {
		t.Fatal(err)
	}
	awaitExit(t, c, "main")
	a.processes.work.Wait() // what is removed may take its time
	if _, err := os.Stat(rootless.OwnRoot(a.cfg.dirs(), "main")); !os.IsNotExist(err) {
		t.Errorf("its root is left: %v", err)
	}
}

func TestABrokenRootLeavesNothing(t *testing.T) {
	a := newTestAgent(t)
	c := connectTo(t, a)
	if err := c.PutRoot(bounded(t), "main", strings.NewReader("this is no archive, but long enough to be taken for the beginning of one")); err == nil {
		t.Error("it was taken")
	}
	if _, err := os.Stat(rootless.OwnRoot(a.cfg.dirs(), "main")); !os.IsNotExist(err) {
		t.Errorf("something is left: %v", err)
	}
	if err := c.PutRoot(bounded(t), "..", strings.NewReader("")); err == nil {
		t.Error("a name that leads elsewhere was taken")
	}
}
