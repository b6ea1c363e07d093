package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// build makes namespaces of its own and, in them, does what a runtime without
// root does. In the results, Out means that it worked.
func build() {
	if flag.Arg(1) == "" {
		again("inside")
		return
	}
	results := []Result{{Name: "namespaces", Out: true, Said: fmt.Sprintf("process %d, user %d", os.Getpid(), os.Getuid())}}
	for _, s := range steps() {
		result := Result{Name: s.name, Out: true}
		if err := s.do(); err != nil {
			result.Out, result.Said = false, err.Error()
		}
		results = append(results, result)
	}
	print(results)
}

type step struct {
	name string
	do   func() error
}

func steps() []step {
	root := "/tmp/nested"
	in := func(name string) string { return filepath.Join(root, name) }
	return []step{
		{"private mounts", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }},
		{"tmpfs", func() error {
			if err := os.MkdirAll(root, 0o755); err != nil {
				return err
			}
			return unix.Mount("tmpfs", root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=16m")
		}},
		{"overlay", func() error {
			for _, dir := range []string{"lower", "upper", "work", "root"} {
				if err := os.Mkdir(in(dir), 0o755); err != nil {
					return err
				}
			}
			if err := os.WriteFile(in("lower/below"), []byte("below"), 0o644); err != nil {
				return err
			}
			options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,userxattr", in("lower"), in("upper"), in("work"))
			if err := unix.Mount("overlay", in("root"), "overlay", 0, options); err != nil {
				return err
			}
			return os.WriteFile(in("root/below"), []byte("above"), 0o644)
		}},
		{"bind mount, read-only", func() error {
			if err := os.Mkdir(in("root/etc"), 0o755); err != nil {
				return err
			}
			if err := unix.Mount("/etc", in("root/etc"), "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
				return err
			}
			attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
			return unix.MountSetattr(-1, in("root/etc"), 0, &attr)
		}},
		{"host name", func() error {
			if err := unix.Sethostname([]byte("nested")); err != nil {
				return err
			}
			if name, err := os.Hostname(); name != "nested" {
				return fmt.Errorf("it is %q, %v", name, err)
			}
			return nil
		}},
		{"proc", func() error {
			if err := os.Mkdir(in("root/proc"), 0o755); err != nil {
				return err
			}
			return unix.Mount("proc", in("root/proc"), "proc", 0, "")
		}},
		{"pivot_root", func() error {
			if err := unix.Chdir(in("root")); err != nil {
				return err
			}
			if err := unix.PivotRoot(".", "."); err != nil {
				return err
			}
			if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
				return err
			}
			data, err := os.ReadFile("/below")
			if err != nil || string(data) != "above" {
				return fmt.Errorf("the new root has %q, %v", data, err)
			}
			return nil
		}},
	}
}
