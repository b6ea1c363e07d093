// Package conformance runs Kubernetes' own conformance suite against a
// cluster, keeps what came of every test, and tells it by the part of a node
// that a test needs. It exists so that what works and what does not is known
// from tests that others wrote, unchanged, and is written down with the reason
// of every failure (docs/conformance.md).
package conformance
