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
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPoolsThatTheHostDoesNotUse(t *testing.T) {
	for _, c := range []struct{ name, last, used, first string }{
		{"nothing is used", "", "", "198.18.0.0/20"},
		{"the first is the host's", "", "198.18.3.0/24", "198.18.16.0/20"},
		{"routes cover the first four", "", "198.18.0.0/18", "198.18.64.0/20"},
		{"the last one is kept", "198.19.0.0/20", "198.18.0.0/16", "198.19.0.0/20"},
		{"the last one is used by now", "198.19.0.0/20", "198.19.0.1/32", "198.18.0.0/20"},
		{"the last one was of another range", "10.77.0.0/16", "", "198.18.0.0/20"},
		{"everything is used", "", "198.0.0.0/8", ""},
	} {
		var last netip.Prefix
		if c.last != "" {
			last = netip.MustParsePrefix(c.last)
		}
		var used []netip.Prefix
		if c.used != "" {
			used = append(used, netip.MustParsePrefix(c.used))
		}
		got := ""
		if list := candidates(last, used); len(list) > 0 {
			got = list[0].String()
		}
		if got != c.first {
			t.Errorf("%s: %q, want %q", c.name, got, c.first)
		}
	}
	if all := candidates(netip.Prefix{}, nil); len(all) != 32 || all[31].String() != "198.19.240.0/20" {
		t.Errorf("all candidates: %v", all)
	}
	if got := Gateway(netip.MustParsePrefix("198.18.16.0/20")); got.String() != "198.18.16.1" {
		t.Errorf("gateway %s", got)
	}
}

func TestAddressesGoRound(t *testing.T) {
	p := newPool(netip.MustParsePrefix("198.18.0.0/29"), 2)
	take := func(wanted string) string {
		t.Helper()
		var w netip.Addr
		if wanted != "" {
			w = netip.MustParseAddr(wanted)
		}
		a, err := p.take(w)
		if err != nil {
			return err.Error()
		}
		return a.String()
	}
	if first, second := take(""), take(""); first != "198.18.0.2" || second != "198.18.0.3" {
		t.Errorf("the first two: %s, %s", first, second)
	}
	p.giveBack(netip.MustParseAddr("198.18.0.2"))
	if got := take(""); got != "198.18.0.4" {
		t.Errorf("an address that has just been given back was given out: %s", got)
	}
	if got := take("198.18.0.2"); got != "198.18.0.2" {
		t.Errorf("the address of the last time: %s", got)
	}
	for _, wanted := range []string{"198.18.0.2", "198.18.0.7", "10.0.0.1"} { // taken, the range's last, of elsewhere
		if got := take(wanted); got == wanted {
			t.Errorf("got %s", got)
		}
	}
	if got := take(""); got != ErrNoAddress.Error() {
		t.Errorf("got %s out of a full range", got)
	}
}

func TestSetsChangeByTheDifference(t *testing.T) {
	has := elements{"stays": "1", "goes": "", "changes": "1"}
	want := elements{"stays": "1", "changes": "2", "comes": ""}
	gone, come, all := difference(has, want, false)
	if diff := cmp.Diff([]elements{{"goes": "", "changes": "1"}, {"changes": "2", "comes": ""}, want}, []elements{gone, come, all}); diff != "" {
		t.Error(diff)
	}
	// A new daemon adds to what an earlier one had, until it knows all groups.
	gone, come, all = difference(has, want, true)
	wantAll := elements{"stays": "1", "goes": "", "changes": "2", "comes": ""}
	if diff := cmp.Diff([]elements{{"changes": "1"}, {"changes": "2", "comes": ""}, wantAll}, []elements{gone, come, all}); diff != "" {
		t.Error(diff)
	}
}

func TestElementsFillWholeRegisters(t *testing.T) {
	addr := netip.MustParseAddr("198.18.0.2")
	if got, want := openKey(addr, Opening{UDP: true, Port: 0x1234}), "\xc6\x12\x00\x02\x11\x00\x00\x00\x12\x34\x00\x00"; got != want {
		t.Errorf("%x, want %x", got, want)
	}
	if got, want := sourceKey("fk0g002", addr), "fk0g002\x00\x00\x00\x00\x00\x00\x00\x00\x00\xc6\x12\x00\x02"; got != want {
		t.Errorf("%x, want %x", got, want)
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
	conf, plugins := filepath.Join(dir, "cni"), filepath.Join(dir, "plugins")
	if err := WriteCNI("01234567", conf, plugins); err == nil || !strings.Contains(err.Error(), "is missing") {
		t.Errorf("without the plugin: %v", err)
	}
	if err := os.Mkdir(plugins, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(plugins, "frankenetes"), nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteCNI("01234567", conf, plugins); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(conf, "10-frankenetes.conflist"))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Name    string
		Plugins []struct {
			Type         string
			Capabilities map[string]bool
		}
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if got.Name != "fk01234567" || len(got.Plugins) != 1 || got.Plugins[0].Type != "frankenetes" ||
		!got.Plugins[0].Capabilities["io.kubernetes.cri.pod-annotations"] {
		t.Errorf("%s", data)
	}
}
