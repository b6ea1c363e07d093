package storage

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"frankenetes.dev/embedded/store"
)

// shareKind is the kind of the records of shares, under "account/share".
const shareKind = "fileShares"

// share is the record of a file share.
type share struct {
	Account    string            `json:"account"`
	Name       string            `json:"name"`
	Metadata   map[string]string `json:"metadata,omitempty"`
	AccessTier string            `json:"accessTier"`
	// QuotaGiB is what clients are told.
	QuotaGiB int                `json:"quotaGiB"`
	Modified time.Time          `json:"modified"`
	Policies []signedIdentifier `json:"policies,omitempty"`
	Lease    lease              `json:"lease,omitzero"`
}

const (
	defaultQuotaGiB = 5120
	maxQuotaGiB     = 102400
	defaultTier     = "TransactionOptimized"
)

func accessTiers() []string { return []string{defaultTier, "Hot", "Cool", "Premium"} }

func shareKey(account, name string) string { return account + "/" + name }

func (sh share) key() string { return shareKey(sh.Account, sh.Name) }

// etag changes with every change of the share's properties.
func (sh share) etag() string { return fmt.Sprintf("\"0x%X\"", sh.Modified.UnixNano()) }

var shareName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func validShareName(name string) bool {
	return len(name) >= 3 && len(name) <= 63 && shareName.MatchString(name)
}

// share returns a share, or store.ErrNotFound.
func (s *Service) share(account, name string) (share, error) {
	var sh share
	err := s.store.Get(shareKind, shareKey(account, name), &sh)
	return sh, err
}

// shares returns the shares of an account, by name.
func (s *Service) shares(account string) ([]share, error) {
	list := []share{}
	err := s.store.Each(shareKind, account+"/", func(key string, value []byte) error {
		var sh share
		if err := json.Unmarshal(value, &sh); err != nil {
			return fmt.Errorf("read share %s: %w", key, err)
		}
		list = append(list, sh)
		return nil
	})
	return list, err
}

// putShare creates a share or changes the one there is, by what change does to
// its record, and says whether it was there. An error of change ends it.
func (s *Service) putShare(account, name string, change func(*share) error) (sh share, existed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Again under the lock: the account may be going.
	if _, err := s.account(account); err != nil {
		return sh, false, err
	}
	sh, err = s.share(account, name)
	existed = err == nil
	switch {
	case errors.Is(err, store.ErrNotFound):
		sh = share{Account: account, Name: name, QuotaGiB: defaultQuotaGiB, AccessTier: defaultTier}
	case err != nil:
		return sh, false, err
	}
	if err := change(&sh); err != nil {
		return sh, existed, err
	}
	if !existed {
		if err := s.makeShareDir(account, name); err != nil {
			return sh, false, err
		}
	}
	sh.Modified = time.Now().UTC()
	return sh, existed, s.store.Put(shareKind, sh.key(), sh)
}

// deleteShare removes a share, unless check of it fails, and says whether there
// was one.
func (s *Service) deleteShare(account, name string, check func(share) error) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh, err := s.share(account, name)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := check(sh); err != nil {
		return true, err
	}
	if err := s.store.Delete(shareKind, sh.key()); err != nil {
		return true, err
	}
	return true, s.discard(s.shareDir(account, name))
}
