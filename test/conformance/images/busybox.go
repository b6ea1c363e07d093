package main

import (
	"bytes"
	"compress/bzip2"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// buildBusybox compiles busybox as its authors publish it, with their default
// choices, like the image upstream. Debian's own build will not do: its shell
// drops variables that have names like "data-1", which tests pass through it.
// What was built before from the same archive is used again.
func buildBusybox(ctx context.Context, debian apt) (string, error) {
	archive, err := debian.source(ctx, "busybox")
	if err != nil {
		return "", err
	}
	dir := strings.TrimSuffix(archive, ".orig.tar.bz2")
	built := filepath.Join(dir, "busybox.built")
	if _, err := os.Stat(built); err == nil {
		return built, nil
	}
	if err := unpack(ctx, archive, dir); err != nil {
		return "", err
	}
	if err := call(ctx, dir, "make", "defconfig"); err != nil {
		return "", err
	}
	if err := configure(filepath.Join(dir, ".config")); err != nil {
		return "", err
	}
	// What these choices bring up is answered by the defaults.
	if err := run(ctx, dir, strings.NewReader(strings.Repeat("\n", 100)), "make", "oldconfig"); err != nil {
		return "", err
	}
	if err := call(ctx, dir, "make", "-j"+strconv.Itoa(runtime.NumCPU()), "busybox"); err != nil {
		return "", err
	}
	if err := os.Rename(filepath.Join(dir, "busybox"), built); err != nil {
		return "", fmt.Errorf("build busybox: %w", err)
	}
	return built, nil
}

func unpack(ctx context.Context, archive, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("unpack busybox: %w", err)
	}
	file, err := os.Open(archive)
	if err != nil {
		return fmt.Errorf("unpack busybox: %w", err)
	}
	defer file.Close()
	return run(ctx, dir, bzip2.NewReader(file), "tar", "-x", "--strip-components=1")
}

// configure makes it static, and changes nothing else but what does not compile.
func configure(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("configure busybox: %w", err)
	}
	for line, instead := range map[string]string{
		"# CONFIG_STATIC is not set": "CONFIG_STATIC=y",
		"CONFIG_TC=y":                "# CONFIG_TC is not set", // it needs headers of kernels before 6.8
	} {
		old, new := []byte("\n"+line+"\n"), []byte("\n"+instead+"\n")
		if !bytes.Contains(text, old) {
			return fmt.Errorf("configure busybox: its configuration has no line %q", line)
		}
		text = bytes.Replace(text, old, new, 1)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return fmt.Errorf("configure busybox: %w", err)
	}
	return nil
}

func call(ctx context.Context, dir, program string, args ...string) error {
	return run(ctx, dir, nil, program, args...)
}

// run runs a program in a directory.
func run(ctx context.Context, dir string, in io.Reader, program string, args ...string) error {
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	// What called this may be make, whose flags are not meant for another.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS=") })
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, in, &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build busybox: %s %s: %w: %s", program, strings.Join(args, " "), err, lastLines(said.String(), 5))
	}
	return nil
}

// appletsOf returns the names by which a busybox can be called.
func appletsOf(ctx context.Context, busybox string) ([]string, error) {
	out, err := exec.CommandContext(ctx, busybox, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("list the applets of %s: %w", busybox, err)
	}
	var names []string
	for name := range strings.FieldsSeq(string(out)) {
		if name != "busybox" {
			names = append(names, name)
		}
	}
	return names, nil
}
