package runtime_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/agent"
	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/images"
	"frankenetes.dev/node/provider"
)

// place is a provider whose groups are agents in this process: real ones, that
// call over real TLS and start real processes.
type place struct {
	t *testing.T

	mu     sync.Mutex
	groups map[string]*groupOfAgents
	// changed is closed, and replaced, when groups come or go.
	changed chan struct{}
	refusal error
	count   int
	// asked is how many groups were asked for, deleted how many names.
	asked, deleted int
	// silent groups are listed, but their agents never call.
	silent bool
}

type groupOfAgents struct {
	provider.Group
	// volumes is where the pod agent has the pod's volumes.
	volumes string
	stop    func()
	// ended says that the machine was rebooted under it.
	ended bool
	// endedUnlisted is ended where the list does not tell.
	endedUnlisted bool
}

func (p *place) Create(_ context.Context, g provider.Group) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if p.refusal != nil {
		return p.refusal
	}
	p.count++
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	volumes := p.t.TempDir()
	for _, m := range g.Containers[0].Mounts {
		if name, ok := strings.CutPrefix(m.Path, protocol.Volumes+"/"); ok {
			if err := os.Mkdir(filepath.Join(volumes, name), 0o700); err != nil {
				cancel()
				return err
			}
		}
	}
	if !p.silent {
		for _, c := range g.Containers {
			all.Go(func() { p.runAgent(ctx, c, volumes) })
		}
	}
	p.groups[g.Name] = &groupOfAgents{Group: g, volumes: volumes, stop: func() { cancel(); all.Wait() }}
	p.tell()
	return nil
}

// runAgent is a container of a group: an agent, with directories of its own.
func (p *place) runAgent(ctx context.Context, c provider.Container, volumes string) {
	root := p.t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "log"), 0o777); err != nil {
		p.t.Error(err)
		return
	}
	env := map[string]string{}
	for _, e := range c.Env {
		env[e.Name] = e.Value
	}
	now := make(chan struct{})
	close(now) // nobody waits for processes of a group that is deleted
	err := agent.Run(ctx, agent.Config{
		Node: env[protocol.EnvNode], Token: env[protocol.EnvToken], Authority: []byte(env[protocol.EnvAuthority]),
		Root: root, Volumes: volumes, Reaper: children, Hurry: now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil && ctx.Err() == nil {
		p.t.Errorf("agent of %s: %v", c.Name, err)
	}
}

func (p *place) Delete(_ context.Context, name string) error {
	p.mu.Lock()
	p.deleted++
	g := p.groups[name]
	delete(p.groups, name)
	p.tell()
	p.mu.Unlock()
	if g != nil {
		g.stop()
	}
	return nil
}

func (p *place) List(_ context.Context, tags map[string]string) ([]provider.Listed, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []provider.Listed
	for _, g := range p.groups {
		if maps.Equal(tags, map[string]string{provider.TagNode: g.Tags[provider.TagNode]}) {
			list = append(list, provider.Listed{Name: g.Name, Tags: g.Tags, Ended: g.ended})
		}
	}
	return list, nil
}

// reboot ends all that runs; the groups are there as before.
func (p *place) reboot() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range p.groups {
		g.stop()
		g.ended = true
	}
}

// Ended is what a place tells of one group only.
func (p *place) Ended(_ context.Context, name string) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.groups[name]
	return g == nil || g.ended || g.endedUnlisted, nil
}

func (p *place) tell() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// until waits until there are so many groups.
func (p *place) until(n int) {
	p.t.Helper()
	ctx := bounded(p.t)
	for {
		p.mu.Lock()
		have, changed := len(p.groups), p.changed
		p.mu.Unlock()
		if have == n {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			p.t.Fatalf("there are %d groups, want %d", have, n)
		}
	}
}

// made is how many groups were ever made.
func (p *place) made() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

func (p *place) names() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.groups))
}

// only returns the one group that there is.
func (p *place) only() *groupOfAgents {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.groups) != 1 {
		p.t.Fatalf("there are %d groups, want one", len(p.groups))
	}
	for _, g := range p.groups {
		return g
	}
	return nil
}

// requests are how many creates and deletes there were.
func (p *place) requests() (creates, deletes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked, p.deleted
}

func (p *place) refuse(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusal = err
}

// shelf is the registry: images that are there, by full name.
type shelf struct {
	mu    sync.Mutex
	there map[string]images.Image
}

func (s *shelf) put(i images.Image) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.there[i.Ref] = i
}

func (s *shelf) Read(_ context.Context, ref string, _ *runtimeapi.AuthConfig) (images.Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.there[ref]
	if !ok {
		return images.Image{}, errors.New("no such image: " + ref)
	}
	return i, nil
}
