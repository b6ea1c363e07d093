package agent

import (
	"archive/tar"
	"bytes"
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
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeReg, Name: "bin/busybox", Mode: 0o755, Size: int64(len(program))},
		{Typeflag: tar.TypeSymlink, Name: "bin/sh", Linkname: "busybox"},
		{Typeflag: tar.TypeSymlink, Name: "dev", Linkname: "/../../elsewhere"},
		{Typeflag: tar.TypeDir, Name: "elsewhere", Mode: 0o755},
	} {
		h.Uid, h.Gid = os.Geteuid(), os.Getegid()
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write(program); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
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
