package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"frankenetes.dev/images"
)

// apt takes packages from Debian with a state of its own, for a machine on
// which nothing is installed: neither this one's packages count nor where it
// takes them from.
type apt struct{ dir string }

// release is the Debian that the images are of.
const release = "trixie"

// keyring is what its files are signed with.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

func newApt(dir string) (apt, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return apt{}, err
	}
	for _, sub := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return apt{}, fmt.Errorf("prepare for Debian's packages: %w", err)
		}
	}
	for name, text := range map[string]string{
		"state/status": "",
		"sources.list": fmt.Sprintf("deb [signed-by=%s] http://deb.debian.org/debian %s main\ndeb-src [signed-by=%[1]s] http://deb.debian.org/debian %[2]s main\n",
			keyring, release),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return apt{}, fmt.Errorf("prepare for Debian's packages: %w", err)
		}
	}
	return apt{dir}, nil
}

// layer is a root file system that has the packages and what they depend on.
// Where they have no file of that name, the links are there, from path to target.
func (a apt) layer(ctx context.Context, links map[string]string, packages ...string) (v1.Layer, error) {
	archives, err := a.download(ctx, packages)
	if err != nil {
		return nil, fmt.Errorf("fetch Debian's packages %s: %w", strings.Join(packages, ", "), err)
	}
	root := newRoot()
	for name, target := range links {
		root.link(name, target)
	}
	for _, archive := range archives {
		if err := root.add(ctx, archive); err != nil {
			return nil, err
		}
	}
	tar, err := root.tar()
	if err != nil {
		return nil, fmt.Errorf("make a root file system of %s: %w", strings.Join(packages, ", "), err)
	}
	return images.Layer(tar), nil
}

// download returns the files of the packages and what they depend on.
func (a apt) download(ctx context.Context, packages []string) ([]string, error) {
	err := a.fetch(ctx, append([]string{"install", "--download-only", "--no-install-recommends", "-y"}, packages...)...)
	if err != nil {
		return nil, err
	}
	// All of them are here now, so that apt says nothing of where they come
	// from; asked as if none were, it names each file.
	var said bytes.Buffer
	err = a.get(ctx, &said, append([]string{"-o", "Dir::Cache::archives=" + filepath.Join(a.dir, "none"),
		"install", "--print-uris", "--no-install-recommends", "-y"}, packages...)...)
	if err != nil {
		return nil, err
	}
	return a.files(said.String())
}

// fetch calls apt-get to fetch something. The lists of what there is are
// fetched when it cannot be had by those that are here, if any are.
func (a apt) fetch(ctx context.Context, args ...string) error {
	if err := a.get(ctx, nil, args...); err == nil {
		return nil
	}
	if err := a.get(ctx, nil, "update"); err != nil {
		return err
	}
	return a.get(ctx, nil, args...)
}

// source fetches the sources of a package as its authors published them, and
// returns the archive.
func (a apt) source(ctx context.Context, name string) (string, error) {
	if err := a.fetch(ctx, "source", "--download-only", name); err != nil {
		return "", fmt.Errorf("fetch Debian's sources of %s: %w", name, err)
	}
	found, err := filepath.Glob(filepath.Join(a.dir, name+"_*.orig.tar.bz2"))
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("fetch sources of %s: Debian has no .tar.bz2 of it", name)
	}
	slices.Sort(found)
	return found[len(found)-1], nil
}

// files reads "'URI' FILE SIZE HASH" lines.
func (a apt) files(said string) ([]string, error) {
	var files []string
	for line := range strings.Lines(said) {
		fields := strings.Fields(line)
		if len(fields) < 3 || !strings.HasPrefix(fields[0], "'") {
			continue
		}
		files = append(files, filepath.Join(a.dir, "cache", "archives", fields[1]))
	}
	if len(files) == 0 {
		return nil, errors.New("apt-get named no files")
	}
	slices.Sort(files)
	return files, nil
}

// get calls apt-get.
func (a apt) get(ctx context.Context, out *bytes.Buffer, args ...string) error {
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q",
		"-o", "Dir::Etc::sourcelist=" + filepath.Join(a.dir, "sources.list"),
		"-o", "Dir::Etc::sourceparts=/dev/null",
		"-o", "Dir::State=" + filepath.Join(a.dir, "state"),
		"-o", "Dir::State::status=" + filepath.Join(a.dir, "state", "status"),
		"-o", "Dir::Cache=" + filepath.Join(a.dir, "cache"),
		"-o", "Debug::NoLocking=true",
		// A user of its own could not read a directory of ours.
		"-o", "APT::Sandbox::User=root",
		"-o", "APT::Architecture=amd64",
	}, args...)...)
	cmd.Dir = a.dir // where sources are put
	cmd.Stdout, cmd.Stderr = &said, &said
	if out != nil {
		cmd.Stdout = out
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("apt-get: %w: %s", err, lastLines(said.String(), 3))
	}
	return nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}
