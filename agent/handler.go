package agent

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/agent/rootless"
)

// maxBody bounds a request that is not a stream, in bytes. A pod's volume holds
// a few objects of 1 MiB at most, in base64.
const maxBody = 64 << 20

// handler answers the node's requests.
func (a *agent) handler() http.Handler {
	mux := http.NewServeMux()
	one := protocol.ProcessesPath + "/{id}"
	mux.HandleFunc("GET "+protocol.HelloPath, a.hello)
	mux.HandleFunc("GET "+protocol.UsagePath, a.usage)
	mux.HandleFunc("GET "+protocol.EventsPath, a.events)
	mux.HandleFunc("POST "+protocol.ProcessesPath, a.startProcess)
	mux.HandleFunc("POST "+one+protocol.SignalPath, func(w http.ResponseWriter, r *http.Request) {
		answer(w, nil, a.processes.signal(r.PathValue("id"), r.URL.Query().Get("name")))
	})
	mux.HandleFunc("DELETE "+one, func(w http.ResponseWriter, r *http.Request) {
		answer(w, nil, a.processes.remove(r.PathValue("id")))
	})
	mux.HandleFunc("GET "+one+protocol.LogsPath, a.logs)
	mux.HandleFunc("POST "+one+protocol.AttachPath, a.attach)
	mux.HandleFunc("PUT "+one+protocol.RootPath, func(w http.ResponseWriter, r *http.Request) {
		answer(w, nil, a.processes.putRoot(r.PathValue("id"), r.Body))
	})
	mux.HandleFunc("POST "+protocol.ExecPath, a.exec)
	mux.HandleFunc("POST "+protocol.ForwardPath, a.forward)
	mux.HandleFunc("PUT "+protocol.VolumesPath+"/{name}", a.putVolume)
	mux.HandleFunc("GET "+protocol.VolumesPath+"/{name}"+protocol.FilePath, a.volumeFile)
	mux.HandleFunc("GET "+protocol.VolumesPath+"/{name}", a.volumeUsage)
	mux.HandleFunc("PUT "+protocol.VolumesPath+"/{name}"+protocol.ImagePath, func(w http.ResponseWriter, r *http.Request) {
		answer(w, nil, a.volumes.putImage(r.PathValue("name"), r.URL.Query().Get("id"), r.Body))
	})
	mux.HandleFunc("GET "+protocol.VolumesPath+"/{name}"+protocol.ImagePath, func(w http.ResponseWriter, r *http.Request) {
		answer(w, nil, a.volumes.hasImage(r.PathValue("name"), r.URL.Query().Get("id"), r.URL.Query().Get("path")))
	})
	mux.HandleFunc("PUT "+protocol.RecordPath, a.record.put)
	mux.HandleFunc("GET "+protocol.RecordPath, a.record.get)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.requests.begin()
		defer a.requests.end()
		mux.ServeHTTP(w, r)
	})
}

// answer sends a value as JSON, or nothing if it is nil, or an error.
func answer(w http.ResponseWriter, value any, err error) {
	if err != nil {
		refusal := &protocol.Error{Status: http.StatusInternalServerError, Message: err.Error()}
		errors.As(err, &refusal)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(refusal.Status)
		value = refusal
	}
	if value == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	_ = json.NewEncoder(w).Encode(value) // fails only if nobody listens
}

func readBody(w http.ResponseWriter, r *http.Request, into any) error {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(into); err != nil {
		return refuse(http.StatusBadRequest, "request is not readable: %v", err)
	}
	return nil
}

func (a *agent) hello(w http.ResponseWriter, r *http.Request) {
	name, err := os.Hostname()
	found := a.trial()
	h := protocol.Hello{
		Hostname: name, Version: a.cfg.Version, Ports: rootless.PortsAreFree(),
		Exact: found.NoRoom == nil, CleanRoot: found.NoCleanRoot == nil,
	}
	if found.NoRoom != nil {
		h.Inexact = found.NoRoom.Error()
	}
	if found.NoCleanRoot != nil {
		h.Unclean = found.NoCleanRoot.Error()
	}
	// Our side of the way to the node is the group's address.
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		h.IP = addr.IP.String()
	}
	answer(w, h, err)
}

func (a *agent) usage(w http.ResponseWriter, r *http.Request) {
	age, err := ageOf(r)
	if err != nil {
		answer(w, nil, err)
		return
	}
	u, err := a.processes.usage(r.Context(), age)
	answer(w, u, err)
}

// ageOf is how old what was measured may be.
func ageOf(r *http.Request) (time.Duration, error) {
	age, err := time.ParseDuration(r.URL.Query().Get("age"))
	if err != nil {
		return 0, refuse(http.StatusBadRequest, "%q is no age", r.URL.Query().Get("age"))
	}
	return age, nil
}

func (a *agent) startProcess(w http.ResponseWriter, r *http.Request) {
	var p protocol.Process
	if err := readBody(w, r, &p); err != nil {
		answer(w, nil, err)
		return
	}
	state, err := a.processes.start(p)
	answer(w, state, err)
}

func (a *agent) events(w http.ResponseWriter, r *http.Request) {
	watcher := a.processes.watch()
	defer a.processes.unwatch(watcher)
	flush(w)
	encoder := json.NewEncoder(w)
	for {
		states := a.processes.next(r.Context(), watcher)
		if len(states) == 0 {
			return
		}
		for _, s := range states {
			if encoder.Encode(s) != nil {
				return
			}
		}
		flush(w)
	}
}

// flush sends what was written so far, and the headers before it.
func flush(w http.ResponseWriter) {
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}

// logs sends a log as frames: where it goes on, whenever that is not where the
// last frame ended, and its bytes.
func (a *agent) logs(w http.ResponseWriter, r *http.Request) {
	run, err := a.processes.find(r.PathValue("id"))
	if err != nil {
		answer(w, nil, err)
		return
	}
	offset, err := strconv.ParseInt(r.URL.Query().Get("offset"), 10, 64)
	if err != nil || offset < 0 {
		answer(w, nil, refuse(http.StatusBadRequest, "%q is no offset", r.URL.Query().Get("offset")))
		return
	}
	follow := r.URL.Query().Get("follow") == "true"
	flush(w)
	out := protocol.NewFrameWriter(w, func() { flush(w) })
	buf := make([]byte, protocol.MaxData)
	for next := int64(-1); ; {
		n, at, err := run.log.ReadAt(r.Context(), buf, offset, follow)
		if errors.Is(err, io.EOF) {
			_ = out.Write(protocol.EndOfData, nil)
			return
		}
		if err != nil {
			panic(http.ErrAbortHandler) // so that the node does not take it for the end
		}
		if at != next && out.Write(protocol.Offset, binary.BigEndian.AppendUint64(nil, uint64(at))) != nil {
			return
		}
		if out.Write(protocol.Output, buf[:n]) != nil {
			return
		}
		offset = at + int64(n)
		next = offset
	}
}
