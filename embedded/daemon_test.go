package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"frankenetes.dev/embedded/containerd"
	"frankenetes.dev/embedded/store"
	"frankenetes.dev/pki"
)

// TestMain lets this test's own binary stand in for the daemon.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "stand-in" {
		standIn(os.Args[2], os.Args[3])
		return
	}
	os.Exit(m.Run())
}

// standIn does what a daemon does with its lock and its starter.
func standIn(home, fate string) {
	starter := readyPipe()
	lock, err := takeLock(home, fate == "ends what is left")
	switch {
	case err != nil:
		starter.tell(err)
	case fate == "dies":
		fmt.Fprintln(os.Stderr, "panic: out of luck")
	case fate == "fails":
		starter.tell(errors.New("the disk is full"))
	default:
		defer lock.release()
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		starter.tell(nil)
		<-ctx.Done()
	}
}

func spawnStandIn(t *testing.T, home, fate string) error {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return spawn(ctx, Options{Home: home}, []string{self, "stand-in", home, fate})
}

func TestStartWaitsForReadinessAndStopForTheEnd(t *testing.T) {
	home := t.TempDir()
	if pid, _, err := holder(home); pid != 0 || err != nil {
		t.Errorf("before the start: process %d, %v", pid, err)
	}
	if err := spawnStandIn(t, home, "runs"); err != nil {
		t.Fatal(err)
	}
	pid, _, err := holder(home)
	if err != nil || pid == 0 {
		t.Fatalf("it is ready and has no lock: process %d, %v", pid, err)
	}
	if err := spawnStandIn(t, home, "runs"); !errors.Is(err, ErrLocked) {
		t.Errorf("a second one on the same directory: %v", err)
	}
	if err := Stop(t.Context(), Options{Home: home}); err != nil {
		t.Fatal(err)
	}
	if pid, _, err := holder(home); pid != 0 || err != nil {
		t.Errorf("after the stop: process %d, %v", pid, err)
	}
	if err := Stop(t.Context(), Options{Home: home}); err != nil {
		t.Errorf("stopping what does not run: %v", err)
	}
	if _, err := Stat(t.Context(), Options{Home: home}); !errors.Is(err, ErrNotRunning) {
		t.Errorf("status of what does not run: %v", err)
	}
}

// TestAStopIsNotDisturbedByAnother stops a cloud while another stop ends what a
// dead daemon left.
func TestAStopIsNotDisturbedByAnother(t *testing.T) {
	home := t.TempDir()
	if err := spawnStandIn(t, home, "ends what is left"); err != nil {
		t.Fatal(err)
	}
	pid, ending, err := holder(home)
	if err != nil || pid == 0 || !ending {
		t.Fatalf("it has the directory: process %d, ending what is left: %v, %v", pid, ending, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*askTimeout)
	defer cancel()
	if err := Stop(ctx, Options{Home: home}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the second stop does not wait for the first: %v", err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatalf("the first stop was disturbed: %v", err)
	}
	if err := Stop(t.Context(), Options{Home: home}); err != nil {
		t.Error(err)
	}
}

func TestADaemonThatDoesNotStartIsHeard(t *testing.T) {
	for fate, words := range map[string]string{"dies": "out of luck", "fails": "the disk is full"} {
		if err := spawnStandIn(t, t.TempDir(), fate); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("a daemon that %s: %v", fate, err)
		}
	}
}

func TestTheLogIsPrivateAndDoesNotGrowForEver(t *testing.T) {
	path := logPath(t.TempDir())
	if err := os.WriteFile(path, make([]byte, logKept+1), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() != 0 || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := os.Stat(path + ".1"); err != nil {
		t.Errorf("the old log is lost: %v", err)
	}
}

func TestSettingsStay(t *testing.T) {
	db, err := store.Open(filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	first, err := loadSettings(db)
	if err != nil {
		t.Fatal(err)
	}
	again, err := loadSettings(db)
	if err != nil {
		t.Fatal(err)
	}
	if first.Tenant != again.Tenant || first.Ports != again.Ports || string(first.Authority.Key) != string(again.Authority.Key) {
		t.Errorf("%+v became %+v", first, again)
	}
	for _, p := range []uint16{first.Ports.Management, first.Ports.Files, first.Ports.Registry, first.Ports.Metadata, first.Ports.DNS} {
		if p < firstPort || p > lastPort {
			t.Errorf("port %d", p)
		}
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(int(p)))
		if err != nil {
			t.Errorf("port %d is not free: %v", p, err)
			continue
		}
		l.Close()
	}
	if _, err := pki.LoadAuthority(first.Authority); err != nil {
		t.Error(err)
	}
}

// TestAFailedStartLeavesWhatRanAlone gives up a start before containerd could
// be reached, while containers of an earlier daemon run.
func TestAFailedStartLeavesWhatRanAlone(t *testing.T) {
	o, err := Options{Home: t.TempDir()}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	o.runtimeDir = t.TempDir()
	task := filepath.Join(o.state(), "c/io.containerd.runtime.v2.task", containerd.Namespace, "0123abcd")
	if err := os.MkdirAll(task, 0o700); err != nil {
		t.Fatal(err)
	}
	d := &daemon{options: o}
	if err := d.open(); err != nil {
		t.Fatal(err)
	}
	if err := d.abandon(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(task); err != nil {
		t.Errorf("what the containers need is gone: %v", err)
	}
	if pid, _, err := holder(o.Home); pid != 0 || err != nil {
		t.Errorf("the data directory is still locked by process %d, %v", pid, err)
	}
}

// TestADaemonThatMayNotRunLeavesNothing refuses to start twice: another daemon
// is there, and then the database is damaged.
func TestADaemonThatMayNotRunLeavesNothing(t *testing.T) {
	o, err := Options{Home: t.TempDir()}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	o.runtimeDir = t.TempDir()
	expect := func(want error) {
		t.Helper()
		d := &daemon{options: o}
		err := d.open()
		if closeErr := d.close(); !errors.Is(err, want) || closeErr != nil {
			t.Errorf("%v, %v; want %v", err, closeErr, want)
		}
		if _, err := os.Stat(o.state()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("its runtime directory: %v", err)
		}
	}
	if err := spawnStandIn(t, o.Home, "runs"); err != nil {
		t.Fatal(err)
	}
	expect(ErrLocked)
	if err := Stop(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.Home, "cloud.db"), []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(ErrDamaged)
}

// TestADatabaseThatIsGoneIsNotMadeAnew starts in a directory that has been
// used: a new database would have every group forgotten and swept away.
func TestADatabaseThatIsGoneIsNotMadeAnew(t *testing.T) {
	home := t.TempDir()
	db := filepath.Join(home, "cloud.db")
	first, err := openStore(db, ConfigPath(home)) // a first start, cut short before it wrote the configuration
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(first.Close(), os.Remove(db), os.WriteFile(ConfigPath(home), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := openStore(db, ConfigPath(home)); !errors.Is(err, ErrDamaged) {
		t.Errorf("it was opened: %v", err)
	}
	if _, err := os.Stat(db); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was made: %v", err)
	}
}

func TestRemainsOfADeadDaemonAreSeen(t *testing.T) {
	o := Options{Home: t.TempDir(), runtimeDir: t.TempDir()}
	if o.remains() {
		t.Error("of a cloud that never ran")
	}
	if err := os.MkdirAll(o.state(), 0o700); err != nil { // a start that failed early
		t.Fatal(err)
	}
	if o.remains() {
		t.Error("of a cloud that made nothing")
	}
	if err := os.WriteFile(statusSocket(o), nil, 0o600); err != nil { // the first that is made
		t.Fatal(err)
	}
	if !o.remains() {
		t.Error("not seen")
	}
}
