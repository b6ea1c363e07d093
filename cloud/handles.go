package cloud

import (
	"context"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/directory"
)

// OpenHandles returns the files that anyone has open on a directory of the
// share and on all below it, a line each.
func (s *Share) OpenHandles(ctx context.Context, dir string) ([]string, error) {
	client := s.client.NewDirectoryClient(dir)
	var open []string
	for options := (&directory.ListHandlesOptions{Recursive: to.Ptr(true)}); ; {
		page, err := client.ListHandles(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("list handles of %s on file share %s: %w", dir, s.name, explain(err))
		}
		for _, h := range page.Handles {
			open = append(open, fmt.Sprintf("%s by %s since %v", value(h.Path), value(h.ClientIP), value(h.OpenTime)))
		}
		if value(page.NextMarker) == "" {
			return open, nil
		}
		options.Marker = page.NextMarker
	}
}

// CloseHandles closes what anyone has open on a directory of the share and on
// all below it. That some cannot be closed is no error: OpenHandles has them.
func (s *Share) CloseHandles(ctx context.Context, dir string) error {
	client := s.client.NewDirectoryClient(dir)
	for options := (&directory.ForceCloseHandlesOptions{Recursive: to.Ptr(true)}); ; {
		page, err := client.ForceCloseHandles(ctx, "*", options)
		if err != nil {
			return fmt.Errorf("close handles of %s on file share %s: %w", dir, s.name, explain(err))
		}
		if value(page.Marker) == "" {
			return nil
		}
		options.Marker = page.Marker
	}
}

// value returns what p points to, or the zero value.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
