package process

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// capabilityNames are those of capabilities(7), by number.
func capabilityNames() []string {
	return strings.Fields(`CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
		LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
		SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
		AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
		PERFMON BPF CHECKPOINT_RESTORE`)
}

// Capabilities is a set of them, a bit for each.
type Capabilities uint64

// parseCapabilities reads names without CAP_ (with it will do too), or ALL.
func parseCapabilities(names []string) (Capabilities, error) {
	known := capabilityNames()
	var set Capabilities
next:
	for _, name := range names {
		name = strings.TrimPrefix(strings.ToUpper(name), "CAP_")
		if name == "ALL" {
			set |= 1<<len(known) - 1
			continue
		}
		for n, k := range known {
			if k == name {
				set |= 1 << n
				continue next
			}
		}
		return 0, fmt.Errorf("%q is no capability", name)
	}
	return set, nil
}

// String lists their names.
func (c Capabilities) String() string {
	var names []string
	for n, name := range capabilityNames() {
		if c&(1<<n) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// Bounding is the calling thread's bounding set: what a program that it starts
// can ever have.
func Bounding() Capabilities {
	var set Capabilities
	for n := range capabilityNames() {
		if has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0); err == nil && has == 1 {
			set |= 1 << n
		}
	}
	return set
}

// allowed is what is left after drop and add. Nothing can be added that this
// container does not have.
func allowed(drop, add []string) (Capabilities, error) {
	dropped, err := parseCapabilities(drop)
	if err != nil {
		return 0, err
	}
	added, err := parseCapabilities(add)
	if err != nil {
		return 0, err
	}
	have := Bounding()
	if missing := added &^ have; missing != 0 {
		return 0, fmt.Errorf("this container cannot have the capabilities %v", missing)
	}
	return have&^dropped | added, nil
}

// Limit lets programs that the calling thread starts have no capabilities but
// these. The thread keeps what it needs to change their user: a program's are
// computed anew from these limits when it is executed.
func (c Capabilities) Limit() error {
	for n, name := range capabilityNames() {
		if c&(1<<n) != 0 {
			continue
		}
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0)
		if err != nil || has == 0 {
			continue // unknown to this kernel, or not there
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(n), 0, 0, 0); err != nil {
			return fmt.Errorf("drop capability %s: %w", name, err)
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clear ambient capabilities: %w", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	data[0].Inheritable, data[1].Inheritable = 0, 0
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("clear inheritable capabilities: %w", err)
	}
	return nil
}
