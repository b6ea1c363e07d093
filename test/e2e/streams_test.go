package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/remotecommand"
)

// forwards returns the address at which port-forward listens.
func (c *conversation) forwards() string {
	c.m.T.Helper()
	// Forwarding from 127.0.0.1:PORT -> 8080
	return strings.TrimPrefix(strings.SplitN(c.line(), " -> ", 2)[0], "Forwarding from ")
}

// echo is a stream on which somebody answers.
type echo struct {
	name   string
	in     io.Writer
	out    *bufio.Reader
	answer string
}

// openStreams opens one stream of each kind, on which nothing is said until
// testIdle. That is longer than any timeout of our own on the way; the kubelet's
// four hours are a unit test's.
func openStreams(m *operator) []echo {
	m.T.Helper()
	m.apply("streams.yaml")
	m.kubectl("wait", "pod/streams", "pod/talker", "--for=condition=Ready", "--timeout", patience.String())
	exec := m.converse("exec", "-i", "streams", "--", "cat")
	attach := m.converse("attach", "-i", "streams")
	conn, err := net.Dial("tcp", m.converse("port-forward", "streams", ":9000").forwards())
	if err != nil {
		m.T.Fatal(err)
	}
	m.T.Cleanup(func() { conn.Close() })
	all := []echo{
		{"exec", exec.in, exec.out, "hello\n"},
		{"attach", attach.in, attach.out, "heard hello\n"},
		{"port-forward", conn, bufio.NewReader(conn), "hello\n"},
	}
	testIdle(m, all)
	return all
}

// testIdle says something on every stream, and expects the answer.
func testIdle(m *operator, all []echo) {
	for _, e := range all {
		if _, err := io.WriteString(e.in, "hello\n"); err != nil {
			m.T.Errorf("%s: %v", e.name, err)
		} else if got, err := e.out.ReadString('\n'); got != e.answer || err != nil {
			m.T.Errorf("%s: %q, %v, want %q", e.name, got, err, e.answer)
		}
	}
}

// much is how many bytes testMuch moves; 1 GB takes some 20 seconds of two cores.
func much(m *operator) int64 {
	size, err := strconv.ParseInt(os.Getenv("FRANKENETES_MUCH"), 10, 64)
	if err != nil {
		size = 256 << 20
	}
	m.T.Logf("%d MiB", size>>20)
	return size
}

// testMuch moves much data through the node, which must not keep it.
func testMuch(m *operator) {
	size := much(m)
	growth := m.growth()
	down := m.converse("exec", "streams", "--", "head", "-c", strconv.FormatInt(size, 10), "/dev/zero")
	if n, err := io.Copy(io.Discard, down.out); n != size || err != nil {
		m.T.Errorf("%d bytes came, %v", n, err)
	}
	down.end()
	up := m.converse("exec", "-i", "streams", "--", "wc", "-c")
	if n, err := io.CopyN(up.in, zeros{}, size); err != nil {
		m.T.Errorf("%d bytes went, %v", n, err)
	}
	up.in.Close()
	if got := up.rest(); got != strconv.FormatInt(size, 10)+"\n" {
		m.T.Errorf("it counted %q", got)
	}
	// Whoever does not read holds up only the command.
	slow := m.converse("exec", "streams", "--", "yes")
	slow.line()
	if got := m.kubectl("exec", "streams", "--", "echo", "beside it"); got != "beside it\n" {
		m.T.Errorf("beside it: %q", got)
	}
	slow.end()
	if grown := growth(); grown > 64<<20 {
		m.T.Errorf("the node's memory has grown by %d MiB", grown>>20)
	} else {
		m.T.Logf("the node's memory has grown by %d MiB", grown>>20)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// growth returns a function that tells by how many bytes the memory of the
// node's process has grown at most since.
func (m *operator) growth() func() int64 {
	m.T.Helper()
	proc := fmt.Sprintf("/proc/%d/", m.node().PID)
	status := func(name string) int64 {
		data, err := os.ReadFile(proc + "status")
		if err != nil {
			m.T.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if value, ok := strings.CutPrefix(line, name+":"); ok {
				kb, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
				if err != nil {
					m.T.Fatal(err)
				}
				return kb << 10
			}
		}
		m.T.Fatalf("%sstatus has no %s", proc, name)
		return 0
	}
	if err := os.WriteFile(proc+"clear_refs", []byte("5"), 0); err != nil { // forgets the peak
		m.T.Fatal(err)
	}
	before := status("VmRSS")
	return func() int64 { return status("VmHWM") - before }
}

// testMany executes commands that all run at the same time.
func testMany(m *operator) {
	const many = 100
	config, err := clientcmd.RESTConfigFromKubeConfig([]byte(m.kubectl("config", "view", "--raw", "--minify")))
	if err != nil {
		m.T.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		m.T.Fatal(err)
	}
	url := client.CoreV1().RESTClient().Get().Namespace("default").Resource("pods").Name("streams").SubResource("exec").
		VersionedParams(&v1.PodExecOptions{Stdin: true, Stdout: true, Command: []string{"sh", "-c", "echo ready; read x; echo $x"}}, scheme.ParameterCodec).URL()
	ctx, cancel := context.WithTimeout(m.T.Context(), patience)
	defer cancel()
	var all, ready sync.WaitGroup
	ready.Add(many)
	for i := range many {
		all.Go(func() {
			executor, err := remotecommand.NewWebSocketExecutor(config, "GET", url.String())
			if err != nil {
				ready.Done()
				m.T.Error(err)
				return
			}
			in, keyboard := io.Pipe()
			out := &untilReady{ready: ready.Done}
			all.Go(func() {
				ready.Wait()
				_, _ = fmt.Fprintf(keyboard, "I am %d\n", i)
				keyboard.Close()
			})
			err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: in, Stdout: out})
			out.once.Do(out.ready) // should it have failed
			in.Close()
			if want := fmt.Sprintf("ready\nI am %d\n", i); err != nil || out.said.String() != want {
				m.T.Errorf("command %d said %q, %v", i, &out.said, err)
			}
		})
	}
	all.Wait()
}

// untilReady calls ready with the first output.
type untilReady struct {
	said  bytes.Buffer // not embedded: io.Copy would read into it by itself
	once  sync.Once
	ready func()
}

func (u *untilReady) Write(p []byte) (int, error) {
	defer u.once.Do(u.ready)
	return u.said.Write(p)
}

// testCopy copies a tree with a large file into a pod and back.
func testCopy(m *operator) {
	dir := m.T.TempDir()
	large := make([]byte, 48<<20)
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(large) // never fails
	for name, content := range map[string][]byte{
		"small": []byte("small\n"), "empty": {}, "deep/er/file": []byte("deep"), "deep/large": large, "with space": []byte("x"),
	} {
		path := filepath.Join(dir, "tree", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			m.T.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o640); err != nil {
			m.T.Fatal(err)
		}
	}
	m.kubectl("cp", filepath.Join(dir, "tree"), "streams:/tmp/tree")
	if got := m.kubectl("exec", "streams", "--", "sha256sum", "/tmp/tree/deep/large"); !strings.HasPrefix(got, fmt.Sprintf("%x ", sha256.Sum256(large))) {
		m.T.Errorf("the large file there: %q", got)
	}
	m.kubectl("cp", "streams:/tmp/tree", filepath.Join(dir, "back"))
	if sent, back := sums(m, filepath.Join(dir, "tree")), sums(m, filepath.Join(dir, "back")); !slices.Equal(sent, back) {
		m.T.Errorf("sent: %q\nback: %q", sent, back)
	}
	m.kubectl("exec", "streams", "--", "rm", "-r", "/tmp/tree")
}

// sums are the files below a directory, with the sums of what is in them.
func sums(m *operator, dir string) []string {
	m.T.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all = append(all, fmt.Sprintf("%s %x", strings.TrimPrefix(path, dir), sha256.Sum256(data)))
		return err
	})
	if err != nil {
		m.T.Fatal(err)
	}
	return all
}

// testLogOptions asks for parts of the logs of a pod that has said its lines
// while the parts before went on.
func testLogOptions(m *operator) {
	stamped := m.kubectl("logs", "talker", "-c", "one", "--timestamps")
	var fourth string
	for line := range strings.Lines(stamped) {
		if at, text, _ := strings.Cut(line, " "); text == "one 4\n" {
			fourth = at
		}
	}
	for _, c := range []struct{ args, want string }{
		{"talker -c one --tail=2", "one 4\none 5\n"},
		{"talker -c one --tail=0", ""},
		{"talker -c one --limit-bytes=12", "one 1\none 2\n"},
		{"talker -c one --since-time=" + fourth, "one 4\none 5\n"},
		{"talker -c one --since=1s", ""},
		{"talker -c one --since=1h", "one 1\none 2\none 3\none 4\none 5\n"},
		{"talker -c two --limit-bytes=6", "two 1\n"},
		{"talker --all-containers --prefix --tail=1", "[pod/talker/one] one 5\n[pod/talker/two] two 2\n"},
	} {
		if got := m.kubectl(append([]string{"logs"}, strings.Fields(c.args)...)...); got != c.want {
			m.T.Errorf("logs %s: %q, want %q", c.args, got, c.want)
		}
	}
	// In which order the containers come, kubectl does not say.
	if got := m.kubectl("logs", "-l", "app=talker", "--all-containers", "--tail=1"); got != "one 5\ntwo 2\n" && got != "two 2\none 5\n" {
		m.T.Errorf("the last line of each container: %q", got)
	}
	follow := m.converse("logs", "-f", "talker", "-c", "one", "--tail=1", "--timestamps")
	all := m.converse("logs", "-f", "-l", "app=talker", "--all-containers", "--tail=10")
	for range 7 {
		all.line()
	}
	if got := follow.line(); !strings.HasSuffix(got, " one 5\n") {
		m.T.Errorf("followed from the last line: %q", got)
	}
	m.kubectl("exec", "talker", "-c", "one", "--", "touch", "/tmp/more")
	if got := follow.line(); !strings.HasSuffix(got, " one 6\n") {
		m.T.Errorf("followed on: %q", got)
	}
	if got := all.line(); got != "one 6\n" {
		m.T.Errorf("of all containers: %q", got)
	}
	all.end()
	follow.end()
	m.kubectl("delete", "pod", "talker", "--wait=false")
}
