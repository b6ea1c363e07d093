package network

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFirstFreeSubnet(t *testing.T) {
	prefixes := func(list ...string) (p []netip.Prefix) {
		for _, s := range list {
			p = append(p, netip.MustParsePrefix(s))
		}
		return p
	}
	for _, c := range []struct {
		name, last, want string
		used             []netip.Prefix
	}{
		{"nothing is used", "", "10.77.0.0/16", nil},
		{"the first is the host's", "", "10.78.0.0/16", prefixes("10.77.3.0/24")},
		{"routes cover the first three", "", "10.80.0.0/16", prefixes("10.76.0.0/14")},
		{"the last one is kept", "10.99.0.0/16", "10.99.0.0/16", prefixes("10.77.0.0/16")},
		{"the last one is used by now", "10.99.0.0/16", "10.77.0.0/16", prefixes("10.99.0.1/32")},
	} {
		var last netip.Prefix
		if c.last != "" {
			last = netip.MustParsePrefix(c.last)
		}
		if got, err := firstFree(last, c.used); err != nil || got.String() != c.want {
			t.Errorf("%s: %s, %v; want %s", c.name, got, err, c.want)
		}
	}
	if _, err := firstFree(netip.Prefix{}, prefixes("10.0.0.0/8")); !errors.Is(err, ErrNoSubnet) {
		t.Errorf("everything is used: %v", err)
	}
	if got := Gateway(netip.MustParsePrefix("10.77.0.0/16")); got != netip.MustParseAddr("10.77.0.1") {
		t.Errorf("gateway %s", got)
	}
}

func TestParsePublish(t *testing.T) {
	if host, group, err := ParsePublish("16443:6443"); host != 16443 || group != 6443 || err != nil {
		t.Errorf("%d:%d, %v", host, group, err)
	}
	for _, bad := range []string{"", "80", "80:", ":80", "0:80", "80:0", "65536:80", "a:b", "80:80:80", "-1:80", "127.0.0.1:80:80"} {
		if _, _, err := ParsePublish(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// echo is a group's program: it repeats what it hears, with a mark, when the
// client has finished speaking.
func echo(t *testing.T, mark string) netip.AddrPort {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				heard, _ := io.ReadAll(conn)
				_, _ = conn.Write(append([]byte(mark), heard...))
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func say(t *testing.T, port uint16, what string) (string, error) {
	t.Helper()
	conn, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(what)); err != nil {
		return "", err
	}
	if err := conn.CloseWrite(); err != nil {
		return "", err
	}
	heard, err := io.ReadAll(conn)
	return string(heard), err
}

func TestPublishedPort(t *testing.T) {
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	loopback := netip.MustParseAddr("127.0.0.1")
	port, err := Publish(loopback, 0, log)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Publish(loopback, port.Number(), log); !errors.Is(err, ErrPortTaken) {
		t.Errorf("the port was published twice: %v", err)
	}
	if heard, err := say(t, port.Number(), "hello"); err == nil && heard != "" {
		t.Errorf("a port without a group answered %q", heard)
	}
	for _, mark := range []string{"first ", "second "} { // a group that was replaced has another address
		port.SetTarget(echo(t, mark))
		if heard, err := say(t, port.Number(), "hello"); err != nil || heard != mark+"hello" {
			t.Errorf("heard %q, %v", heard, err)
		}
	}

	open, err := net.Dial("tcp", port.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	port.Close() // ends the open connection too, or would not return
	if _, err := say(t, port.Number(), "hello"); err == nil {
		t.Error("the port still answers")
	}
}

func TestWriteCNI(t *testing.T) {
	dir := t.TempDir()
	o := Options{ID: "01234567", Subnet: netip.MustParsePrefix("10.99.0.0/16")}
	if err := WriteCNI(o, filepath.Join(dir, "cni"), filepath.Join(dir, "leases")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "cni", "10-frankenetes.conflist"))
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Name    string
		Plugins []struct {
			Type, Bridge string
			IPMasq       bool
			IPAM         struct {
				Type, DataDir string
				Ranges        [][]struct{ Subnet, Gateway string }
			}
		}
	}
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	p := list.Plugins[0]
	got := []string{list.Name, p.Type, p.Bridge, p.IPAM.Type, p.IPAM.DataDir, p.IPAM.Ranges[0][0].Subnet, p.IPAM.Ranges[0][0].Gateway}
	want := []string{"fk01234567", "bridge", "fk01234567", "host-local", filepath.Join(dir, "leases"), "10.99.0.0/16", "10.99.0.1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
