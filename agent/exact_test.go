package agent

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/agent/rootless"
)

// needsNamespaces skips a test where processes cannot have namespaces.
func needsNamespaces(t *testing.T) {
	t.Helper()
	if found := rootless.Try(children, rootless.Dirs{Root: t.TempDir()}); found.NoRoom != nil {
		t.Skipf("NOT TESTED: processes cannot have namespaces here: %v", found.NoRoom)
	}
}

// exact is a process that runs a script in namespaces of its own.
func exact(id, script string, e protocol.Exact) protocol.Process {
	p := shell(id, script)
	p.Exact = &e
	return p
}

// says runs a process to its end and returns its log.
func says(t *testing.T, c *protocol.Client, p protocol.Process) string {
	t.Helper()
	start(t, c, p)
	text := output(t, c, p.ID)
	awaitExit(t, c, p.ID)
	if err := c.Remove(bounded(t), p.ID); err != nil {
		t.Fatal(err)
	}
	return text
}

// refused starts a process that must be refused with a reason.
func refused(t *testing.T, c *protocol.Client, p protocol.Process, why string) {
	t.Helper()
	_, err := c.Start(bounded(t), p)
	if refusal(err) != http.StatusUnprocessableEntity || !strings.Contains(err.Error(), why) {
		t.Errorf("got %v, want %s", err, why)
	}
}

// What is true of a process in a plain container is true of one in namespaces.
func TestInNamespaces(t *testing.T) {
	needsNamespaces(t)
	room = &protocol.Exact{Hostname: "room"}
	defer func() { room = nil }()
	for name, test := range map[string]func(*testing.T){
		"exit codes": TestExitCodes, "what it was given": TestProcessGetsWhatItWasGiven, "defaults": TestHomeAndPathHaveDefaults,
		"refusals": TestStartRefuses, "signals": TestSignals, "nothing is left": TestNothingIsLeftOfAProcessThatEnds,
		"termination message": TestTerminationMessage, "privileges": TestDiscardedPrivileges, "another user": TestAnotherUser,
		"terminal": TestProcessWithTerminal, "shut down": TestShutDownKillsWhatDoesNotEnd, "exec": TestExec,
		"exec refuses": TestExecRefuses, "exec ends": TestExecEndsWithItsProcess, "exec on a terminal": TestTerminal,
		"exec cancelled": TestCancellingExecKillsTheCommandAndItsChildren, "daemons": TestExecDoesNotWaitForDaemons,
		"attach": TestAttach, "remove": TestRemove,
	} {
		t.Run(name, test)
	}
	if left := ourChildren(t); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
}

// ourChildren are the command lines of this process's children.
func ourChildren(t *testing.T) []string {
	t.Helper()
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, list := range lists {
		data, err := os.ReadFile(list)
		if err != nil {
			continue // a thread that has ended
		}
		for _, pid := range strings.Fields(string(data)) {
			line, _ := os.ReadFile("/proc/" + pid + "/cmdline")
			found = append(found, pid+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

func TestHostname(t *testing.T) {
	needsNamespaces(t)
	c := newClient(t)
	before, _ := os.Hostname()
	start(t, c, exact("main", "uname -n; sleep 1000", protocol.Exact{Hostname: "web-0"}))
	awaitLine(t, c, "main", "web-0")
	var out strings.Builder
	code, err := c.Exec(bounded(t), command("uname", "-n"), protocol.Streams{Stdout: &out})
	if err != nil || code != 0 || out.String() != "web-0\n" {
		t.Errorf("a command beside it says %q, %d, %v", out.String(), code, err)
	}
	if after, _ := os.Hostname(); after != before {
		t.Errorf("our own name is now %q", after)
	}
}

// volumes makes volumes as a container finds them.
func volumes(t *testing.T, a *agent, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(a.cfg.Volumes, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestPartsOfVolumes(t *testing.T) {
	needsNamespaces(t)
	a := newTestAgent(t)
	c := connectTo(t, a)
	volumes(t, a, map[string]string{
		"conf/..2026/key": "value\n", "conf/..data": "-> ..2026", "conf/key": "-> ..data/key", "data/sub/file": "deep\n", "data/other": "hidden\n",
	})
	if err := os.Chmod(filepath.Join(a.cfg.Volumes, "data"), 0o775|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	at := t.TempDir()
	if err := os.WriteFile(at+"/there", []byte("the image's\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got := says(t, c, exact("p", `cd `+at+`
		cat one.conf there dir/file; ls dir; echo x > dir/new && echo written; echo x > ro/new || echo refused
		stat -c %a made/it; echo x > made/it/x`,
		protocol.Exact{Mounts: []protocol.Mount{
			{Volume: "data", SubPath: "sub", Path: at + "/ro", ReadOnly: true},
			{Volume: "conf", SubPath: "key", Path: at + "/one.conf"},
			{Volume: "conf", SubPath: "key", Path: at + "/there"},
			{Volume: "data", SubPath: "sub", Path: at + "/dir"},
			{Volume: "data", SubPath: "a/b", Path: at + "/made/it"},
		}}))
	for _, want := range []string{"F value\n", "F value\nstdout F deep\n", "F file\n", "F written\n", "F refused\n", "F 2775\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	if strings.Contains(got, "other") {
		t.Errorf("more of the volume is seen than was mounted: %s", got)
	}
	for _, path := range []string{"sub/new", "a/b/x"} {
		if _, err := os.Stat(filepath.Join(a.cfg.Volumes, "data", path)); err != nil {
			t.Errorf("what was written to the volume: %v", err)
		}
	}
	// Nothing of it is mounted outside.
	if data, err := os.ReadFile(at + "/there"); string(data) != "the image's\n" {
		t.Errorf("outside is %q, %v", data, err)
	}
}

func TestPathsThatLeadOutOfAVolume(t *testing.T) {
	needsNamespaces(t)
	a := newTestAgent(t)
	c := connectTo(t, a)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	volumes(t, a, map[string]string{
		"data/up": "-> ..", "data/out": "-> " + filepath.Dir(secret), "data/deep/link": "-> ../../other", "data/proc": "-> /proc/1/root",
		"data/loop": "-> loop", "other/file": "x", "data/file": "x",
	})
	at := t.TempDir()
	for path, why := range map[string]string{
		"up": "leads out", "out/secret": "leads out", "out/made": "leads out", "deep/link/file": "leads out",
		"proc/etc": "leads out", "up/made": "leads out", "loop": "symbolic links", "file/x": "not a directory",
	} {
		refused(t, c, exact("p", "true", protocol.Exact{Mounts: []protocol.Mount{{Volume: "data", SubPath: path, Path: at + "/x"}}}), why)
	}
	for _, path := range []string{filepath.Join(filepath.Dir(secret), "made"), filepath.Join(a.cfg.Volumes, "made"), at + "/x"} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s was made", path)
		}
	}
	if left := ourChildren(t); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
}

func TestReadOnlyRoot(t *testing.T) {
	needsNamespaces(t)
	a := newTestAgent(t)
	c := connectTo(t, a)
	volumes(t, a, map[string]string{"data/file": "x"})
	at := t.TempDir()
	p := exact("p", `echo x > `+at+`/x || echo root refuses; echo x > `+at+`/v/x && echo volume accepts; echo x > $LOG && echo message accepts; pwd`,
		protocol.Exact{ReadOnlyRoot: true, Mounts: []protocol.Mount{{Volume: "data", SubPath: ".", Path: at + "/v"}}})
	p.Dir = at + "/work/dir"
	p.TerminationMessagePath = at + "/v/message"
	p.Env = append(p.Env, "LOG="+p.TerminationMessagePath)
	got := says(t, c, p)
	for _, want := range []string{"root refuses", "volume accepts", "message accepts", "work/dir"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	if err := os.WriteFile(at+"/x", nil, 0o644); err != nil {
		t.Errorf("outside: %v", err)
	}
}

// Root in the namespaces is less than the agent, and can undo nothing.
func TestRootInNamespacesIsNoMore(t *testing.T) {
	needsNamespaces(t)
	a := newTestAgent(t)
	c := connectTo(t, a)
	if err := os.WriteFile(a.cfg.Root+"/secret", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const allButSysAdmin = "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP"
	p := exact("p", `
		holder=$(ls /proc | while read pid; do grep -qs ^agent$(printf '\t')*hold /proc/$pid/cmdline && echo $pid; done | tail -1)
		grep CapBnd /proc/self/status; ls `+a.cfg.Root+` | grep secret
		for try in "umount `+a.cfg.Root+`" "umount -l `+a.cfg.Volumes+`" "mount -t tmpfs none /mnt" "mount -o remount,rw /" "hostname other" \
			"cat /proc/`+strconv.Itoa(os.Getpid())+`/environ" "ls /proc/`+strconv.Itoa(os.Getpid())+`/root/"; do
			$try > /dev/null 2>&1 && echo "worked: $try"; done
		unshare --user --map-root-user --mount sh -c 'umount `+a.cfg.Root+` && echo worked: umount in a nested namespace; mount -o remount,rw,bind / && touch /x-frankenetes && echo worked: remount in a nested namespace' 2>/dev/null
		echo end`, protocol.Exact{ReadOnlyRoot: true})
	p.DropCapabilities, p.AddCapabilities = []string{"ALL"}, strings.Fields(allButSysAdmin)
	got := says(t, c, p)
	if strings.Contains(got, "worked") || strings.Contains(got, "secret") || !strings.Contains(got, "F end\n") {
		t.Error(got)
	}
	if !strings.Contains(strings.ReplaceAll(got, "\t", " "), "CapBnd: 00000000a80425fb") {
		t.Errorf("its capabilities are not the fourteen: %s", got)
	}
}

func TestSetuidPrograms(t *testing.T) {
	needsNamespaces(t)
	c := newClient(t)
	id, err := exec.LookPath("id")
	if err != nil {
		t.Skip(err)
	}
	data, err := os.ReadFile(id)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // for the other user
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/id", data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir+"/id", 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	uid := int64(1000)
	for noNewPrivileges, want := range map[bool]string{false: "stdout F 0\n", true: "stdout F 1000\n"} {
		p := exact("p", dir+"/id -u", protocol.Exact{})
		p.User, p.NoNewPrivileges = protocol.User{UID: &uid, GID: &uid}, noNewPrivileges
		if got := says(t, c, p); got != want {
			t.Errorf("no new privileges %v: %q, want %q", noNewPrivileges, got, want)
		}
	}
}

func TestVolumesInMemory(t *testing.T) {
	needsNamespaces(t)
	a := newTestAgent(t)
	c := connectTo(t, a)
	if err := os.Mkdir(a.cfg.Volumes+"/cache", 0o700); err != nil {
		t.Fatal(err)
	}
	gid := int64(4711)
	v := protocol.Volume{Mode: 0o777, GID: &gid, Memory: &protocol.Memory{Size: 1 << 20, Token: "sesame"}}
	if err := c.PutVolume(bounded(t), "cache", v); err != nil {
		t.Fatal(err)
	}
	at := t.TempDir()
	mount := func(path, token string, readOnly bool) protocol.Exact {
		return protocol.Exact{Mounts: []protocol.Mount{{Volume: "cache", Memory: token, Path: path, ReadOnly: readOnly}}}
	}
	start(t, c, exact("one", "stat -f -c %T "+at+"/one; stat -c '%a %g' "+at+"/one; echo content > "+at+"/one/file; echo done; sleep 1000",
		mount(at+"/one", "sesame", false)))
	awaitLine(t, c, "one", "done")
	if got := says(t, c, exact("two", "cat "+at+"/two/file; dd if=/dev/zero of="+at+"/two/big bs=64k count=64 2>&1 | grep -o 'No space.*'",
		mount(at+"/two", "sesame", false))); got != "stdout F content\nstdout F No space left on device\n" {
		t.Errorf("the other sees %q", got)
	}
	if got := says(t, c, exact("three", "(echo x > "+at+"/three/x) 2>/dev/null || echo refused; cat "+at+"/three/file", mount(at+"/three", "sesame", true))); !strings.Contains(got, "F refused\nstdout F content\n") {
		t.Errorf("who may only read sees %q", got)
	}
	if err := c.Signal(bounded(t), "one", "KILL"); err != nil {
		t.Fatal(err)
	}
	if got := output(t, c, "one"); got != "stdout F tmpfs\nstdout F 2777 4711\nstdout F done\n" {
		t.Errorf("it is %q", got)
	}
	// It outlives who has it mounted, and is nobody's who does not know the token.
	part := mount(at+"/four", "sesame", false)
	part.Mounts[0].SubPath = "file"
	if got := says(t, c, exact("four", "cat "+at+"/four", part)); got != "stdout F content\n" {
		t.Errorf("a part of it is %q", got)
	}
	refused(t, c, exact("five", "true", mount(at+"/five", "guess", false)), "not for who asks")
	if entries, err := os.ReadDir(a.cfg.Volumes + "/cache"); err != nil || len(entries) > 0 {
		t.Errorf("on the disk there is %v, %v", entries, err)
	}
}

// onMemory is a test agent whose directory is on another file system than that
// of the machine's root, as an agent's is.
func onMemory(t *testing.T) *agent {
	t.Helper()
	root, err := os.MkdirTemp("/dev/shm", "agent-")
	if err != nil {
		t.Skipf("NOT TESTED: there is no second file system: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	if found := rootless.Try(children, rootless.Dirs{Root: root}); found.NoCleanRoot != nil {
		t.Skipf("NOT TESTED: processes cannot have root file systems that forget here: %v", found.NoCleanRoot)
	}
	a := newTestAgent(t)
	a.cfg.Root = root
	a.processes.dirs = a.cfg.dirs()
	return a
}

func TestRootThatForgets(t *testing.T) {
	a := onMemory(t)
	c := connectTo(t, a)
	at := t.TempDir()
	for name, content := range map[string]string{"/changed": "as it was", "/removed": "still there", "/dir/file": "x"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(at+name), 0o755), os.WriteFile(at+name, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	volumes(t, a, map[string]string{"data/file": "x"})
	script := "cd " + at + `
		cat changed removed; ls new dir/new /new-frankenetes /etc/new-frankenetes 2>/dev/null
		echo y > changed; rm removed; echo y > new; echo y > dir/new; echo y > /new-frankenetes; echo y > /etc/new-frankenetes
		cat changed new /new-frankenetes /etc/new-frankenetes; echo y >> v/file; ls ` + a.cfg.Root + ` 2>/dev/null; stat -c %a /tmp; id -un`
	e := protocol.Exact{CleanRoot: true, Mounts: []protocol.Mount{{Volume: "data", Path: at + "/v"}}}
	want := "stdout F as it wasstill therey\nstdout F y\nstdout F y\nstdout F y\nstdout F 1777\nstdout F root\n"
	for range 2 {
		if got := says(t, c, exact("p", script, e)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if data, err := os.ReadFile(a.cfg.Volumes + "/data/file"); string(data) != "xy\ny\n" {
		t.Errorf("the volume has %q, %v", data, err)
	}
	if data, err := os.ReadFile(at + "/changed"); string(data) != "as it was" {
		t.Errorf("the machine's file has %q, %v", data, err)
	}
	a.processes.work.Wait()
	if left, err := filepath.Glob(a.cfg.Root + "/written-*"); len(left) > 0 {
		t.Errorf("what was written is left: %v, %v", left, err)
	}
}

// Root in the namespaces can end the process that holds them, to its own harm.
func TestHolderThatIsKilled(t *testing.T) {
	needsNamespaces(t)
	c := newClient(t)
	start(t, c, exact("main", "echo ready; sleep 1000", protocol.Exact{}))
	awaitLine(t, c, "main", "ready")
	for _, child := range ourChildren(t) {
		if pid, line, _ := strings.Cut(child, " "); strings.HasPrefix(line, "agent hold") {
			if err := exec.Command("kill", "-KILL", pid).Run(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 {
		if _, err := c.Exec(bounded(t), command("true"), protocol.Streams{}); refusal(err) == 0 || !strings.Contains(err.Error(), "holds the container's namespaces") {
			t.Errorf("a command beside it: %v", err)
		}
	}
	if err := c.Signal(bounded(t), "main", "KILL"); err != nil {
		t.Fatal(err)
	}
	if state := awaitExit(t, c, "main"); state.ExitCode != 137 {
		t.Errorf("got %+v", state)
	}
	if got := says(t, c, exact("next", "echo as ever", protocol.Exact{})); got != "stdout F as ever\n" {
		t.Errorf("the next one says %q", got)
	}
}
