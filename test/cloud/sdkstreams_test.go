package cloudtest

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"
	"github.com/gorilla/websocket"

	"frankenetes.dev/cloud"
	"frankenetes.dev/test/machine"
)

func testStreams(c *localCloud) {
	c.put("streams", container("main", "sh", "-c",
		"echo first; echo second >&2; echo third; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo fourth; while [ -e /tmp/go ]; do sleep 0.1; done; printf fifth"))
	c.await("streams", "heard of", func(*cloud.Group) bool { return strings.Count(c.logs("streams", "main"), "\n") == 3 })
	got, err := c.conn.Containers.ListLogs(c.ctx(), resourceGroup, "streams", "main", &aci.ContainersClientListLogsOptions{
		Tail: to.Ptr[int32](2), Timestamps: to.Ptr(true)})
	if err != nil {
		c.T.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(*got.Content, "\n"), "\n")
	// The streams are two: which of them is a word ahead nobody knows.
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "20") || !strings.HasSuffix(lines[0], " third") && !strings.HasSuffix(lines[1], " third") {
		c.T.Errorf("two lines with their times: %q", *got.Content)
	}
	if out, code := c.sh("streams", "main", "echo to stdout; echo to stderr >&2; exit 7"); out != "to stdout\nto stderr\n" || code != 7 {
		c.T.Errorf("a shell printed %q and ended with %d", out, code)
	}
	if out, err := c.conn.Exec(c.ctx(), resourceGroup, "streams", "main", "/no/such"); err != nil || !strings.Contains(out, "no such file") {
		c.T.Errorf("a command that is not there: %q, %v", out, err)
	}
	_, err = c.conn.Containers.ListLogs(c.ctx(), resourceGroup, "streams", "nobody", nil)
	c.refused(err, 404, "")
	_, err = c.conn.Containers.Attach(c.ctx(), resourceGroup, "streams", "nobody", nil)
	c.refused(err, 404, "ContainerNotFound")
}

// testAttach hears what a container prints from now on, until it ends. The
// password is the Authorization header here.
func testAttach(c *localCloud) {
	first, second := c.attach("streams", "main"), c.attach("streams", "main")
	c.sh("streams", "main", "touch /tmp/go")
	for _, ws := range []*websocket.Conn{first, second} {
		var heard []byte
		for string(heard) != "fourth\n" {
			_, message, err := ws.ReadMessage()
			if heard = append(heard, message...); err != nil || !strings.HasPrefix("fourth\n", string(heard)) {
				c.T.Fatalf("heard %q: %v", heard, err)
			}
		}
	}
	second.Close() // one that goes does not end the other
	// The container ends by it, and the shell with the container.
	say(c.T, c.exec("streams", "main", "/bin/sh"), "rm /tmp/go\n")
	kind, last, err := first.ReadMessage()
	if err != nil || kind != websocket.BinaryMessage || string(last) != "fifth" {
		c.T.Errorf("heard %q, in a message of kind %d: %v", last, kind, err)
	}
	if _, more, err := first.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		c.T.Errorf("after the end: %q, %v", more, err)
	}
	c.await("streams", "over", func(g *cloud.Group) bool { return stateOf(g) == "Succeeded" })
	if got := c.logs("streams", "main"); !strings.HasSuffix(got, "\nfourth\nfifth") {
		c.T.Errorf("in the end it had printed %q", got)
	}
	_, err = c.conn.Containers.Attach(c.ctx(), resourceGroup, "streams", "main", nil)
	c.refused(err, 409, "ContainerNotRunning")
	c.remove("streams")
}

// attach connects to a container's output, after a try with a wrong password.
func (c *localCloud) attach(group, container string) *websocket.Conn {
	c.T.Helper()
	dialer := websocket.Dialer{TLSClientConfig: c.conn.WebSocketTLS()}
	var ws *websocket.Conn
	for _, wrong := range []string{"x", ""} {
		got, err := c.conn.Containers.Attach(c.ctx(), resourceGroup, group, container, nil)
		if err != nil {
			c.T.Fatal(err)
		}
		var answer *http.Response
		ws, answer, err = dialer.DialContext(c.ctx(), *got.WebSocketURI, http.Header{"Authorization": {*got.Password + wrong}})
		if wrong != "" && (answer == nil || answer.StatusCode != http.StatusUnauthorized) || wrong == "" && err != nil {
			c.T.Fatalf("attach with %q after the password: %v", wrong, err)
		}
	}
	c.T.Cleanup(func() { ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(machine.Patience))
	return ws
}

func testLocation(c *localCloud) {
	location := sdk(c, aci.NewLocationClient)
	usages := collect(c, location.NewListUsagePager(c.conn.Location, nil), func(r aci.LocationClientListUsageResponse) []*aci.Usage { return r.Value })
	at := slices.IndexFunc(usages, func(u *aci.Usage) bool { return *u.Name.Value == "ContainerGroups" })
	if at < 0 || *usages[at].CurrentValue != 1 {
		c.T.Errorf("usages: %+v", usages)
	}
	capabilities := collect(c, location.NewListCapabilitiesPager(c.conn.Location, nil), func(r aci.LocationClientListCapabilitiesResponse) []*aci.Capabilities { return r.Value })
	if len(capabilities) == 0 || *capabilities[0].OSType != "Linux" || *capabilities[0].Capabilities.MaxCPU <= 0 {
		c.T.Errorf("capabilities: %+v", capabilities)
	}
	images := collect(c, location.NewListCachedImagesPager(c.conn.Location, nil), func(r aci.LocationClientListCachedImagesResponse) []*aci.CachedImages { return r.Value })
	if !slices.ContainsFunc(images, func(i *aci.CachedImages) bool { return strings.HasPrefix(*i.Image, testImage) }) {
		c.T.Errorf("the test image is not among the cached images: %+v", images)
	}
	operations, err := aci.NewOperationsClient(c.conn.Credentials(), c.conn.ClientOptions())
	if err != nil {
		c.T.Fatal(err)
	}
	all := collect(c, operations.NewListPager(nil), func(r aci.OperationsClientListResponse) []*aci.Operation { return r.Value })
	if !slices.ContainsFunc(all, func(o *aci.Operation) bool { return *o.Name == "Microsoft.ContainerInstance/containerGroups/read" }) {
		c.T.Errorf("operations: %+v", all)
	}
	endpoints, err := c.conn.Groups.GetOutboundNetworkDependenciesEndpoints(c.ctx(), resourceGroup, "whole", nil)
	if err != nil || len(endpoints.StringArray) != 0 {
		c.T.Errorf("outbound endpoints: %v, %v", endpoints.StringArray, err)
	}
}

func testDelete(c *localCloud) {
	for range 2 { // a group that is not there is deleted as well
		poller, err := c.conn.Groups.BeginDelete(c.ctx(), resourceGroup, "whole", nil)
		if err != nil {
			c.T.Fatal(err)
		}
		if _, err := poller.PollUntilDone(c.ctx(), polling()); err != nil {
			c.T.Fatal(err)
		}
	}
	_, err := c.conn.Groups.Get(c.ctx(), resourceGroup, "whole", nil)
	c.refused(err, 404, "ResourceNotFound")
}

func testRefusals(c *localCloud) {
	wrong := sleeper("wrong")
	wrong.Properties.Resources.Requests.CPU = nil
	_, err := c.conn.Groups.BeginCreateOrUpdate(c.ctx(), resourceGroup, "wrong", c.group(wrong), nil)
	c.refused(err, 400, "ResourceRequestsNotSpecified")
	_, err = c.conn.Groups.BeginCreateOrUpdate(c.ctx(), "nowhere", "lost", c.group(sleeper("lost")), nil)
	c.refused(err, 404, "ResourceGroupNotFound")
	_, err = c.conn.Groups.BeginStart(c.ctx(), resourceGroup, "nobody", nil)
	c.refused(err, 404, "ResourceNotFound")
	_, err = c.conn.Groups.BeginRestart(c.ctx(), resourceGroup, "nobody", nil)
	c.refused(err, 404, "ResourceNotFound")
	_, err = c.conn.Groups.Stop(c.ctx(), resourceGroup, "nobody", nil)
	c.refused(err, 404, "ResourceNotFound")
	_, err = c.conn.Groups.Update(c.ctx(), resourceGroup, "nobody", aci.Resource{}, nil)
	c.refused(err, 404, "ResourceNotFound")
}
