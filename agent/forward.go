package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"

	"frankenetes.dev/agent/protocol"
)

// forward joins a client with a port of the group.
func (a *agent) forward(w http.ResponseWriter, r *http.Request) {
	port, err := strconv.ParseUint(r.URL.Query().Get("port"), 10, 16)
	if err != nil || port == 0 {
		answer(w, nil, refuse(http.StatusBadRequest, "%q is no port", r.URL.Query().Get("port")))
		return
	}
	conn, err := dialLoopback(r.Context(), strconv.FormatUint(port, 10))
	if err != nil {
		answer(w, nil, refuse(http.StatusBadGateway, "%v", err))
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(r.Context(), func() { _ = conn.Close() })
	defer stop()
	var upload sync.WaitGroup
	defer upload.Wait()
	upload.Go(func() { copyIn(conn, protocol.NewFrameReader(r.Body)) })
	out := openFrames(w)
	_, err = io.CopyBuffer(out.Data(protocol.Output), struct{ io.Reader }{conn}, make([]byte, protocol.MaxData))
	if err != nil {
		_ = r.Body.Close()
		return
	}
	_ = out.Write(protocol.EndOfData, nil)
}

// dialLoopback connects to a port of the group on either loopback address.
func dialLoopback(ctx context.Context, port string) (*net.TCPConn, error) {
	var errs []error
	for _, host := range []string{"127.0.0.1", "::1"} {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
		if err == nil {
			if tcp, ok := conn.(*net.TCPConn); ok {
				return tcp, nil
			}
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("connect to port %s of the group: %w", port, errors.Join(errs...))
}

// copyIn writes the client's data to a connection, and then ends its half.
func copyIn(conn *net.TCPConn, in *protocol.FrameReader) {
	for {
		kind, data, err := in.Next()
		switch {
		case err != nil:
			_ = conn.Close() // the client went without saying that it was done
			return
		case kind == protocol.Input:
			if _, err := conn.Write(data); err != nil {
				return
			}
		case kind == protocol.EndOfData:
			_ = conn.CloseWrite()
			return
		}
	}
}
