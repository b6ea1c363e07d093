package node

import (
	"io/fs"

	"k8s.io/kubernetes/pkg/volume/util/hostutil"
	"k8s.io/kubernetes/pkg/volume/util/subpath"
)

// hostUtil is the node's own file system. Nothing is ever mounted below the
// kubelet's directory, so it need not be shared with containers; making it so
// would take privileges that the node does not have.
type hostUtil struct{ hostutil.HostUtils }

// MakeRShared does nothing.
func (hostUtil) MakeRShared(string) error { return nil }

// subPaths leaves paths in volumes as they are: it is the agent that finds, or
// makes, and mounts them in the group, where volumes are.
type subPaths struct{}

var _ subpath.Interface = subPaths{}

// PrepareSafeSubpath returns the path, from which the runtime tells volume and
// path apart.
func (subPaths) PrepareSafeSubpath(s subpath.Subpath) (string, func(), error) {
	return s.Path, func() {}, nil
}

// SafeMakeDir does nothing.
func (subPaths) SafeMakeDir(string, string, fs.FileMode) error { return nil }

// CleanSubPaths does nothing.
func (subPaths) CleanSubPaths(string, string) error { return nil }
