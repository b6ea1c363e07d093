package groups

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func number32(n int32) *integer { i := integer(n); return &i }

// TestProberCounts lets probes run on a clock of their own. An answer is y
// (well), n (not well) or ? (none); what is expected is when, in seconds after
// the start, what was made up.
func TestProberCounts(t *testing.T) {
	for _, c := range []struct {
		name    string
		probe   Probe
		well    bool
		answers string
		want    string
	}{
		{"the third failure counts", Probe{}, true, "nnn", "20:false"},
		{"a good answer forgives", Probe{}, true, "nnynnyn", ""},
		{"no answer is no answer", Probe{}, true, "n?n?n", "40:false"},
		{"one good answer makes ready", Probe{}, false, "ny", "10:true"},
		{"ready, not, and ready again", Probe{}, false, "ynnnny", "0:true 30:false 50:true"},
		{"its own numbers", Probe{InitialDelaySeconds: number32(7), PeriodSeconds: number32(2), FailureThreshold: number32(2), SuccessThreshold: number32(3)}, false,
			"yyyynn", "11:true 17:false"},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			started, asked := time.Now(), 0
			var made []string
			p := &prober{kind: "Readiness", probe: &c.probe, well: c.well, event: func(string) {},
				check: func(context.Context) (string, error) {
					asked++
					switch c.answers[asked-1] {
					case 'y':
						return "", nil
					case 'n':
						return "no", nil
					}
					return "", errors.New("cannot ask")
				},
				changed: func(_ context.Context, well bool) bool {
					made = append(made, fmt.Sprintf("%.0f:%v", time.Since(started).Seconds(), well))
					return true
				}}
			check := p.check
			p.check = func(ctx context.Context) (string, error) {
				if asked == len(c.answers) {
					cancel()
					return "", ctx.Err()
				}
				return check(ctx)
			}
			p.run(ctx, started)
			cancel()
			if got := strings.Join(made, " "); got != c.want {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
			}
		})
	}
}

func TestExecProbe(t *testing.T) {
	w := newWorld(t)
	e := &engine{cri: w.options.Runtime}
	for _, c := range []struct {
		answer *runtimeapi.ExecSyncResponse
		err    error
		want   string
		failed bool
	}{
		{&runtimeapi.ExecSyncResponse{}, nil, "", false},
		{&runtimeapi.ExecSyncResponse{ExitCode: 1, Stdout: []byte("out "), Stderr: []byte("err\n")}, nil, "out err", false},
		{&runtimeapi.ExecSyncResponse{ExitCode: 2}, nil, "command exited with 2", false},
		{nil, grpcstatus.Error(codes.DeadlineExceeded, "too late"), `command timed out: "cat /ready" timed out after 2s`, false},
		{nil, grpcstatus.Error(codes.NotFound, "no such container"), "", true},
	} {
		w.runtime.execSync = func(r *runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error) {
			if r.Timeout != 2 || r.ContainerId != "id" {
				t.Errorf("asked for %v", r)
			}
			return c.answer, c.err
		}
		got, err := e.checkExec(t.Context(), "id", []string{"cat", "/ready"}, 2*time.Second)
		if got != c.want || (err != nil) != c.failed {
			t.Errorf("%v, %v: %q, %v", c.answer, c.err, got, err)
		}
	}
}

func TestHTTPProbe(t *testing.T) {
	var seen *http.Request
	answers := http.NewServeMux()
	answers.HandleFunc("/{status}", func(w http.ResponseWriter, r *http.Request) {
		seen = r
		status, _ := strconv.Atoi(r.PathValue("status"))
		w.WriteHeader(status)
	})
	answers.Handle("/here", http.RedirectHandler("/500", http.StatusFound))
	answers.Handle("/there", http.RedirectHandler("http://elsewhere.example/", http.StatusFound))
	answers.Handle("/round", http.RedirectHandler("/round", http.StatusFound))
	plain, secure := httptest.NewServer(answers), httptest.NewTLSServer(answers)
	defer plain.Close()
	defer secure.Close()

	w := newWorld(t)
	sandbox, err := w.options.Runtime.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{Config: &runtimeapi.PodSandboxConfig{Metadata: &runtimeapi.PodSandboxMetadata{}}})
	if err != nil {
		t.Fatal(err)
	}
	server := plain
	e := &engine{cri: w.options.Runtime, dial: func(ctx context.Context, netns, address string) (net.Conn, error) {
		if netns != "/netns/"+sandbox.PodSandboxId || address != "10.77.0.9:8080" {
			t.Errorf("dialled %s in %s", address, netns)
		}
		return (&net.Dialer{}).DialContext(ctx, "tcp", server.Listener.Addr().String())
	}}
	d := &deployment{engine: e, sandbox: sandbox.PodSandboxId, status: &status{ip: "10.77.0.9"}}
	for path, want := range map[string]string{"/200": "", "/399": "", "204?a=b": "", "/there": "", "/400": "HTTP probe failed with statuscode: 400",
		"/here": "HTTP probe failed with statuscode: 500", "/round": `Get "/round": stopped after 10 redirects`} {
		if got, err := d.checkHTTP(t.Context(), &HTTPProbe{Path: path, Port: 8080}); got != want || err != nil {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	server = secure
	probe := HTTPProbe{Path: "/200", Port: 8080, Scheme: "HTTPS", Headers: []HTTPHeader{{"X-One", "1"}, {"x-one", "2"}, {"Host", "site.example"}, {"User-Agent", "mine"}}}
	if got, err := d.checkHTTP(t.Context(), &probe); got != "" || err != nil {
		t.Errorf("https: %q, %v", got, err)
	}
	if seen.Host != "site.example" || seen.UserAgent() != "mine" || !cmp.Equal(seen.Header["X-One"], []string{"1", "2"}) {
		t.Errorf("the request was for %s, with %v", seen.Host, seen.Header)
	}
	secure.Close()
	if got, err := d.checkHTTP(t.Context(), &probe); !strings.Contains(got, "connection refused") || err != nil {
		t.Errorf("nobody listens: %q, %v", got, err)
	}
}

// TestProbesOfAGroup deploys without asking the validator.
func TestProbesOfAGroup(t *testing.T) {
	w := newWorld(t)
	answer := make(chan int32)
	w.runtime.execSync = func(*runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error) {
		return &runtimeapi.ExecSyncResponse{ExitCode: <-answer}, nil
	}
	t.Cleanup(func() { close(answer) }) // before the server of the fake waits for its calls
	ready := make(chan bool, 100)
	e := &engine{cri: w.options.Runtime, images: w.options.Images, watcher: newWatcher(w.options.Runtime, w.options.Log), cgroups: w.cgroups,
		paths: w.options.Paths, log: w.options.Log, expose: func(_ string, r map[string]bool) { ready <- r["web"] }}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go e.watcher.run(ctx)
	web := Container{Name: "web", Properties: ContainerProperties{Image: testImage,
		ReadinessProbe: &Probe{Exec: &ExecProbe{Command: []string{"true"}}, PeriodSeconds: number32(1), FailureThreshold: number32(1)}}}
	d := newTestDeployment(e, "probed", web)
	e.deploy(ctx, d, nil, func() {})
	defer d.release()
	expect := func(want bool, when string) {
		t.Helper()
		for got := range ready {
			if got == want {
				return
			}
			if want {
				continue // it may be told again that it is not
			}
			t.Fatalf("%s: ready is %v", when, got)
		}
	}
	expect(false, "before it runs")
	answer <- 0
	expect(true, "after a good answer")
	answer <- 1
	expect(false, "after a bad answer")
	answer <- 0
	expect(true, "after another good one")
	w.runtime.finish(t, "web", 0, "")
	expect(false, "when it has ended")
	if got := d.status.snapshot().Containers["web"].Events; !strings.Contains(fmt.Sprint(got), "Readiness probe failed: command exited with 1") {
		t.Errorf("events: %v", got)
	}
}

func TestALivenessProbeKills(t *testing.T) {
	w := newWorld(t)
	w.runtime.execSync = func(*runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error) {
		return &runtimeapi.ExecSyncResponse{ExitCode: 1, Stderr: []byte("unwell")}, nil
	}
	for policy, restarted := range map[string]bool{always: true, onFailure: true, never: false} {
		e := &engine{cri: w.options.Runtime, images: w.options.Images, watcher: newWatcher(w.options.Runtime, w.options.Log), cgroups: w.cgroups, paths: w.options.Paths, log: w.options.Log}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go e.watcher.run(ctx)
		name := strings.ToLower(policy)
		d := newTestDeployment(e, name, Container{Name: name, Properties: ContainerProperties{Image: testImage,
			LivenessProbe: &Probe{Exec: &ExecProbe{Command: []string{"true"}}, FailureThreshold: number32(1)}}})
		d.group.Properties.RestartPolicy = policy
		e.deploy(ctx, d, nil, func() {})
		if restarted {
			w.runtime.await(t, "another run of "+name, func() bool {
				return strings.Contains(strings.Join(w.runtime.calls, " "), "start "+name+"/1")
			})
			d.release()
		} else {
			<-d.done
		}
		got := d.status.snapshot().Containers[name]
		if (got.Restarts > 0) != restarted || got.Final == restarted {
			t.Errorf("%s: %d restarts, final %v", policy, got.Restarts, got.Final)
		}
		var events []string
		for _, e := range got.Events {
			events = append(events, e.Name)
		}
		if told := strings.Join(events, " "); !strings.Contains(told, "Started Unhealthy Killing") {
			t.Errorf("%s: events %s", policy, told)
		}
	}
}
