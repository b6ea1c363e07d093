// Package storage is the embedded cloud's storage accounts and file shares. It
// exists because container groups keep what must outlive them on a share, and
// because a share is also how clients hand files to groups.
//
// A share is a plain directory: groups mount it, and the Files data plane
// reads and writes the same files.
package storage

import (
	"errors"
	"log/slog"
	"net/http"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/store"
)

// Errors of SharePath.
var (
	ErrAccountNotFound = errors.New("no such storage account")
	ErrShareNotFound   = errors.New("no such file share")
	ErrBadKey          = errors.New("not a key of the storage account")
)

// Options are what a Service needs.
type Options struct {
	Store *store.Store
	// Dir holds the shares, each at Dir/{account}/{share}.
	Dir string
	// FilesURL returns the base URL of an account's Files data plane, such as
	// https://127.0.0.1:8443/account/.
	FilesURL func(account string) string
	Location string
	Log      *slog.Logger
}

// Service is the storage of a cloud.
type Service struct{}

// New opens the storage in opts.Dir.
func New(opts Options) (*Service, error) { return &Service{}, nil }

// Register adds the management plane to a server.
func (s *Service) Register(a *arm.Server) {}

// FilesHandler returns the Files data plane, with paths /{account}/{share}/{path}.
func (s *Service) FilesHandler() http.Handler { return nil }

// SharePath returns the directory of a share, for one who has a key of its account.
func (s *Service) SharePath(account, share, key string) (dir string, err error) { return "", nil }
