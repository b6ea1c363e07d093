// Package protocol is what the agent and the node say to each other. It exists
// apart from both so that neither imports the other.
//
// The agent dials the node (a container group needs no inbound port) over
// mutual TLS, and then the roles turn: on that one connection the agent is the
// HTTP/2 server and the node its client. Every request below is therefore made
// by the node. Streams (exec, attach, port-forward, logs, events) are plain
// HTTP/2 streams with the flow control that comes with them.
//
// An agent has no certificate at first. It enrols once: it sends a certificate
// request and its one-time token to EnrolPath on the same port (over TLS, the
// server verified), and keeps key and certificate in memory.
package protocol

import "time"

// Environment variables by which a container's agent is told where home is.
// The agent removes them before it starts anything.
const (
	// EnvNode is the node's agent endpoint, host:port.
	EnvNode = "FRANKENETES_NODE"
	// EnvToken is the one-time token, a secure value.
	EnvToken = "FRANKENETES_TOKEN"
	// EnvAuthority is the PEM certificate of the authority that signs the
	// node's agent endpoint and the agents.
	EnvAuthority = "FRANKENETES_AUTHORITY"
)

const (
	// ALPN marks a connection on which the agent will be the server.
	ALPN = "frankenetes-agent/1"
	// EnrolPath takes POST of a PEM certificate request with the token as
	// bearer, or over mutual TLS to renew, and answers a PEM certificate.
	EnrolPath = "/v1/enrol"
	// Root is the directory, in every container of a pod, that holds the
	// agent's binary, logs and, in the pod agent, every volume of the pod.
	Root = "/.frankenetes"
	// Binary is the agent inside Root.
	Binary = Root + "/agent"
	// Volumes is where the pod agent has every volume of the pod, by name, and
	// other containers those of which they mount a part.
	Volumes = "/.frankenetes-volumes"
)

// PodAgent is the container name of the agent of the pod itself.
const PodAgent = "frankenetes-agent"

// ID names one agent: a container of a container group. It is the common name
// of the agent's certificate, written "group/container".
type ID struct {
	Group     string `json:"group"`
	Container string `json:"container"`
}

// Hello is what an agent says of itself.
type Hello struct {
	// IP is the address of the group inside its network.
	IP string `json:"ip"`
	// Hostname is what uname says.
	Hostname string `json:"hostname"`
	// Version is the agent's.
	Version string `json:"version"`
	// Exact says that processes can have namespaces of their own. Inexact is
	// why not; only the pod agent finds out.
	Exact   bool   `json:"exact,omitempty"`
	Inexact string `json:"inexact,omitempty"`
	// CleanRoot says that a process can have a root file system that forgets,
	// Unclean why not.
	CleanRoot bool   `json:"cleanRoot,omitempty"`
	Unclean   string `json:"unclean,omitempty"`
	// Ports says that every user may listen on every port: who has
	// namespaces of its own has no power over the group's network.
	Ports bool `json:"ports,omitempty"`
}

// Process is one run of a container's program.
type Process struct {
	// ID is the CRI container id; it is never used twice.
	ID   string   `json:"id"`
	Args []string `json:"args"`
	// Env is the whole environment, in order, KEY=value.
	Env  []string `json:"env"`
	Dir  string   `json:"dir,omitempty"`
	User User     `json:"user"`
	// Files are written, in order, before the process starts.
	Files []File `json:"files,omitempty"`
	TTY   bool   `json:"tty,omitempty"`
	// Stdin keeps standard input open for attach; StdinOnce closes it after
	// the first client has gone.
	Stdin     bool `json:"stdin,omitempty"`
	StdinOnce bool `json:"stdinOnce,omitempty"`
	// TerminationMessagePath is read, up to 4096 bytes, when the process ends.
	TerminationMessagePath string `json:"terminationMessagePath,omitempty"`
	NoNewPrivileges        bool   `json:"noNewPrivileges,omitempty"`
	// DropCapabilities are names without CAP_, or ALL; AddCapabilities come
	// back after the drop.
	DropCapabilities []string `json:"dropCapabilities,omitempty"`
	AddCapabilities  []string `json:"addCapabilities,omitempty"`
	// Exact asks for namespaces of the process's own; nil means that it runs
	// in the container as it is.
	Exact *Exact `json:"exact,omitempty"`
}

// Exact is what a process finds in namespaces of its own.
type Exact struct {
	// Hostname is what uname is to say; empty leaves it.
	Hostname string `json:"hostname,omitempty"`
	// ReadOnlyRoot lets nobody write to the root file system.
	ReadOnlyRoot bool `json:"readOnlyRoot,omitempty"`
	// CleanRoot forgets what is written to the root file system when the
	// process has ended.
	CleanRoot bool `json:"cleanRoot,omitempty"`
	// OwnRoot gives the process the root file system that was put for it,
	// instead of the container's. It is removed when the process has ended.
	OwnRoot bool    `json:"ownRoot,omitempty"`
	Mounts  []Mount `json:"mounts,omitempty"`
}

// Mount is a file or directory of a volume, mounted in a container.
type Mount struct {
	// Volume is in this container below Volumes, as a whole; or it is in memory,
	// and Memory its token.
	Volume string `json:"volume"`
	Memory string `json:"memory,omitempty"`
	// SubPath is a path in the volume. A directory is made if there is none;
	// a path that leads out of the volume is refused.
	SubPath string `json:"subPath,omitempty"`
	// Path is where it is mounted.
	Path     string `json:"path"`
	ReadOnly bool   `json:"readOnly,omitempty"`
}

// User is whom a process runs as. Name is looked up in the container's own
// /etc/passwd and /etc/group, and may be "name", "uid", "name:group" or
// "uid:gid" as in an image's configuration; UID and GID win over it.
type User struct {
	Name   string  `json:"name,omitempty"`
	UID    *int64  `json:"uid,omitempty"`
	GID    *int64  `json:"gid,omitempty"`
	Groups []int64 `json:"groups,omitempty"`
}

// File is one file's path, content, mode and owner.
type File struct {
	Path string `json:"path"`
	Data []byte `json:"data,omitempty"`
	Mode uint32 `json:"mode"`
	UID  int64  `json:"uid,omitempty"`
	GID  int64  `json:"gid,omitempty"`
}

// Phase is where in its life a process is.
type Phase string

// The phases of a process.
const (
	Running Phase = "Running"
	Exited  Phase = "Exited"
)

// State is what an agent knows of one process.
type State struct {
	ID         string    `json:"id"`
	Phase      Phase     `json:"phase"`
	PID        int       `json:"pid"`
	StartedAt  time.Time `json:"startedAt"`
	FinishedAt time.Time `json:"finishedAt,omitzero"`
	// ExitCode is 128 plus the signal's number for a process that a signal ended.
	ExitCode  int32 `json:"exitCode"`
	OOMKilled bool  `json:"oomKilled,omitempty"`
	// Message is what the process left at its TerminationMessagePath.
	Message string `json:"message,omitempty"`
}

// Volume is the content of one of the pod's volumes.
type Volume struct {
	// Mode is the volume directory's mode, GID its group (nil: leave it).
	Mode uint32 `json:"mode"`
	GID  *int64 `json:"gid,omitempty"`
	// Atomic volumes are replaced as a whole, by swapping the ..data link as
	// the kubelet does. Others only get mode and group.
	Atomic bool   `json:"atomic,omitempty"`
	Files  []File `json:"files,omitempty"`
	// Shared makes the volume's directory, in one that all volumes of the pod
	// share; else there is one already.
	Shared bool `json:"shared,omitempty"`
	// Memory, if not nil, has the volume in memory and not in the directory.
	Memory *Memory `json:"memory,omitempty"`
}

// Memory is what a volume in memory is like.
type Memory struct {
	// Size is the most that it holds, in bytes; 0 is half of the machine's.
	Size int64 `json:"size,omitempty"`
	// Token is what one must know to mount it.
	Token string `json:"token"`
}

// Exec is a further command in a container.
type Exec struct {
	// Process is the run whose environment, user and directory it takes.
	Process string   `json:"process"`
	Args    []string `json:"args"`
	TTY     bool     `json:"tty,omitempty"`
	Stdin   bool     `json:"stdin,omitempty"`
}

// Size is a terminal's, in characters.
type Size struct {
	Width  uint16 `json:"width"`
	Height uint16 `json:"height"`
}

// Usage is what the agent's container uses, read from its cgroup.
type Usage struct {
	Time time.Time `json:"time"`
	// CPUNanoseconds is the CPU time used since the last process was started.
	CPUNanoseconds uint64 `json:"cpuNanoseconds"`
	// MemoryBytes is in use; WorkingSetBytes leaves out inactive page cache,
	// RSSBytes everything that is not anonymous memory.
	MemoryBytes     uint64 `json:"memoryBytes"`
	WorkingSetBytes uint64 `json:"workingSetBytes"`
	RSSBytes        uint64 `json:"rssBytes"`
	// LimitBytes is the most memory that it may use, 0 if there is no limit.
	LimitBytes uint64 `json:"limitBytes,omitempty"`
	// PageFaults and MajorPageFaults are those since the container started.
	PageFaults      uint64 `json:"pageFaults"`
	MajorPageFaults uint64 `json:"majorPageFaults"`
	// Written is what was written to the root file system, nil if that is not
	// known.
	Written *Disk `json:"written,omitempty"`
}

// Disk is what files take.
type Disk struct {
	Time   time.Time `json:"time"`
	Bytes  uint64    `json:"bytes"`
	Inodes uint64    `json:"inodes"`
	// Room is that of a volume's file system.
	Room Room `json:"room,omitzero"`
}

// Room is how much a file system can hold, and how much more it can.
type Room struct {
	Bytes      uint64 `json:"bytes"`
	BytesFree  uint64 `json:"bytesFree"`
	Inodes     uint64 `json:"inodes"`
	InodesFree uint64 `json:"inodesFree"`
}

// Error is how an agent refuses a request: a JSON body with a status of 4xx or 5xx.
type Error struct {
	Status  int    `json:"-"`
	Message string `json:"message"`
}

// Error returns the agent's words.
func (e *Error) Error() string { return e.Message }
