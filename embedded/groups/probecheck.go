package groups

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	// maxProbeOutput is how much, in bytes, an event tells of what a probe's command wrote.
	maxProbeOutput = 1 << 10
	// maxProbeBody is how much, in bytes, is read of an answer.
	maxProbeBody = 10 << 10
	// maxRedirects is how often a probe goes where it is sent.
	maxRedirects = 10
)

// checkOf returns the function that asks a run of the container.
func (w *worker) checkOf(p *Probe, id string) func(context.Context) (string, error) {
	timeout := max(seconds(p.TimeoutSeconds, probeTimeout), time.Second)
	if p.HTTPGet != nil {
		return func(ctx context.Context) (string, error) {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			return w.d.checkHTTP(ctx, p.HTTPGet)
		}
	}
	return func(ctx context.Context) (string, error) {
		return w.d.engine.checkExec(ctx, id, p.Exec.Command, timeout)
	}
}

// checkExec runs a command in a container: exit code 0 is well.
func (e *engine) checkExec(ctx context.Context, id string, command []string, timeout time.Duration) (string, error) {
	// The runtime counts the time itself, ends the command, and needs a moment
	// to say so.
	ctx, cancel := context.WithTimeout(ctx, timeout+10*time.Second)
	defer cancel()
	r, err := e.cri.ExecSync(ctx, &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: command, Timeout: int64(timeout.Seconds())})
	switch {
	case grpcstatus.Code(err) == codes.DeadlineExceeded:
		return fmt.Sprintf("command timed out: %q timed out after %s", strings.Join(command, " "), timeout), nil
	case err != nil:
		return "", errors.New(reason(err))
	case r.ExitCode == 0:
		return "", nil
	}
	said := strings.TrimSpace(string(r.Stdout) + string(r.Stderr))
	if len(said) > maxProbeOutput {
		said = said[:maxProbeOutput]
	}
	return cmp.Or(strings.ToValidUTF8(said, "\uFFFD"), fmt.Sprintf("command exited with %d", r.ExitCode)), nil
}

// checkHTTP asks a port at the group's address, from inside the group: 200 to
// 399 is well. A certificate is not looked at.
func (d *deployment) checkHTTP(ctx context.Context, p *HTTPProbe) (string, error) {
	netns, err := d.netns(ctx)
	if err != nil {
		return "", err
	}
	request, err := p.request(ctx, d.status.snapshot().IP)
	if err != nil {
		return "", err
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return d.engine.dial(ctx, netns, address)
		},
		TLSClientConfig:    &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // whoever runs in the group could answer anyway
		DisableKeepAlives:  true,
		DisableCompression: true,
	}
	client := &http.Client{Transport: transport, CheckRedirect: stayOnHost}
	answer, err := client.Do(request)
	if err != nil {
		return err.Error(), nil
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(answer.Body, maxProbeBody)); err != nil {
		return err.Error(), nil
	}
	if answer.StatusCode < 200 || answer.StatusCode >= 400 {
		return fmt.Sprintf("HTTP probe failed with statuscode: %d", answer.StatusCode), nil
	}
	return "", nil
}

// stayOnHost follows redirects to the same host; another is taken for an answer.
func stayOnHost(to *http.Request, via []*http.Request) error {
	if to.URL.Hostname() != via[0].URL.Hostname() {
		return http.ErrUseLastResponse
	}
	if len(via) >= maxRedirects {
		return fmt.Errorf("stopped after %d redirects", maxRedirects)
	}
	return nil
}

// request is what the probe sends to an address.
func (p *HTTPProbe) request(ctx context.Context, ip string) (*http.Request, error) {
	at, err := url.Parse(p.Path)
	if err != nil { // as a path it may still do
		at = &url.URL{Path: p.Path}
	}
	at.Scheme, at.Host, at.User = cmp.Or(strings.ToLower(p.Scheme), "http"), net.JoinHostPort(ip, strconv.Itoa(int(p.Port))), nil
	if !path.IsAbs(at.Path) {
		at.Path = "/" + at.Path
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("User-Agent", "kube-probe") // what applications know a probe by
	request.Header.Set("Accept", "*/*")
	sent := map[string]bool{}
	for _, h := range p.Headers {
		if name := http.CanonicalHeaderKey(h.Name); !sent[name] {
			sent[name] = true
			request.Header.Del(name)
		}
		request.Header.Add(h.Name, h.Value)
		if strings.EqualFold(h.Name, "Host") {
			request.Host = h.Value
		}
	}
	return request, nil
}
