package agent

import (
	"testing"
	"time"

	"frankenetes.dev/agent/protocol"
)

func TestOneWhoDoesNotListenIsLetGo(t *testing.T) {
	a := newAudience(time.Millisecond)
	deaf := a.join()
	a.send(protocol.Output, []byte("one"))
	<-deaf.gone
	a.send(protocol.Output, []byte("two")) // waits for nobody
	a.close(0)
}

func TestAudienceHearsAll(t *testing.T) {
	a := newAudience(deadline)
	m := a.join()
	go func() {
		buf := []byte("one")
		a.send(protocol.Output, buf)
		copy(buf, "two") // which must not change what was sent
		a.send(protocol.ErrorOutput, buf)
		a.close(7)
	}()
	first := <-m.output
	second := <-m.output
	if string(first.data) != "one" || string(second.data) != "two" || second.kind != protocol.ErrorOutput {
		t.Errorf("heard %v and %v", first, second)
	}
	if p, more := <-m.output; more {
		t.Errorf("heard %v after the end", p)
	}
	if o := a.outcome(); o.ExitCode != 7 {
		t.Errorf("got %+v", o)
	}
	if _, more := <-a.join().output; more {
		t.Error("there is output for one who came late")
	}
}
