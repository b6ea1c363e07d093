package dns

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

var (
	one = netip.MustParseAddr("10.77.0.2")
	two = netip.MustParseAddr("10.77.0.3")
)

func TestLookupsWaitForWhatIsExpected(t *testing.T) {
	z := NewZone()
	z.Expect("etcd.local.example")
	answer := make(chan netip.Addr)
	go func() { answer <- z.Lookup(t.Context(), "ETCD.local.example.") }()
	select {
	case a := <-answer:
		t.Fatalf("answered %s before there was an address", a)
	default:
	}
	z.Set("etcd.local.example", one)
	if got := <-answer; got != one {
		t.Errorf("answered %s", got)
	}

	// The group is replaced: the old address is not told any more.
	z.Expect("etcd.local.example")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := z.Lookup(ctx, "etcd.local.example"); got.IsValid() {
		t.Errorf("answered the address of the past, %s", got)
	}
	z.Set("etcd.local.example", two)
	if got := z.Lookup(t.Context(), "etcd.local.example"); got != two {
		t.Errorf("answered %s", got)
	}
}

func TestRemovalWakesWhoWaits(t *testing.T) {
	z := NewZone()
	z.Expect("gone")
	answer := make(chan netip.Addr)
	go func() { answer <- z.Lookup(t.Context(), "gone") }()
	z.Remove("gone")
	if got := <-answer; got.IsValid() || z.Has("gone") {
		t.Errorf("answered %s", got)
	}
}

// upstream is one of the host's resolvers.
func upstream(t *testing.T) netip.AddrPort {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	server := &dns.Server{PacketConn: conn, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Answer = append(m.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{"from upstream"}})
		_ = w.WriteMsg(m)
	})}
	go func() { _ = server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { _ = server.Shutdown() })
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func listen(t *testing.T, resolvers string) (*Server, *Zone) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(path, []byte(resolvers), 0o600); err != nil {
		t.Fatal(err)
	}
	zone := NewZone()
	private := func(client netip.Addr, name string) ([]netip.Addr, uint32, bool) {
		if client.String() != "127.0.0.1" {
			t.Errorf("%s asks", client)
		}
		known := map[string][]netip.Addr{"etcd.demo.internal": {one, two}}[name]
		return known, 7, strings.HasSuffix(name, ".demo.internal")
	}
	s, err := Listen(Options{Address: netip.MustParseAddrPort("127.0.0.1:0"), Zone: zone, Private: private, Suffixes: []string{"local.azurecontainer.io", "frankenetes.internal"},
		ResolvConf: path, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, zone
}

func ask(t *testing.T, s *Server, network, name string, kind uint16) *dns.Msg {
	t.Helper()
	client := dns.Client{Net: network, Timeout: 10 * time.Second}
	reply, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, kind), s.Address().String())
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

func TestAnswers(t *testing.T) {
	s, zone := listen(t, "")
	zone.Set("web.local.azurecontainer.io", one)
	zone.Expect("soon.local.azurecontainer.io")
	for _, network := range []string{"udp", "tcp"} {
		reply := ask(t, s, network, "Web.Local.azurecontainer.io.", dns.TypeA)
		if len(reply.Answer) != 1 || reply.Answer[0].(*dns.A).A.String() != one.String() || reply.Answer[0].Header().Ttl != 1 || !reply.Authoritative {
			t.Errorf("%s: %s", network, reply)
		}
	}
	if reply := ask(t, s, "udp", "soon.local.azurecontainer.io.", dns.TypeAAAA); reply.Rcode != dns.RcodeSuccess || len(reply.Answer) != 0 {
		t.Errorf("AAAA of a name that is expected: %s", reply)
	}
	if reply := ask(t, s, "udp", "absent.local.azurecontainer.io.", dns.TypeA); reply.Rcode != dns.RcodeNameError {
		t.Errorf("a name that does not exist: %s", reply)
	}
	if reply := ask(t, s, "udp", "elsewhere.example.", dns.TypeA); reply.Rcode != dns.RcodeServerFailure {
		t.Errorf("a foreign name, and nobody to ask: %s", reply)
	}
}

func TestAnswersWaitForGroups(t *testing.T) {
	s, zone := listen(t, "")
	zone.Expect("soon.local.azurecontainer.io")
	replies := make(chan *dns.Msg)
	go func() { replies <- ask(t, s, "udp", "soon.local.azurecontainer.io.", dns.TypeA) }()
	zone.Set("soon.local.azurecontainer.io", two)
	if reply := <-replies; len(reply.Answer) != 1 {
		t.Errorf("%s", reply)
	}
}

func TestForeignNamesAreForwarded(t *testing.T) {
	at := upstream(t)
	s, _ := listen(t, "")
	reply, err := s.ask(new(dns.Msg).SetQuestion("elsewhere.example.", dns.TypeTXT), at.String())
	if err != nil || len(reply.Answer) != 1 {
		t.Errorf("%v, %v", reply, err)
	}
}

func TestNamesOfTheClientsNetwork(t *testing.T) {
	s, _ := listen(t, "")
	reply := ask(t, s, "udp", "Etcd.demo.internal.", dns.TypeA)
	if len(reply.Answer) != 2 || reply.Answer[1].(*dns.A).A.String() != two.String() || reply.Answer[0].Header().Ttl != 7 {
		t.Errorf("%s", reply)
	}
	if reply := ask(t, s, "udp", "etcd.demo.internal.", dns.TypeAAAA); reply.Rcode != dns.RcodeSuccess || len(reply.Answer) != 0 {
		t.Errorf("AAAA: %s", reply)
	}
	// Nobody else may be asked, though nobody here could answer either.
	if reply := ask(t, s, "udp", "absent.demo.internal.", dns.TypeA); reply.Rcode != dns.RcodeNameError {
		t.Errorf("a name that does not exist: %s", reply)
	}
}
