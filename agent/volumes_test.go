package agent

import (
	"archive/tar"
	"bytes"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"frankenetes.dev/agent/protocol"
)

const mebi = 1 << 20

// takes complains unless something takes between so many bytes and a little more.
func takes(t *testing.T, what string, d protocol.Disk, bytes uint64) {
	t.Helper()
	if d.Bytes < bytes || d.Bytes > bytes+mebi/2 || d.Time.IsZero() {
		t.Errorf("%s: %+v, want %d bytes", what, d, bytes)
	}
}

func volumeUsage(t *testing.T, c *protocol.Client, name string) protocol.Disk {
	t.Helper()
	d, err := c.VolumeUsage(bounded(t), name, 0)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestWhatVolumesHold(t *testing.T) {
	a := newTestAgent(t)
	c := connectTo(t, a)
	volumes(t, a, map[string]string{"data/dir/file": strings.Repeat("x", mebi), "data/link": "-> /"})
	used := volumeUsage(t, c, "data")
	takes(t, "the volume", used, mebi)
	if used.Room.Bytes < mebi || used.Room.BytesFree > used.Room.Bytes || used.Room.Inodes < used.Room.InodesFree {
		t.Errorf("its file system has %+v", used.Room)
	}
	for _, name := range []string{"other", "..", ".", "data/dir", ""} {
		if _, err := c.VolumeUsage(bounded(t), name, 0); err == nil {
			t.Errorf("volume %q was measured", name)
		}
	}
	if _, err := c.VolumeUsage(bounded(t), "other", 0); refusal(err) != http.StatusNotFound {
		t.Errorf("a volume that is not there: %v", err)
	}
}

func TestVolumesThatShareADirectory(t *testing.T) {
	a := newTestAgent(t)
	c := connectTo(t, a)
	v := protocol.Volume{Mode: 0o750, Shared: true, Atomic: true, Files: []protocol.File{{Path: "key", Data: []byte("value"), Mode: 0o644, UID: int64(os.Geteuid()), GID: int64(os.Getegid())}}}
	for range 2 {
		if err := c.PutVolume(bounded(t), "conf", v); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(a.cfg.Volumes + "/conf")
	data, _ := os.ReadFile(a.cfg.Volumes + "/conf/key")
	if err != nil || info.Mode() != os.ModeDir|0o750 || string(data) != "value" {
		t.Errorf("it is %v with %q, %v", info, data, err)
	}
	if err := c.PutVolume(bounded(t), ".elsewhere", v); refusal(err) != http.StatusBadRequest {
		t.Errorf("a volume elsewhere: %v", err)
	}
}

func TestWhatVolumesInMemoryHold(t *testing.T) {
	needsNamespaces(t)
	a := newTestAgent(t)
	c := connectTo(t, a)
	if err := os.Mkdir(a.cfg.Volumes+"/cache", 0o700); err != nil {
		t.Fatal(err)
	}
	v := protocol.Volume{Mode: 0o777, Memory: &protocol.Memory{Size: 4 * mebi, Token: "sesame"}}
	if err := c.PutVolume(bounded(t), "cache", v); err != nil {
		t.Fatal(err)
	}
	takes(t, "the empty volume", volumeUsage(t, c, "cache"), 0)
	at := t.TempDir()
	says(t, c, exact("p", "head -c 2097152 /dev/zero > "+at+"/v/file",
		protocol.Exact{Mounts: []protocol.Mount{{Volume: "cache", Memory: "sesame", Path: at + "/v"}}}))
	used := volumeUsage(t, c, "cache")
	takes(t, "the volume", used, 2*mebi)
	if used.Room.Bytes != 4*mebi || used.Room.BytesFree != 4*mebi-used.Bytes {
		t.Errorf("there is room for %+v", used.Room)
	}
}

// archive is a tar archive of files.
func archive(t *testing.T, files map[string]string) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Uid: os.Geteuid(), Gid: os.Getegid(), Size: int64(len(content))}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func TestImagesAsVolumes(t *testing.T) {
	a := newTestAgent(t)
	c := connectTo(t, a)
	if err := os.Mkdir(a.cfg.Volumes+"/tools", 0o777); err != nil {
		t.Fatal(err)
	}
	has := func(id, path string, want int) {
		t.Helper()
		if err := c.HasImage(bounded(t), "tools", id, path); refusal(err) != want {
			t.Errorf("image %s, %q: %v, want status %d", id, path, err, want)
		}
	}
	has("one", "", http.StatusNotFound)
	put := func(id string, content io.Reader) error { return c.PutImage(bounded(t), "tools", id, content) }
	whole := archive(t, map[string]string{"bin/tool": "x", "etc/conf": "y"})
	if err := put("one", io.LimitReader(whole, 1200)); err == nil {
		t.Error("half an archive was taken")
	}
	has("one", "", http.StatusNotFound)
	if left, err := os.ReadDir(a.cfg.Volumes + "/tools"); len(left) > 0 || err != nil {
		t.Errorf("of it there is left %v, %v", left, err)
	}
	if err := put("one", archive(t, map[string]string{"bin/tool": "x"})); err != nil {
		t.Fatal(err)
	}
	has("one", "", 0)
	has("one", "bin/tool", 0)
	has("one", "bin/other", http.StatusUnprocessableEntity)
	has("one", "../data", http.StatusUnprocessableEntity)
	has("two", "", http.StatusNotFound)
	// What is there is not sent again, even where somebody tries.
	if err := put("one", strings.NewReader("no archive")); err != nil {
		t.Error(err)
	}
	if err := c.PutImage(bounded(t), "other", "one", strings.NewReader("")); refusal(err) != http.StatusNotFound {
		t.Errorf("a volume that is not there: %v", err)
	}
}

// written is what the process that runs has written to its root file system, as
// of now: a measurement that costs much is not repeated at once.
func written(t *testing.T, c *protocol.Client) protocol.Disk {
	t.Helper()
	now, ctx := time.Now(), bounded(t)
	for {
		u, err := c.Usage(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		if u.Written != nil && u.Written.Time.After(now) {
			return *u.Written
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestWhatIsWrittenToARootThatForgets(t *testing.T) {
	a := onMemory(t)
	c := connectTo(t, a)
	large := t.TempDir() + "/large"
	if err := os.WriteFile(large, make([]byte, mebi), 0o644); err != nil {
		t.Fatal(err)
	}
	start(t, c, exact("main", "sleep 1000", protocol.Exact{CleanRoot: true}))
	takes(t, "what came with the image", written(t, c), 0)
	for _, step := range []struct {
		script string
		want   uint64
	}{
		{"head -c 3145728 /dev/zero > /new-frankenetes", 3 * mebi},
		{"echo more >> " + large, 4 * mebi},
		{"rm /new-frankenetes", mebi},
	} {
		if code, err := c.Exec(bounded(t), command("sh", "-c", step.script), protocol.Streams{}); err != nil || code != 0 {
			t.Fatalf("%s: %d, %v", step.script, code, err)
		}
		takes(t, step.script, written(t, c), step.want)
	}
}

func TestNothingIsWrittenToARootThatIsReadOnly(t *testing.T) {
	needsNamespaces(t)
	c := newClient(t)
	start(t, c, exact("main", "sleep 1000", protocol.Exact{ReadOnlyRoot: true}))
	takes(t, "a root that is read-only", written(t, c), 0)
}
