package node

import "k8s.io/kubernetes/pkg/volume/util/hostutil"

// hostUtil is the node's own file system. Nothing is ever mounted below the
// kubelet's directory, so it need not be shared with containers; making it so
// would take privileges that the node does not have.
type hostUtil struct{ hostutil.HostUtils }

// MakeRShared does nothing.
func (hostUtil) MakeRShared(string) error { return nil }
