// Package azurefiles is an Azure file share for tests: a directory, mounted
// through FUSE by any number of clients with the rules that SMB has and a local
// file system has not. What is on a share is safe on Azure only if the programs
// that put it there live with those rules, and the embedded cloud, whose shares
// are plain directories, cannot show whether they do.
//
// A Share is the server; its directory holds what would survive everything. A
// Client is the machine that a container group runs on: it has a cache, which
// is lost with it. DESIGN.md says which rule comes from which measurement.
//
// No process must map a file of a mount that it serves itself: while it waits
// for the page, the Go runtime may wait for it, and nobody is left to bring it.
package azurefiles
