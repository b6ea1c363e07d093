package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Install copies this program to dir/agent and prepares dir for the agents of
// all containers of a pod, which may run as any user.
func Install(dir string) error {
	for _, d := range []string{dir, filepath.Join(dir, "log")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("install agent: %w", err)
		}
		if err := os.Chmod(d, 0o777|os.ModeSticky); err != nil {
			return fmt.Errorf("install agent: %w", err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("install agent: %w", err)
	}
	if err := copyProgram(self, filepath.Join(dir, "agent")); err != nil {
		return fmt.Errorf("install agent: %w", err)
	}
	return nil
}

// copyProgram copies an executable file so that it is there as a whole or not
// at all.
func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(to), ".agent-*")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name()) // gone if all went well
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Chmod(0o755), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), to)
}
