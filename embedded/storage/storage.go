// Package storage is the embedded cloud's storage accounts and file shares. It
// exists because container groups keep what must outlive them on a share, and
// because a share is also how clients hand files to groups.
//
// A share is a plain directory: groups mount it, and the Files data plane
// reads and writes the same files. What the data plane keeps of a file beside
// its content (metadata, content headers, a lease) is an extended attribute of
// the file. Differences from Azure: names are told apart by case; a share's
// quota is kept but not enforced; a lease binds the data plane, not a container
// that has the share mounted; handles are the open files of processes, which
// cannot be closed by force; links, pipes and devices that a container makes do
// not exist for the data plane; and there are no snapshots, no soft deletion,
// no permissions of single files and no signatures by user delegation.
package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

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
	// https://127.0.0.1:8443/account/, for a client that calls this cloud's
	// Resource Manager by the name of host, which may have a port.
	FilesURL func(account, host string) string
	// Access knows the bearer tokens of the data plane; nil takes none.
	Access Access
	Log    *slog.Logger
}

// trash is the directory, beside those of the accounts, of shares that are
// being removed. No account can have this name.
const trash = ".deleted"

// Service is the storage of a cloud.
type Service struct {
	store    *store.Store
	dir      string
	filesURL func(account, host string) string
	access   Access
	log      *slog.Logger
	// mu is held by whatever adds, changes or removes an account or a share.
	mu sync.Mutex
	// attributes is held while those of a file are read and written.
	attributes sync.Mutex
}

// New makes the service of the storage in opts.Dir, which need not exist.
func New(opts Options) *Service {
	s := &Service{store: opts.Store, dir: opts.Dir, filesURL: opts.FilesURL, access: opts.Access, log: opts.Log}
	// What an earlier daemon had no time to remove.
	if err := os.RemoveAll(filepath.Join(s.dir, trash)); err != nil {
		s.log.Warn("remove deleted shares", "error", err)
	}
	return s
}

// Register adds the management plane to a server, and the deletion of a
// resource group's accounts.
func (s *Service) Register(server *arm.Server) {
	m := &management{service: s, server: server}
	m.registerAccounts()
	m.registerShares()
	// Last: container groups have shares mounted.
	server.OnDeleteResourceGroupLast(m.deleteGroup)
}

// SharePath returns the directory of a share to one who has a key of its
// account, or ErrAccountNotFound, ErrBadKey or ErrShareNotFound.
func (s *Service) SharePath(account, share, key string) (dir string, err error) {
	a, err := s.account(account)
	if errors.Is(err, store.ErrNotFound) {
		return "", fmt.Errorf("share %s of %s: %w", share, account, ErrAccountNotFound)
	}
	if err != nil {
		return "", err
	}
	if !a.hasKey(key) {
		return "", fmt.Errorf("share %s of %s: %w", share, account, ErrBadKey)
	}
	_, err = s.share(account, share)
	if errors.Is(err, store.ErrNotFound) {
		return "", fmt.Errorf("share %s of %s: %w", share, account, ErrShareNotFound)
	}
	if err != nil {
		return "", err
	}
	return s.shareDir(account, share), nil
}

func (s *Service) shareDir(account, share string) string {
	return filepath.Join(s.dir, account, share)
}

// makeShareDir makes the empty directory of a new share. Anyone may write in
// it, as on an Azure mount; its parents keep other users of the machine out.
func (s *Service) makeShareDir(account, share string) error {
	dir := s.shareDir(account, share)
	if err := s.discard(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return fmt.Errorf("make share %s of %s: %w", share, account, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("make share %s of %s: %w", share, account, err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		return fmt.Errorf("make share %s of %s: %w", share, account, err)
	}
	return nil
}

// discard removes a directory, or nothing where there is none. It is moved
// away first, so that a share that is gone is gone as a whole.
func (s *Service) discard(dir string) error {
	bin := filepath.Join(s.dir, trash)
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	away := filepath.Join(bin, rand.Text())
	err := os.Rename(dir, away)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.RemoveAll(away)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	return nil
}

// management answers the requests of Microsoft.Storage.
type management struct {
	service *Service
	server  *arm.Server
}

// deleteGroup deletes the accounts of a resource group with all their data.
func (m *management) deleteGroup(_ context.Context, sub, rg string) error {
	accounts, err := m.service.accountsUnder("/subscriptions/" + sub + "/resourceGroups/" + rg)
	if err != nil {
		return err
	}
	for _, a := range accounts {
		if err := m.service.deleteAccount(a); err != nil {
			return err
		}
	}
	return nil
}
