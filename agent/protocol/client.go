package protocol

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// The paths of an agent's requests. ID and NAME stand for one path element.
const (
	HelloPath     = "/v1/hello"          // GET: Hello
	UsagePath     = "/v1/usage"          // GET ?age=1m: Usage
	EventsPath    = "/v1/events"         // GET: a stream of JSON States
	ProcessesPath = "/v1/processes"      // POST Process: State; DELETE .../ID
	SignalPath    = "/signal"            // POST .../ID/signal?name=SIGTERM
	LogsPath      = "/logs"              // GET .../ID/logs?offset=0&follow=true: frames
	AttachPath    = "/attach"            // POST .../ID/attach: frames both ways
	RootPath      = "/root"              // PUT .../ID/root: a tar archive
	ExecPath      = "/v1/exec"           // POST: frames both ways
	ForwardPath   = "/v1/forward"        // POST ?port=80: frames both ways
	VolumesPath   = "/v1/volumes"        // PUT .../NAME Volume; GET .../NAME?age=1m: Disk
	FilePath      = "/file"              // GET .../NAME/file?path=a/b: bytes
	ImagePath     = "/image"             // PUT .../NAME/image?id=ID: a tar archive; GET ...&path=PATH
	RecordPath    = "/v1/record"         // PUT and GET: bytes that only the node understands
	origin        = "https://agent"      // HTTP wants a host; the connection is already chosen
	jsonType      = "application/json"   //
	frameType     = "application/frames" //
	tarType       = "application/x-tar"  //
)

// Client is the node's side of one agent's connection. It is safe for
// concurrent use. Errors that come from the agent are of type *Error; others
// mean that the connection has ended or the context is done.
type Client struct {
	conn http.RoundTripper
	done <-chan struct{}
}

// NewClient returns a client that sends its requests over conn, an HTTP/2
// connection on which the agent is the server. done is closed when that ends.
func NewClient(conn http.RoundTripper, done <-chan struct{}) *Client {
	return &Client{conn: conn, done: done}
}

// Done is closed when the connection has ended. The agent and its processes
// live on, and will come back on another connection.
func (c *Client) Done() <-chan struct{} { return c.done }

// Hello asks the agent who and where it is.
func (c *Client) Hello(ctx context.Context) (Hello, error) {
	var h Hello
	err := c.call(ctx, http.MethodGet, HelloPath, nil, &h)
	return h, err
}

// Usage asks what the agent's container uses. What it has written may have been
// measured some time ago: to measure is expensive, and an age says how old what
// is known may be before that is done again.
func (c *Client) Usage(ctx context.Context, age time.Duration) (Usage, error) {
	var u Usage
	err := c.call(ctx, http.MethodGet, UsagePath+aged(age), nil, &u)
	return u, err
}

// HasImage asks the pod agent whether a volume has the content of an image, by
// its ID, and in it something at a path. Another content, or none, is an error
// with status 404.
func (c *Client) HasImage(ctx context.Context, name, id, path string) error {
	return c.call(ctx, http.MethodGet, imagePath(name)+"?"+url.Values{"id": {id}, "path": {path}}.Encode(), nil, nil)
}

// PutImage gives a volume the content of an image: a tar archive.
func (c *Client) PutImage(ctx context.Context, name, id string, archive io.Reader) error {
	resp, err := c.do(ctx, http.MethodPut, imagePath(name)+"?"+url.Values{"id": {id}}.Encode(), tarType, archive)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func imagePath(name string) string { return VolumesPath + "/" + url.PathEscape(name) + ImagePath }

// VolumeUsage asks the pod agent what a volume holds, as of some time ago.
func (c *Client) VolumeUsage(ctx context.Context, name string, age time.Duration) (Disk, error) {
	var d Disk
	err := c.call(ctx, http.MethodGet, VolumesPath+"/"+url.PathEscape(name)+aged(age), nil, &d)
	return d, err
}

func aged(age time.Duration) string { return "?" + url.Values{"age": {age.String()}}.Encode() }

// Start starts a process. Asking again for an ID that the agent knows is
// refused with status 409.
func (c *Client) Start(ctx context.Context, p Process) (State, error) {
	var s State
	err := c.call(ctx, http.MethodPost, ProcessesPath, p, &s)
	return s, err
}

// PutRoot gives a process that is to be started, and then has a root file system
// of its own, the content of that: a tar archive.
func (c *Client) PutRoot(ctx context.Context, processID string, archive io.Reader) error {
	resp, err := c.do(ctx, http.MethodPut, processPath(processID)+RootPath, tarType, archive)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Signal sends a signal ("SIGTERM", "TERM" or "15") to a process. A process
// that has ended takes any signal and does nothing.
func (c *Client) Signal(ctx context.Context, processID, signal string) error {
	query := url.Values{"name": {signal}}
	return c.call(ctx, http.MethodPost, processPath(processID)+SignalPath+"?"+query.Encode(), nil, nil)
}

// Remove makes the agent forget a process that has ended, and its log. One
// that it does not know is no error; one that runs is refused with status 409.
func (c *Client) Remove(ctx context.Context, processID string) error {
	return c.call(ctx, http.MethodDelete, processPath(processID), nil, nil)
}

// PutVolume gives one of the pod's volumes its content. Only the pod agent
// has volumes.
func (c *Client) PutVolume(ctx context.Context, name string, v Volume) error {
	return c.call(ctx, http.MethodPut, VolumesPath+"/"+url.PathEscape(name), v, nil)
}

// VolumeFile returns what a file in one of the pod's volumes holds. One that is
// not there, or is no file, is an error with status 404.
func (c *Client) VolumeFile(ctx context.Context, name, path string) ([]byte, error) {
	var data []byte
	query := url.Values{"path": {path}}
	err := c.call(ctx, http.MethodGet, VolumesPath+"/"+url.PathEscape(name)+FilePath+"?"+query.Encode(), nil, &data)
	return data, err
}

// PutRecord leaves with the agent, in its memory, what a node that loses its
// own must know of the group. It replaces what was left before.
func (c *Client) PutRecord(ctx context.Context, record []byte) error {
	return c.call(ctx, http.MethodPut, RecordPath, record, nil)
}

// Record returns what PutRecord has left; nothing is an error with status 404.
func (c *Client) Record(ctx context.Context) ([]byte, error) {
	var record []byte
	err := c.call(ctx, http.MethodGet, RecordPath, nil, &record)
	return record, err
}

// Events calls fn with the state of every process that the agent knows, and
// then with every change, in order, until the context is done or the
// connection ends. It never returns nil.
func (c *Client) Events(ctx context.Context, fn func(State)) error {
	resp, err := c.do(ctx, http.MethodGet, EventsPath, "", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	decoder := json.NewDecoder(resp.Body)
	for {
		var s State
		if err := decoder.Decode(&s); err != nil {
			return fmt.Errorf("read events of agent: %w", ended(ctx, err))
		}
		fn(s)
	}
}

// Logs reads a process's log, in CRI format, from a byte offset. With follow it
// goes on until the process has ended and all is read. The reader is a
// *LogReader: a log is bounded, so the offset where reading starts or goes on
// may be later than the one asked for.
func (c *Client) Logs(ctx context.Context, processID string, offset int64, follow bool) (io.ReadCloser, error) {
	query := url.Values{"offset": {strconv.FormatInt(offset, 10)}, "follow": {strconv.FormatBool(follow)}}
	resp, err := c.do(ctx, http.MethodGet, processPath(processID)+LogsPath+"?"+query.Encode(), "", nil)
	if err != nil {
		return nil, err
	}
	return &LogReader{body: resp.Body, frames: NewFrameReader(resp.Body), offset: offset}, nil
}

func processPath(id string) string { return ProcessesPath + "/" + url.PathEscape(id) }

// call makes a request whose body and answer, where they are not nil, are JSON.
func (c *Client) call(ctx context.Context, method, path string, body, answer any) error {
	var reader io.Reader
	contentType := ""
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("ask agent %s %s: %w", method, path, err)
		}
		reader, contentType = bytes.NewReader(data), jsonType
	}
	resp, err := c.do(ctx, method, path, contentType, reader)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if answer != nil {
		if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
			return fmt.Errorf("ask agent %s %s: %w", method, path, ended(ctx, err))
		}
	}
	return nil
}

// do sends a request and returns an answer that is no refusal.
func (c *Client) do(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, origin+path, body)
	if err != nil {
		return nil, fmt.Errorf("ask agent %s %s: %w", method, path, err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.conn.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("ask agent %s %s: %w", method, path, ended(ctx, err))
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	refusal := &Error{Status: resp.StatusCode}
	if json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(refusal) != nil || refusal.Message == "" {
		refusal.Message = "agent answered " + resp.Status
	}
	return nil, refusal
}

// ended prefers the reason of a context that is done over its consequences.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
