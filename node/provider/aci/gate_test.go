package aci_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"frankenetes.dev/node/provider"
	"frankenetes.dev/node/provider/aci"
)

// throttle answers as ARM does who asks too often, and remembers who came
// before the time that it had said.
type throttle struct {
	every time.Duration

	mu            sync.Mutex
	next, said    time.Time
	passed, early int
}

// let reports whether a request may pass, and answers it if not.
func (th *throttle) let(w http.ResponseWriter) bool {
	th.mu.Lock()
	defer th.mu.Unlock()
	now := time.Now()
	if now.Before(th.said) {
		th.early++
	}
	if now.Before(th.next) {
		// A little more than is needed, as whole seconds are.
		wait := th.next.Sub(now).Milliseconds() + 1
		th.said = now.Add(time.Duration(wait) * time.Millisecond)
		refuseFor(w, "Retry-After-Ms", strconv.FormatInt(wait, 10))
		return false
	}
	th.next, th.passed = now.Add(th.every), th.passed+1
	return true
}

func refuseFor(w http.ResponseWriter, header, value string) {
	w.Header().Set(header, value)
	w.WriteHeader(http.StatusTooManyRequests)
	io.WriteString(w, `{"error":{"code":"TooManyRequests","message":"Please retry later."}}`)
}

const accepted = `{"name":"g","properties":{"provisioningState":"Pending","containers":[],"osType":"Linux"}}`

func TestNobodyComesBeforeTheTimeThatTheCloudSays(t *testing.T) {
	th := &throttle{every: 30 * time.Millisecond}
	p := against(t, "/the/subnet", func(w http.ResponseWriter, r *http.Request) {
		if !th.let(w) {
			return
		}
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, accepted)
	})
	for what, ask := range map[string]func(name string) error{
		"create": func(name string) error { return p.Create(t.Context(), provider.Group{Name: name}) },
		"delete": func(name string) error { return p.Delete(t.Context(), name) },
	} {
		for i := range 2 { // the second is throttled, which is then known
			if err := ask("first-" + strconv.Itoa(i)); err != nil {
				t.Fatal(err)
			}
		}
		th.mu.Lock()
		th.early, th.passed = 0, 0
		th.mu.Unlock()
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				if err := ask(fmt.Sprintf("g%d", i)); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			})
		}
		all.Wait()
		th.mu.Lock()
		// All may come at once when nothing is known to be in the way; none of
		// the rest.
		if th.passed != 8 || th.early > 7 {
			t.Errorf("%s: %d requests have passed, %d came too early", what, th.passed, th.early)
		}
		th.mu.Unlock()
	}
}

func TestWhoWouldWaitForLongIsToldWhy(t *testing.T) {
	var puts, others atomic.Int32
	p := against(t, "/the/subnet", func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodPut:
			puts.Add(1)
			refuseFor(w, "Retry-After", "300")
		case http.MethodDelete:
			others.Add(1)
			w.WriteHeader(http.StatusNoContent)
		default:
			others.Add(1)
			io.WriteString(w, `{"value":[]}`)
		}
	})
	for _, name := range []string{"one", "two", "three"} {
		err := p.Create(t.Context(), provider.Group{Name: name})
		if !errors.Is(err, provider.ErrThrottled) || !errors.Is(err, provider.ErrRefused) ||
			err.Error() != "create container group "+name+": TooManyRequests: Please retry later." {
			t.Errorf("Create = %v, want what the cloud says", err)
		}
	}
	if n := puts.Load(); n != 1 {
		t.Errorf("the cloud was asked %d times, want once in five minutes", n)
	}
	// What is not throttled goes on.
	if err := p.Delete(t.Context(), "four"); err != nil {
		t.Error(err)
	}
	if _, err := p.List(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if n := others.Load(); n != 2 {
		t.Errorf("%d other requests, want two", n)
	}
}

func TestThrottledReadsAreKeptBack(t *testing.T) {
	var asked atomic.Int32
	p := against(t, "/the/subnet", func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		refuseFor(w, "Retry-After", "60")
	})
	for range 3 {
		if _, err := p.List(t.Context(), nil); !errors.Is(err, provider.ErrThrottled) {
			t.Errorf("List = %v", err)
		}
		if _, err := p.Ended(t.Context(), "g"); !errors.Is(err, provider.ErrThrottled) {
			t.Errorf("Ended = %v", err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the cloud was asked %d times, want once", n)
	}
}

func TestADeleteWaitsWhileItsOperationIsThrottled(t *testing.T) {
	var asked atomic.Int32
	p := against(t, "/the/subnet", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodDelete:
			w.Header().Set("Azure-AsyncOperation", "https://"+r.Host+"/operation?api-version=2023-05-01")
			w.Header().Set("Retry-After-Ms", "1")
			w.WriteHeader(http.StatusAccepted)
		case asked.Add(1) == 1:
			refuseFor(w, "Retry-After-Ms", "5")
		default:
			io.WriteString(w, `{"status":"Succeeded"}`)
		}
	})
	if err := p.Delete(t.Context(), "g"); err != nil || asked.Load() != 2 {
		t.Errorf("Delete = %v after %d questions, want success after two", err, asked.Load())
	}
}

func TestWhatARefusalIs(t *testing.T) {
	for _, c := range []struct {
		status             int
		code               string
		refused, throttled bool
	}{
		{http.StatusBadRequest, "ContainerGroupQuotaReached", true, false},
		{http.StatusConflict, "ServiceUnavailable", true, false},
		{http.StatusTooManyRequests, "TooManyRequests", true, true},
		{http.StatusNotImplemented, "Odd", false, false},
	} {
		p := against(t, "/the/subnet", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(c.status)
			fmt.Fprintf(w, `{"error":{"code":%q,"message":"No."}}`, c.code)
		})
		err := p.Create(t.Context(), provider.Group{Name: "g"})
		if errors.Is(err, provider.ErrRefused) != c.refused || errors.Is(err, provider.ErrThrottled) != c.throttled {
			t.Errorf("%s: %v is a refusal: %v, throttled: %v", c.code, err, errors.Is(err, provider.ErrRefused), errors.Is(err, provider.ErrThrottled))
		}
		var told *aci.Error
		if err := p.Delete(t.Context(), "g"); errors.Is(err, provider.ErrRefused) || !errors.As(err, &told) || !strings.Contains(told.Code, c.code) {
			t.Errorf("%s: Delete = %v", c.code, err)
		}
	}
}
