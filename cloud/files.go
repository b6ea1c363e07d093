package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/file"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/fileerror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/service"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/share"
)

// Share is a file share, reached through the Files API.
type Share struct {
	name   string
	client *share.Client
}

// AccountKey returns a storage account's first key and the base URL of its
// file service.
func (c *Connection) AccountKey(ctx context.Context, resourceGroup, account string) (key, files string, err error) {
	props, err := c.Accounts.GetProperties(ctx, resourceGroup, account, nil)
	if err != nil {
		return "", "", fmt.Errorf("get storage account %s: %w", account, explain(err))
	}
	keys, err := c.Accounts.ListKeys(ctx, resourceGroup, account, nil)
	if err != nil {
		return "", "", fmt.Errorf("list keys of storage account %s: %w", account, explain(err))
	}
	if len(keys.Keys) == 0 || props.Properties == nil || props.Properties.PrimaryEndpoints == nil || props.Properties.PrimaryEndpoints.File == nil {
		return "", "", fmt.Errorf("storage account %s has no key or no file service", account)
	}
	return *keys.Keys[0].Value, *props.Properties.PrimaryEndpoints.File, nil
}

// OpenShare returns a share of the account that has the given key and base URL.
func (c *Connection) OpenShare(account, key, files, name string) (*Share, error) {
	return openShare(ShareConfig{Account: account, Key: key, Files: files, Name: name}, c.options.ClientOptions)
}

// ShareConfig is all that a program needs for one file share, and nothing else
// of the cloud. It is secret.
type ShareConfig struct {
	Account string `json:"account"`
	// Key is the account's, Files the base URL of its file service.
	Key   string `json:"key"`
	Files string `json:"files"`
	Name  string `json:"name"`
	// CA is a PEM bundle trusted in addition to the system's roots.
	CA string `json:"ca,omitempty"`
}

// ShareForGroup returns the configuration with which a group of this cloud
// reaches a share.
func (c Config) ShareForGroup(account, key, files, name string) ShareConfig {
	if c.Inside != nil {
		files = c.Inside.Files + "/" + account
	}
	return ShareConfig{Account: account, Key: key, Files: files, Name: name, CA: c.CA}
}

// Open returns the share.
func (s ShareConfig) Open() (*Share, error) {
	client, err := httpClient(s.CA)
	if err != nil {
		return nil, fmt.Errorf("open file share %s/%s: %w", s.Account, s.Name, err)
	}
	return openShare(s, clientOptions(client))
}

func openShare(c ShareConfig, options azcore.ClientOptions) (*Share, error) {
	cred, err := service.NewSharedKeyCredential(c.Account, c.Key)
	if err != nil {
		return nil, fmt.Errorf("open file share %s/%s: %w", c.Account, c.Name, explain(err))
	}
	client, err := share.NewClientWithSharedKeyCredential(strings.TrimSuffix(c.Files, "/")+"/"+c.Name, cred,
		&share.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: options.Transport, Retry: options.Retry}})
	if err != nil {
		return nil, fmt.Errorf("open file share %s/%s: %w", c.Account, c.Name, explain(err))
	}
	return &Share{name: c.Account + "/" + c.Name, client: client}, nil
}

// ErrNoFile says that a share has no such file.
var ErrNoFile = errors.New("there is no such file")

// file is the client of a file, by its path on the share.
func (s *Share) file(name string) *file.Client {
	dir, base := path.Split(name)
	if dir == "" {
		return s.client.NewRootDirectoryClient().NewFileClient(base)
	}
	return s.client.NewDirectoryClient(strings.TrimSuffix(dir, "/")).NewFileClient(base)
}

// Write writes a file, whole: readers see the old or the new content.
func (s *Share) Write(ctx context.Context, name string, content []byte) error {
	return s.Upload(ctx, name, bytes.NewReader(content), int64(len(content)))
}

// Upload writes a file of a known size, whole, since it is written beside and
// renamed.
func (s *Share) Upload(ctx context.Context, name string, content io.Reader, size int64) error {
	f := s.file(name + ".part")
	_, err := f.Create(ctx, size, nil)
	if err == nil && size > 0 {
		err = f.UploadStream(ctx, content, nil)
	}
	if err == nil {
		_, err = f.Rename(ctx, name, &file.RenameOptions{ReplaceIfExists: to.Ptr(true)})
	}
	if err != nil {
		return fmt.Errorf("write %s on file share %s: %w", name, s.name, explain(err))
	}
	return nil
}

// Open returns the content of a file; ErrNoFile when there is none.
func (s *Share) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	got, err := s.file(name).DownloadStream(ctx, nil)
	if isNoFile(err) {
		return nil, fmt.Errorf("read %s on file share %s: %w", name, s.name, ErrNoFile)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s on file share %s: %w", name, s.name, explain(err))
	}
	return got.NewRetryReader(ctx, nil), nil
}

func isNoFile(err error) bool {
	return fileerror.HasCode(err, fileerror.ResourceNotFound, fileerror.ParentNotFound, fileerror.ShareNotFound)
}

// Read returns the content of a file; nil when there is no such file.
func (s *Share) Read(ctx context.Context, name string) ([]byte, error) {
	body, err := s.Open(ctx, name)
	if errors.Is(err, ErrNoFile) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, fmt.Errorf("read %s on file share %s: %w", name, s.name, explain(err))
	}
	return data, nil
}

// Remove deletes a file; that there is none is no error.
func (s *Share) Remove(ctx context.Context, name string) error {
	if _, err := s.file(name).Delete(ctx, nil); err != nil && !isNoFile(err) {
		return fmt.Errorf("remove %s from file share %s: %w", name, s.name, explain(err))
	}
	return nil
}

// FileInfo is a file of a directory.
type FileInfo struct {
	Name string
	// Size is in bytes.
	Size int64
}

// List returns the files of a directory; none when there is no such directory.
func (s *Share) List(ctx context.Context, dir string) ([]FileInfo, error) {
	var all []FileInfo
	for pager := s.client.NewDirectoryClient(dir).NewListFilesAndDirectoriesPager(nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if isNoFile(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list %s of file share %s: %w", dir, s.name, explain(err))
		}
		for _, f := range page.Segment.Files {
			all = append(all, FileInfo{Name: value(f.Name), Size: value(f.Properties.ContentLength)})
		}
	}
	return all, nil
}
