package agent

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/agent/rootless"
	"golang.org/x/sys/unix"
)

// maxMessage is how much of a termination message is kept, in bytes: its end.
const maxMessage = 4096

// prepareFiles makes what a process is to find of files, with its working
// directory and its termination message.
func prepareFiles(p protocol.Process, log *slog.Logger) error {
	if err := os.MkdirAll(p.Dir, 0o755); p.Dir != "" && err != nil {
		return refuse(http.StatusUnprocessableEntity, "make working directory: %v", err)
	}
	if err := writeFiles(p.Files); err != nil {
		return err
	}
	if p.TerminationMessagePath != "" {
		if err := makeMessageFile(p.TerminationMessagePath); err != nil {
			// Its only use is to tell more than the exit code does.
			log.Warn("prepare termination message", "process", p.ID, "error", err)
		}
	}
	return nil
}

// Stages is what this program does in namespaces for processes, when it is
// called by a stage's name.
func Stages(log *slog.Logger) rootless.Stages {
	return rootless.Stages{
		Message: readMessage,
		Prepare: func(p protocol.Process) error { return prepareFiles(p, log) },
	}
}

// writeFiles writes files in place, since some (/etc/hosts) are mounted one by
// one and cannot be replaced.
func writeFiles(files []protocol.File) error {
	for _, f := range files {
		if !filepath.IsAbs(f.Path) {
			return fmt.Errorf("write file %q: its path is not absolute", f.Path)
		}
		if err := writeFile(f); err != nil {
			return fmt.Errorf("write file: %w", err)
		}
	}
	return nil
}

func writeFile(f protocol.File) error {
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
		return err
	}
	// Nobody else reads it before it has its mode.
	file, err := os.OpenFile(f.Path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(f.Data)
	if int(f.UID) != os.Geteuid() || int(f.GID) != os.Getegid() {
		err = errors.Join(err, file.Chown(int(f.UID), int(f.GID)))
	}
	return errors.Join(err, file.Chmod(os.FileMode(f.Mode&0o777)), file.Close())
}

// makeMessageFile makes an empty termination message that every user may write.
func makeMessageFile(path string) error {
	return writeFiles([]protocol.File{{
		Path: path, Mode: 0o666, UID: int64(os.Geteuid()), GID: int64(os.Getegid()),
	}})
}

// readMessage reads the end of what a process left at its termination message
// path. What is not there, or no plain file, is no message.
func readMessage(path string) string {
	if path == "" {
		return ""
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	tail := io.NewSectionReader(f, max(0, info.Size()-maxMessage), maxMessage)
	data, err := io.ReadAll(tail)
	if err != nil {
		return ""
	}
	return string(data)
}
