package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/images"
)

// sandboxRecord is what is kept of a sandbox in a file, so that a node which
// restarts can go on with its group. Environments and command lines are left
// out: they may hold secrets, and a process that runs has its own.
type sandboxRecord struct {
	ID         string                  `json:"id"`
	Namespace  string                  `json:"namespace"`
	Name       string                  `json:"name"`
	UID        string                  `json:"uid"`
	Created    time.Time               `json:"created"`
	Group      string                  `json:"group"`
	Ready      bool                    `json:"ready"`
	IP         string                  `json:"ip"`
	Exact      bool                    `json:"exact,omitempty"`
	Ports      bool                    `json:"ports,omitempty"`
	Clean      bool                    `json:"clean,omitempty"`
	Shared     bool                    `json:"shared,omitempty"`
	Memory     map[string]int64        `json:"memory,omitempty"`
	Images     map[string]images.Image `json:"images"`
	Sizes      Sizes                   `json:"sizes"`
	Config     []byte                  `json:"config"` // a PodSandboxConfig
	Containers []containerRecord       `json:"containers"`
}

// containerRecord is what is kept of a container.
type containerRecord struct {
	ID       string                    `json:"id"`
	Config   []byte                    `json:"config"` // a ContainerConfig
	Host     string                    `json:"host,omitempty"`
	Image    images.Image              `json:"image"`
	Created  time.Time                 `json:"created"`
	State    runtimeapi.ContainerState `json:"state"`
	Started  time.Time                 `json:"started"`
	Finished time.Time                 `json:"finished"`
	ExitCode int32                     `json:"exitCode"`
	Reason   string                    `json:"reason,omitempty"`
	Text     string                    `json:"text,omitempty"`
	LogPath  string                    `json:"logPath"`
	// LogOffset is the place in the agent's log that byte LogSize of the
	// file comes from.
	LogOffset int64 `json:"logOffset"`
	LogSize   int64 `json:"logSize"`
	// Message is its termination message and MessagePath where the kubelet
	// looks for that.
	Message     string `json:"message,omitempty"`
	MessagePath string `json:"messagePath,omitempty"`

	logLost bool
}

// record keeps what a restarted node must know of a sandbox, in a file and with
// the pod agent. That it cannot be written is no reason to stop: the pod would
// be started anew.
func (r *Runtime) record(sb *sandbox) {
	if r.opts.StateDir == "" {
		return
	}
	sb.writing.Lock()
	defer sb.writing.Unlock()
	r.mu.Lock()
	known := r.sandboxes[sb.id] == sb
	r.mu.Unlock()
	if !known {
		return
	}
	data, err := sb.encode()
	if err == nil {
		r.share(sb, data)
		err = writeRecord(r.recordPath(sb.id), data)
	}
	if err != nil {
		r.log.Warn("a sandbox cannot be recorded", "pod", sb.namespace+"/"+sb.name, "error", err)
	}
}

// share leaves a copy of a sandbox's record with its pod agent. The last one
// given counts; while the agent is away none is sent, and when it calls again
// the sandbox is recorded again.
func (r *Runtime) share(sb *sandbox, record []byte) {
	sb.mu.Lock()
	busy := sb.sharing
	sb.unshared, sb.sharing = record, true
	sb.mu.Unlock()
	if !busy {
		r.tasks.start(func() { r.shareAll(sb) })
	}
}

func (r *Runtime) shareAll(sb *sandbox) {
	for {
		sb.mu.Lock()
		record := sb.unshared
		sb.unshared, sb.sharing = nil, record != nil
		sb.mu.Unlock()
		if record == nil {
			return
		}
		agent, ok := r.opts.Agents.Connected(protocol.ID{Group: sb.group, Container: protocol.PodAgent})
		if !ok {
			continue
		}
		if err := agent.PutRecord(sb.life, record); err != nil && sb.life.Err() == nil {
			r.log.Debug("a pod agent has no copy of its sandbox's record", "group", sb.group, "error", err)
		}
	}
}

// unrecord forgets a sandbox that has been removed.
func (r *Runtime) unrecord(sb *sandbox) {
	if r.opts.StateDir == "" {
		return
	}
	sb.writing.Lock()
	defer sb.writing.Unlock()
	if err := os.Remove(r.recordPath(sb.id)); err != nil && !errors.Is(err, os.ErrNotExist) {
		r.log.Warn("a record is left over", "error", err)
	}
}

func (r *Runtime) recordPath(id string) string { return filepath.Join(r.opts.StateDir, id+".json") }

func (sb *sandbox) encode() ([]byte, error) {
	rec, err := sb.record()
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(rec)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return data, nil
}

// writeRecord replaces a sandbox's file as a whole.
func writeRecord(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	return nil
}

func (sb *sandbox) record() (sandboxRecord, error) {
	containers := sb.all()
	sb.mu.Lock()
	rec := sandboxRecord{ID: sb.id, Namespace: sb.namespace, Name: sb.name, UID: sb.uid, Created: sb.created,
		Group: sb.group, Ready: sb.ready, IP: sb.ip, Exact: sb.exact, Ports: sb.ports, Clean: sb.clean, Shared: sb.shared,
		Memory: sb.memory, Images: sb.images, Sizes: sb.sizes}
	config := sb.config
	sb.mu.Unlock()
	var err error
	if rec.Config, err = proto.Marshal(config); err != nil {
		return rec, fmt.Errorf("encode sandbox: %w", err)
	}
	for _, c := range containers {
		one, err := c.record()
		if err != nil {
			return rec, err
		}
		rec.Containers = append(rec.Containers, one)
	}
	return rec, nil
}

func (c *container) record() (containerRecord, error) {
	config := proto.Clone(c.config).(*runtimeapi.ContainerConfig)
	config.Envs, config.Command, config.Args = nil, nil, nil
	data, err := proto.Marshal(config)
	if err != nil {
		return containerRecord{}, fmt.Errorf("encode container %s: %w", c.name(), err)
	}
	offset, size := c.log.position()
	c.mu.Lock()
	defer c.mu.Unlock()
	return containerRecord{ID: c.id, Config: data, Host: c.host, Image: c.image, Created: c.created, State: c.state,
		Started: c.started, Finished: c.finished, ExitCode: c.exitCode, Reason: c.reason, Text: c.text,
		LogPath: c.log.path, LogOffset: offset, LogSize: size, Message: c.lastWords, MessagePath: c.message}, nil
}

// records reads what an earlier life of the node has kept. A file that cannot
// be understood is as good as none.
func (r *Runtime) records() []sandboxRecord {
	if r.opts.StateDir == "" {
		return nil
	}
	entries, err := os.ReadDir(r.opts.StateDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.log.Warn("records cannot be read", "error", err)
	}
	var all []sandboxRecord
	for _, entry := range entries {
		path := filepath.Join(r.opts.StateDir, entry.Name())
		var rec sandboxRecord
		data, err := os.ReadFile(path)
		if err == nil && strings.HasSuffix(path, ".json") {
			err = json.Unmarshal(data, &rec)
		}
		if err != nil || rec.ID == "" {
			r.log.Warn("a record is of no use", "file", path, "error", err)
			_ = os.Remove(path)
			continue
		}
		all = append(all, rec)
	}
	return all
}
