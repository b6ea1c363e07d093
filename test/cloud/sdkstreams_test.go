package cloudtest

import (
	"net/http"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"
	"github.com/gorilla/websocket"
)

func testStreams(c *localCloud) {
	c.put("streams", container("main", "sh", "-c",
		"echo first; echo second >&2; echo third; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo fourth; sleep 1000000"))
	got, err := c.conn.Containers.ListLogs(c.ctx(), resourceGroup, "streams", "main", &aci.ContainersClientListLogsOptions{
		Tail: to.Ptr[int32](2), Timestamps: to.Ptr(true)})
	if err != nil {
		c.T.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(*got.Content, "\n"), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "20") || !strings.HasSuffix(lines[1], " third") {
		c.T.Errorf("two lines with their times: %q", *got.Content)
	}
	if out, code := c.sh("streams", "main", "echo to stdout; echo to stderr >&2; exit 7"); out != "to stdout\nto stderr\n" || code != 7 {
		c.T.Errorf("a shell printed %q and ended with %d", out, code)
	}
	_, err = c.conn.Containers.ListLogs(c.ctx(), resourceGroup, "streams", "nobody", nil)
	c.refused(err, 404, "")
	c.remove("streams")
}

// testAttach hears what a container prints from now on. The password is the
// Authorization header here.
func testAttach(c *localCloud) {
	got, err := c.conn.Containers.Attach(c.ctx(), resourceGroup, "streams", "main", nil)
	if err != nil {
		c.T.Fatal(err)
	}
	dialer := websocket.Dialer{TLSClientConfig: c.conn.WebSocketTLS()}
	ws, _, err := dialer.DialContext(c.ctx(), *got.WebSocketURI, http.Header{"Authorization": {*got.Password}})
	if err != nil {
		c.T.Fatal(err)
	}
	defer ws.Close()
	c.sh("streams", "main", "touch /tmp/go")
	var heard strings.Builder
	for !strings.Contains(heard.String(), "fourth") {
		_, message, err := ws.ReadMessage()
		if err != nil {
			c.T.Fatalf("after %q: %v", heard.String(), err)
		}
		heard.Write(message)
	}
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
