package agent

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"frankenetes.dev/agent/process"
	"frankenetes.dev/agent/protocol"
)

// readBegin reads the first frame of a conversation.
func readBegin(in *protocol.FrameReader, into any) error {
	kind, data, err := in.Next()
	if err != nil || kind != protocol.Begin {
		return refuse(http.StatusBadRequest, "the first frame does not say what is asked")
	}
	if err := json.Unmarshal(data, into); err != nil {
		return refuse(http.StatusBadRequest, "request is not readable: %v", err)
	}
	return nil
}

// openFrames answers a request with frames.
func openFrames(w http.ResponseWriter) *protocol.FrameWriter {
	flush(w)
	return protocol.NewFrameWriter(w, func() { flush(w) })
}

// feed passes the frames of a client on to a program until there are no more.
// It calls finished when the client has no more input.
func feed(ctx context.Context, in *protocol.FrameReader, stdio *process.Stdio, finished func()) {
	for {
		kind, data, err := in.Next()
		if err != nil {
			return
		}
		switch kind {
		case protocol.Input:
			// A program that closed its input gets none; what it has to say
			// still matters.
			_ = stdio.WriteInput(ctx, data)
		case protocol.EndOfData:
			finished()
		case protocol.Resize:
			var size protocol.Size
			if json.Unmarshal(data, &size) == nil {
				_ = stdio.Resize(size) // a terminal that was closed has no size
			}
		}
	}
}

// exec runs a command beside a process. If the client goes, it is killed.
func (a *agent) exec(w http.ResponseWriter, r *http.Request) {
	in := protocol.NewFrameReader(r.Body)
	var e protocol.Exec
	if err := readBegin(in, &e); err != nil {
		answer(w, nil, err)
		return
	}
	run, err := a.processes.find(e.Process)
	if err != nil {
		answer(w, nil, err)
		return
	}
	child, stdio, err := run.exec(e)
	if err != nil {
		answer(w, nil, err)
		return
	}
	defer stdio.Close()
	ctx, cancel := context.WithCancel(r.Context())
	var input sync.WaitGroup
	defer input.Wait()
	defer r.Body.Close() // ends the reading of frames
	defer cancel()
	input.Go(func() { feed(ctx, in, stdio, stdio.CloseInput) })

	out := openFrames(w)
	passOn(ctx, out, child, stdio)
	writeOutcome(out, protocol.Outcome{ExitCode: child.ExitCode()})
}

// exec starts a command with the user, environment and directory of the process.
func (r *run) exec(e protocol.Exec) (*process.Child, *process.Stdio, error) {
	var stdio *process.Stdio
	var err error
	if e.TTY {
		stdio, err = process.NewTerminal(r.place.UID())
	} else {
		stdio, err = process.NewPipes(e.Stdin, r.place.UID())
	}
	if err != nil {
		return nil, nil, err
	}
	// Locked, so that a command is either refused or swept away with the rest
	// when the process ends.
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ending {
		_ = stdio.Close()
		return nil, nil, refuse(http.StatusConflict, "process %s has ended", r.process.ID)
	}
	child, err := r.reaper.Start(r.process.ID, r.place, e.Args, stdio)
	if err != nil {
		return nil, nil, refuse(http.StatusUnprocessableEntity, "%v", err)
	}
	return child, stdio, nil
}

// passOn sends what a command writes until it has ended, by itself or because
// the context did.
func passOn(ctx context.Context, out *protocol.FrameWriter, child *process.Child, stdio *process.Stdio) {
	var pumps sync.WaitGroup
	for kind := range stdio.Outputs {
		pumps.Go(func() {
			_ = stdio.Pump(kind, func(data []byte) error { return out.Write(kind, data) })
		})
	}
	pumped := make(chan struct{})
	go func() {
		pumps.Wait()
		close(pumped)
	}()
	select {
	case <-child.Done():
	case <-ctx.Done():
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), sweepTime)
		child.KillTree(bounded)
		cancel()
		<-child.Done()
	}
	select {
	case <-pumped:
	case <-time.After(grace):
		stdio.Expire()
		<-pumped
	}
}

func writeOutcome(out *protocol.FrameWriter, o protocol.Outcome) {
	if data, err := json.Marshal(o); err == nil {
		_ = out.Write(protocol.Exit, data) // fails only if nobody listens
	}
}

// attach joins a client with a process.
func (a *agent) attach(w http.ResponseWriter, r *http.Request) {
	in := protocol.NewFrameReader(r.Body)
	var wants protocol.Attachment
	if err := readBegin(in, &wants); err != nil {
		answer(w, nil, err)
		return
	}
	run, err := a.processes.find(r.PathValue("id"))
	if err != nil {
		answer(w, nil, err)
		return
	}
	m := run.audience.join()
	defer run.audience.dismiss(m)
	ctx, cancel := context.WithCancel(r.Context())
	var input sync.WaitGroup
	defer input.Wait()
	defer r.Body.Close()
	defer cancel()
	input.Go(func() {
		feed(ctx, in, run.stdio, func() {
			if wants.Stdin && run.process.StdinOnce {
				run.stdio.CloseInput()
			}
		})
		// The first client's input ends with the client, too.
		if wants.Stdin && run.process.StdinOnce {
			run.stdio.CloseInput()
		}
	})
	run.showTo(ctx, m, openFrames(w))
}

// showTo sends a member what the process writes, until that has ended or the
// context is done.
func (r *run) showTo(ctx context.Context, m *member, out *protocol.FrameWriter) {
	for {
		select {
		case p, ok := <-m.output:
			if !ok {
				writeOutcome(out, r.audience.outcome())
				return
			}
			if out.Write(p.kind, p.data) != nil {
				return
			}
		case <-m.gone:
			panic(http.ErrAbortHandler) // so that the client does not take it for the end
		case <-ctx.Done():
			return
		}
	}
}
