package cloud

import (
	"bytes"
	"context"
	"fmt"
	"io"
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

// Write writes a file at the root of the share, whole: readers see the old or
// the new content, since it is written beside and renamed.
func (s *Share) Write(ctx context.Context, name string, content []byte) error {
	part := name + ".part"
	f := s.client.NewRootDirectoryClient().NewFileClient(part)
	if _, err := f.Create(ctx, int64(len(content)), nil); err != nil {
		return fmt.Errorf("write %s on file share %s: %w", name, s.name, explain(err))
	}
	if err := f.UploadBuffer(ctx, content, nil); err != nil {
		return fmt.Errorf("write %s on file share %s: %w", name, s.name, explain(err))
	}
	if _, err := f.Rename(ctx, name, &file.RenameOptions{ReplaceIfExists: to.Ptr(true)}); err != nil {
		return fmt.Errorf("write %s on file share %s: %w", name, s.name, explain(err))
	}
	return nil
}

// Read returns the content of a file at the root of the share; nil when there
// is no such file.
func (s *Share) Read(ctx context.Context, name string) ([]byte, error) {
	got, err := s.client.NewRootDirectoryClient().NewFileClient(name).DownloadStream(ctx, nil)
	if fileerror.HasCode(err, fileerror.ResourceNotFound, fileerror.ParentNotFound, fileerror.ShareNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s on file share %s: %w", name, s.name, explain(err))
	}
	defer got.Body.Close()
	var buf bytes.Buffer
	if _, err := io.Copy(&buf, got.Body); err != nil {
		return nil, fmt.Errorf("read %s on file share %s: %w", name, s.name, explain(err))
	}
	return buf.Bytes(), nil
}
