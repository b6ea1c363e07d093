package cloud

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"
	"github.com/gorilla/websocket"
)

// Group is a container group as the SDK has it.
type Group = armcontainerinstance.ContainerGroup

// PutGroup asks for a group. It returns when the cloud has accepted it, long
// before its containers run.
func (c *Connection) PutGroup(ctx context.Context, resourceGroup, name string, g Group) error {
	if _, err := c.Groups.BeginCreateOrUpdate(ctx, resourceGroup, name, g, nil); err != nil {
		return fmt.Errorf("create container group %s/%s: %w", resourceGroup, name, explain(err))
	}
	return nil
}

// GetGroup returns a group with its instance view, nil when there is none.
func (c *Connection) GetGroup(ctx context.Context, resourceGroup, name string) (*Group, error) {
	got, err := c.Groups.Get(ctx, resourceGroup, name, nil)
	if IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get container group %s/%s: %w", resourceGroup, name, explain(err))
	}
	return &got.ContainerGroup, nil
}

// DeleteGroup deletes a group and waits until it is gone. A group that does
// not exist is no error.
func (c *Connection) DeleteGroup(ctx context.Context, resourceGroup, name string) error {
	poller, err := c.Groups.BeginDelete(ctx, resourceGroup, name, nil)
	if err == nil {
		_, err = poller.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: pollFrequency})
	}
	if err != nil && !IsNotFound(err) {
		return fmt.Errorf("delete container group %s/%s: %w", resourceGroup, name, explain(err))
	}
	return nil
}

// ListGroups returns the groups of a resource group, without instance views;
// none when the resource group does not exist.
func (c *Connection) ListGroups(ctx context.Context, resourceGroup string) ([]*Group, error) {
	var all []*Group
	for pager := c.Groups.NewListByResourceGroupPager(resourceGroup, nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list container groups of %s: %w", resourceGroup, explain(err))
		}
		all = append(all, page.Value...)
	}
	return all, nil
}

// Logs returns the last lines of a container's output; all that the cloud has
// when tail is 0.
func (c *Connection) Logs(ctx context.Context, resourceGroup, group, container string, tail int32) (string, error) {
	var opts armcontainerinstance.ContainersClientListLogsOptions
	if tail > 0 {
		opts.Tail = &tail
	}
	got, err := c.Containers.ListLogs(ctx, resourceGroup, group, container, &opts)
	if err != nil {
		return "", fmt.Errorf("get logs of container group %s/%s: %w", resourceGroup, group, explain(err))
	}
	if got.Content == nil {
		return "", nil
	}
	return *got.Content, nil
}

// Exec runs a program in a container and returns what it printed. The cloud
// tells no exit code, and on Azure the command can have no arguments.
func (c *Connection) Exec(ctx context.Context, resourceGroup, group, container, command string) (string, error) {
	got, err := c.Containers.ExecuteCommand(ctx, resourceGroup, group, container, armcontainerinstance.ContainerExecRequest{
		Command:      &command,
		TerminalSize: &armcontainerinstance.ContainerExecRequestTerminalSize{Rows: to.Ptr[int32](24), Cols: to.Ptr[int32](80)},
	}, nil)
	if err != nil {
		return "", fmt.Errorf("run %s in container group %s/%s: %w", command, resourceGroup, group, explain(err))
	}
	out, err := c.readExec(ctx, *got.WebSocketURI, *got.Password)
	if err != nil {
		return out, fmt.Errorf("run %s in container group %s/%s: %w", command, resourceGroup, group, explain(err))
	}
	return out, nil
}

// readExec speaks the exec protocol: the password as the first text message,
// then output until the cloud closes the connection.
func (c *Connection) readExec(ctx context.Context, uri, password string) (string, error) {
	dialer := websocket.Dialer{Proxy: http.ProxyFromEnvironment, TLSClientConfig: c.WebSocketTLS()}
	ws, _, err := dialer.DialContext(ctx, uri, nil)
	if err != nil {
		return "", err
	}
	defer ws.Close()
	stop := context.AfterFunc(ctx, func() { ws.Close() })
	defer stop()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(password)); err != nil {
		return "", err
	}
	var out strings.Builder
	for {
		_, message, err := ws.ReadMessage()
		var closed *websocket.CloseError
		if errors.As(err, &closed) {
			return out.String(), nil
		}
		if err != nil {
			return out.String(), errors.Join(err, ctx.Err())
		}
		out.Write(message)
	}
}

// WebSocketTLS is how to trust the cloud on websockets, which are HTTP/1.1 only.
func (c *Connection) WebSocketTLS() *tls.Config {
	conf := c.http.Transport.(*http.Transport).TLSClientConfig.Clone()
	conf.NextProtos = nil
	return conf
}
