package main

import (
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	connectTimeout = 700 * time.Millisecond
	tokenURL       = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F"
)

// networkAttempts look for services of the host, and for what the cloud's own
// services say to somebody who does not say who it is.
func networkAttempts() []attempt {
	return []attempt{
		{"services of the host", hostServices},
		{"the resource manager without a token", func(t target) (string, error) {
			return ask(t.url+"/subscriptions?api-version=2022-12-01", "", "")
		}},
		{"the resource manager with a token of one's own making", func(t target) (string, error) {
			return ask(t.url+"/subscriptions?api-version=2022-12-01", "Authorization", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.")
		}},
		{"a token without the metadata header", func(t target) (string, error) { return t.token("", "") }},
		{"a token by way of a proxy", func(t target) (string, error) { return t.token("X-Forwarded-For", "127.0.0.1") }},
		{"a token without an identity", func(t target) (string, error) { return t.token("Metadata", "true") }},
	}
}

// hostServices connects to every address, side by side: what a firewall drops
// takes as long as one cares to wait.
func hostServices(t target) (string, error) {
	addresses := strings.Split(strings.ReplaceAll(t.addresses, "gateway", gateway()), ",")
	answers := make(chan string)
	for _, address := range addresses {
		go func() {
			conn, err := net.DialTimeout("tcp", address, connectTimeout)
			if err != nil {
				answers <- ""
				return
			}
			conn.Close()
			answers <- address
		}()
	}
	var open []string
	for range addresses {
		if address := <-answers; address != "" {
			open = append(open, address)
		}
	}
	if len(open) > 0 {
		return strings.Join(open, ", "), nil
	}
	return "", fmt.Errorf("none of %d addresses answers", len(addresses))
}

// gateway is the host, as seen from a group.
func gateway() string {
	routes, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(routes)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[1] != "00000000" {
			continue
		}
		if b, err := hex.DecodeString(fields[2]); err == nil && len(b) == 4 {
			return net.IPv4(b[3], b[2], b[1], b[0]).String()
		}
	}
	return ""
}

func (t target) token(header, value string) (string, error) {
	if !t.metadata {
		return "", errors.New("not asked")
	}
	return ask(tokenURL, header, value)
}

// ask succeeds when the answer does.
func ask(url, header, value string) (string, error) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	if header != "" {
		request.Header.Set(header, value)
	}
	// Who answers does not matter here, only what.
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 200))
	if answer.StatusCode >= 300 {
		return "", fmt.Errorf("%s %s", answer.Status, body)
	}
	return answer.Status, nil
}
