package groups

import (
	"context"
	"errors"
	"io/fs"
	"net/http"

	"github.com/gorilla/websocket"

	"frankenetes.dev/embedded/arm"
)

// AttachPath is where the attach endpoint is served, beside ARM.
const AttachPath = "/attach/"

// attach says where to connect to hear what a container writes.
func (s *Service) attach(_ context.Context, r *arm.Request) (*arm.Response, error) {
	of, err := s.runningContainer(r)
	if err != nil {
		return nil, err
	}
	return s.attachments.grant(r, of), nil
}

// AttachHandler serves the websockets of attach, below AttachPath. The password
// is the value of their Authorization header.
//
// The API does not say from when on output is sent, nor for how long. As kubectl
// and docker have it, it is what the container writes from the moment of the
// connection (what came before is in the logs), until this run of it ends: one
// that is restarted is attached to anew.
func (s *Service) AttachHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, ok := s.attachments.take(r)
		if ok {
			defer s.attachments.running.Done()
		}
		if !ok || !t.opensTo([]byte(r.Header.Get("Authorization"))) {
			http.Error(w, "no such attach, or it was used or not used in time, or the password is wrong", http.StatusUnauthorized)
			return
		}
		// Before the client knows that it is connected: it will miss nothing.
		output, err := s.engine.follow(t.purpose)
		if err != nil {
			s.refuseAttach(w, t.purpose, err)
			return
		}
		defer output.close()
		s.attachments.speak(w, r, func(ctx context.Context, conn *websocket.Conn) { s.send(ctx, conn, output) })
	})
}

func (s *Service) refuseAttach(w http.ResponseWriter, to run, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		http.Error(w, "the container is gone", http.StatusGone)
		return
	}
	s.options.Log.Error("container is not attached to", "container", to.container, "id", to.id, "error", err)
	http.Error(w, "the output of the container cannot be read", http.StatusInternalServerError)
}

// send sends output to one client until it ends or the client goes. What the
// client says is passed over.
func (s *Service) send(ctx context.Context, conn *websocket.Conn, output *follower) {
	ctx, cancel := context.WithCancel(ctx)
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		defer cancel() // the client has gone
		for {
			if _, _, err := conn.NextReader(); err != nil {
				return
			}
		}
	}()
	err := output.copy(ctx, messages{conn})
	code, reason := websocket.CloseNormalClosure, ""
	if err != nil && ctx.Err() == nil {
		s.options.Log.Debug("attach ended", "container", output.run.container, "error", err)
		code, reason = websocket.CloseInternalServerErr, "the output of the container cannot be read"
	}
	cancel()
	closing(conn, code, reason)
	conn.Close()
	<-listening
}
