package runtime

import (
	"net"
	"strings"
)

// The variables by which programs in pods find the API server, and another in
// which the kubelet writes the same address.
const (
	serviceHost = "KUBERNETES_SERVICE_HOST"
	servicePort = "KUBERNETES_SERVICE_PORT"
	serviceLink = "KUBERNETES_PORT_443_TCP_ADDR"
)

// withAPIServer tells a program the API server's own address (host:port) in
// place of that of the Service "kubernetes", which leads nowhere where no
// kube-proxy is. What a pod says itself stays: only the kubelet writes the
// Service's address under both names.
func withAPIServer(env []string, address string) []string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return env
	}
	value := func(name string) (at int, value string) {
		for i, pair := range env {
			if v, ok := strings.CutPrefix(pair, name+"="); ok {
				return i, v
			}
		}
		return -1, ""
	}
	at, now := value(serviceHost)
	_, link := value(serviceLink)
	atPort, _ := value(servicePort)
	if at < 0 || atPort < 0 || now != link {
		return env
	}
	env[at], env[atPort] = serviceHost+"="+host, servicePort+"="+port
	return env
}
