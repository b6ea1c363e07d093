package conformance

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// listener hears from the suite how each test ends: at an address of this
// machine's own, on a path that nobody else is told.
type listener struct {
	url    string
	server *http.Server
	served chan struct{}
}

// listen begins to listen, and gives what it hears to ended, one by one. The
// suite says only whether a test has passed or failed, and some of it is lost
// when its processes end; the rest is in its report.
func listen(ended func(Result)) (*listener, error) {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the suite's progress: %w", err)
	}
	path := "/" + rand.Text()
	var one sync.Mutex
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		var said struct {
			Msg string `json:"msg"`
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&said); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if result, ok := told(said.Msg); ok {
			one.Lock()
			defer one.Unlock()
			ended(result)
		}
	})
	l := &listener{
		url:    "http://" + socket.Addr().String() + path,
		server: &http.Server{Handler: mux, ReadTimeout: time.Minute},
		served: make(chan struct{}),
	}
	go func() {
		defer close(l.served)
		_ = l.server.Serve(socket) // always an error: that it was closed
	}()
	return l, nil
}

// close waits until what was heard has been told.
func (l *listener) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = l.server.Shutdown(ctx) // a sender that does not end is cut off with this process
	<-l.served
}

// told reads one message, "PASSED name" or "FAILED name"; others are of the
// suite as a whole.
func told(message string) (Result, bool) {
	word, name, _ := strings.Cut(message, " ")
	outcome, ok := map[string]Outcome{"PASSED": Passed, "FAILED": Failed}[word]
	return Result{Test: name, Outcome: outcome, Ended: time.Now()}, ok && name != ""
}
