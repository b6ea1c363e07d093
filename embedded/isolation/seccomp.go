package isolation

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/containerd/containerd/v2/contrib/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Capabilities are ACI's fourteen: what a container may have at the most.
func Capabilities() []string {
	return []string{
		"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
		"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
	}
}

// nested are the system calls with which a process makes namespaces of its own
// and lives in them: what a container engine without root, a browser's sandbox
// or a build tool does, and what a virtual machine of one's own lets one do.
// In a group that is in a user namespace the kernel grants them only over what
// was made inside of it; in one that is not, they are the classic way out.
func nested() []string {
	return []string{
		"clone", "clone3", "setns", "unshare",
		"mount", "umount", "umount2", "pivot_root",
		"fsconfig", "fsmount", "fsopen", "fspick", "mount_setattr", "move_mount", "open_tree",
		"sethostname", "setdomainname",
		"pidfd_getfd", // bounded by ptrace's own rules; supervisors of seccomp need it
	}
}

// filter returns the system calls that containers in a user namespace may
// make: containerd's default for ACI's capabilities, and nested.
func filter() *specs.LinuxSeccomp {
	profile := seccomp.DefaultProfile(&specs.Spec{Process: &specs.Process{
		Capabilities: &specs.LinuxCapabilities{Bounding: Capabilities()},
	}})
	// The default has rules for some of these (clone without new namespaces,
	// clone3 not at all), which would contradict.
	add := nested()
	for i := range profile.Syscalls {
		rule := &profile.Syscalls[i]
		rule.Names = slices.DeleteFunc(slices.Clone(rule.Names), func(name string) bool { return slices.Contains(add, name) })
	}
	profile.Syscalls = slices.DeleteFunc(profile.Syscalls, func(rule specs.LinuxSyscall) bool { return len(rule.Names) == 0 })
	profile.Syscalls = append(profile.Syscalls, specs.LinuxSyscall{Names: add, Action: specs.ActAllow})
	return profile
}

// WriteFilter writes, for the container runtime to read, the system calls that
// containers in a user namespace may make.
func WriteFilter(path string) error {
	data, err := json.Marshal(filter())
	if err != nil {
		return fmt.Errorf("encode seccomp profile: %w", err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("write seccomp profile: %w", err)
	}
	return nil
}
