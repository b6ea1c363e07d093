package dns

import (
	"testing"

	"github.com/miekg/dns"
)

func TestAClientThatAsksTooMuchAtOnce(t *testing.T) {
	s, zone := listen(t, "")
	const name = "soon.local.azurecontainer.io."
	zone.Expect(name)
	const refused = 10
	replies := make(chan *dns.Msg)
	for range maxAtOnce + refused {
		go func() { replies <- ask(t, s, "tcp", name, dns.TypeA) }()
	}
	for range refused {
		if reply := <-replies; reply.Rcode != dns.RcodeServerFailure {
			t.Fatalf("one question too many: %s", reply)
		}
	}
	zone.Set(name, one)
	for range maxAtOnce {
		if reply := <-replies; len(reply.Answer) != 1 {
			t.Errorf("one of those that may wait: %s", reply)
		}
	}
	s.crowd.mu.Lock()
	left := len(s.crowd.count)
	s.crowd.mu.Unlock()
	if left != 0 {
		t.Errorf("%d clients are counted when all are answered", left)
	}
	if _, ok := s.crowd.enter(two); !ok {
		t.Error("another client is refused")
	}
}
