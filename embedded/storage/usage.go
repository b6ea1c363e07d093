package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// usage returns how many bytes the files of a share have together.
func (s *Service) usage(ctx context.Context, sh share) (int64, error) {
	root, err := os.OpenRoot(s.shareDir(sh.Account, sh.Name))
	if err != nil {
		return 0, fmt.Errorf("measure share %s: %w", sh.key(), err)
	}
	defer root.Close()
	var total int64
	err = fs.WalkDir(root.FS(), ".", func(_ string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && d.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				total += info.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed since
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("measure share %s: %w", sh.key(), err)
	}
	return total, nil
}
