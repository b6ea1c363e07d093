package groups

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// copyTree copies directories, files and symbolic links to a directory that is
// there, as this process's own. A link is copied, never followed; whatever
// else there is, is left out.
func copyTree(from, to string) error {
	source, err := os.OpenRoot(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer target.Close()
	return fs.WalkDir(source.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		name := filepath.FromSlash(path)
		switch entry.Type() {
		case fs.ModeDir:
			return makeDir(target, name)
		case fs.ModeSymlink:
			link, err := source.Readlink(name)
			if err != nil {
				return err
			}
			return target.Symlink(link, name)
		case 0:
			return copyFile(source, target, name)
		}
		return nil
	})
}

func makeDir(target *os.Root, name string) error {
	if err := target.Mkdir(name, 0o755); err != nil {
		return err
	}
	return target.Chmod(name, 0o755) // whatever the umask says
}

// copyFile keeps of the mode whether the file can be executed.
func copyFile(source, target *os.Root, name string) (err error) {
	in, err := source.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file any more", name)
	}
	out, err := target.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Chmod(0o644 | info.Mode()&0o111)
}
