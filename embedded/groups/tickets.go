package groups

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"frankenetes.dev/embedded/arm"
)

// ticketLife is how long a client has to use a ticket.
const ticketLife = time.Minute

// tickets are the websockets of one kind: those that were asked for, and those
// that are open. A ticket is good for one try, of who knows its password.
type tickets[T any] struct {
	// path is where the websockets are, beside ARM.
	path string

	mu      sync.Mutex
	pending map[string]ticket[T]
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// ticket is good for one connection.
type ticket[T any] struct {
	purpose  T
	password string
	until    time.Time
}

func newTickets[T any](path string) *tickets[T] {
	t := &tickets[T]{path: path, pending: map[string]ticket[T]{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// close ends every websocket and waits for that.
func (t *tickets[T]) close() {
	t.mu.Lock()
	t.cancel()
	t.mu.Unlock()
	t.running.Wait()
}

// grant keeps a ticket until its client comes, and answers where to connect.
func (t *tickets[T]) grant(r *arm.Request, purpose T) *arm.Response {
	password := secret()
	id := t.add(ticket[T]{purpose: purpose, password: password, until: time.Now().Add(ticketLife)})
	return &arm.Response{Status: http.StatusOK, Body: map[string]string{
		"webSocketUri": "wss" + strings.TrimPrefix(r.BaseURL, "https") + t.path + id,
		"password":     password,
	}}
}

// add keeps a ticket, and forgets those whose clients did not come.
func (t *tickets[T]) add(one ticket[T]) (id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, old := range t.pending {
		if time.Now().After(old.until) {
			delete(t.pending, id)
		}
	}
	id = secret()
	t.pending[id] = one
	return id
}

// take returns the ticket that a request comes with, if it is still good, and
// forgets it. close waits for the caller, until it says that it is done with
// running.
func (t *tickets[T]) take(r *http.Request) (ticket[T], bool) {
	id := strings.TrimPrefix(r.URL.Path, t.path)
	t.mu.Lock()
	defer t.mu.Unlock()
	one, ok := t.pending[id]
	delete(t.pending, id)
	if !ok || t.ctx.Err() != nil || time.Now().After(one.until) {
		return one, false
	}
	t.running.Add(1)
	return one, true
}

// opensTo reports whether a password is the ticket's.
func (t ticket[T]) opensTo(password []byte) bool {
	return subtle.ConstantTimeCompare(password, []byte(t.password)) == 1
}

func secret() string {
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// maxMessage is the longest message that a client may send, in bytes.
const maxMessage = 1 << 20

// speak makes a websocket of a request and has it spoken with, until that is
// over or the service ends. Who comes is told by the ticket's password; where
// the page with the client was loaded from says nothing.
func (t *tickets[T]) speak(w http.ResponseWriter, r *http.Request, with func(context.Context, *websocket.Conn)) {
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	defer conn.Close()
	conn.SetReadLimit(maxMessage)
	// A client that says nothing, or reads nothing, holds up no end.
	defer context.AfterFunc(t.ctx, func() { conn.Close() })()
	with(t.ctx, conn)
}

func closing(conn *websocket.Conn, code int, text string) {
	_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, text), time.Now().Add(time.Second))
}
