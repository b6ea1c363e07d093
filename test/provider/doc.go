// Package baremetal tries a node on a place of its own to run pods: a real
// containerd with a network of CNI plugins, and no cloud. The control plane is
// etcd and the API server as plain processes. It needs root, the binaries of
// `make build` in $FRANKENETES_BIN, and there in test/cni the plugins that
// `make e2e` builds.
package baremetal
