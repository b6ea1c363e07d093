package cloudtest

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"

	"frankenetes.dev/cloud"
	"frankenetes.dev/test/machine"
)

// TestNetworks tells of two virtual networks of the same range, of groups in
// them, and of who is reached from where.
func TestNetworks(t *testing.T) {
	c := newCloud(t)
	one, two := c.network("one"), c.network("two")
	for _, n := range []cloud.Network{one, two} {
		if err := c.conn.PutNetwork(c.ctx(), n); err != nil {
			t.Fatal(err)
		}
	}
	c.putInNetwork("web", one, server("one", "8081"))
	c.putInNetwork("asker", one, sleeper("main"))
	c.putInNetwork("other", two, server("two", "8082"))
	c.put("public", server("public", "8083")) // with no address of its own that is open

	c.part("addresses are the network's", func(c *localCloud) {
		web, other := addressOf(c.get("web")), addressOf(c.get("other"))
		if web != other || !one.Range.Contains(netip.MustParseAddr(web)) {
			c.T.Errorf("the first group of each network has %s and %s, want the same of %s", web, other, one.Range)
		}
	})
	c.part("groups of a network reach each other and no other", func(c *localCloud) { c.testNeighbours(one, two) })
	c.part("the host is in the network", func(c *localCloud) {
		c.awaitReach(addressOf(c.get("web"))+":8081", true)
	})
	c.part("a port of a group in a network is published", testPublishedInNetwork)
	c.part("resolv.conf is what dnsConfig says", func(c *localCloud) {
		g := c.group(sleeper("main"))
		g.Properties.DNSConfig = &aci.DNSConfiguration{NameServers: to.SliceOfPtrs("192.0.2.53"), SearchDomains: to.Ptr("a.example b.example"), Options: to.Ptr("ndots:3")}
		c.putGroup("resolver", c.inNetwork(g, two))
		text, _ := c.sh("resolver", "main", "cat /etc/resolv.conf")
		for _, want := range []string{"nameserver 192.0.2.53", "search a.example b.example", "options ndots:3"} {
			if !strings.Contains(text, want) {
				c.T.Errorf("resolv.conf lacks %q: %s", want, text)
			}
		}
		c.remove("resolver")
	})
	c.part("the daemon dies and nobody notices", func(c *localCloud) {
		web := addressOf(c.get("web"))
		c.Kill9()
		if !reachable(web + ":8081") {
			c.T.Error("the host does not reach the group without a daemon")
		}
		c.Run("cloud", "start")
		c.testNeighbours(one, two)
		if after := addressOf(c.get("web")); after != web {
			c.T.Errorf("its address was %s and is %s", web, after)
		}
	})
	c.part("a network is kept as long as it is used", func(c *localCloud) { c.testKept(one) })
	c.part("what is left", func(c *localCloud) {
		for _, name := range []string{"asker", "other", "public"} {
			c.remove(name)
		}
		poller, err := sdk(c, aci.NewSubnetServiceAssociationLinkClient).BeginDelete(c.ctx(), resourceGroup, one.Name, "groups", nil)
		if err == nil {
			_, err = poller.PollUntilDone(c.ctx(), polling())
		}
		if err != nil {
			c.T.Errorf("the service's link to the subnet: %v", err)
		}
		machine.ExpectNothing(c.T, "without groups", c.Traces().Groups(c.T))
	})
}

// network is one whose range others may have too.
func (c *localCloud) network(name string) cloud.Network {
	return cloud.Network{ResourceGroup: resourceGroup, Name: name, Location: c.conn.Location,
		Range: netip.MustParsePrefix("10.203.0.0/24"), Zone: name + ".example.internal"}
}

func (c *localCloud) inNetwork(g cloud.Group, n cloud.Network) cloud.Group {
	g.Properties.SubnetIDs = []*aci.ContainerGroupSubnetID{{ID: to.Ptr(c.conn.SubnetID(n))}}
	return g
}

func (c *localCloud) putInNetwork(name string, n cloud.Network, containers ...*aci.Container) {
	c.T.Helper()
	g := c.putGroup(name, c.inNetwork(c.group(containers...), n))
	if err := c.conn.PutAddress(c.ctx(), n, name, netip.MustParseAddr(addressOf(g))); err != nil {
		c.T.Fatal(err)
	}
}

// server answers HTTP at a port, which no group has to open, with its word.
func server(word, port string) *aci.Container {
	return container("main", "sh", "-c", "mkdir /www; echo "+word+" >/www/index.html; exec busybox httpd -f -p "+port+" -h /www")
}

func addressOf(g *cloud.Group) string {
	if g == nil || g.Properties.IPAddress == nil || g.Properties.IPAddress.IP == nil {
		return ""
	}
	return *g.Properties.IPAddress.IP
}

// ask has a container of a group connect to an address, and returns what came
// of it: nothing, or TIMEOUT, REFUSED or DNS.
func (c *localCloud) ask(group, at string) string {
	c.T.Helper()
	out, _ := c.sh(group, "main", "/agnhost connect --timeout 3s "+at)
	return strings.TrimSpace(out)
}

func (c *localCloud) testNeighbours(one, two cloud.Network) {
	public := addressOf(c.get("public"))
	if public != "" {
		c.T.Fatalf("a group that asked for no address has %s", public)
	}
	web := addressOf(c.get("web"))
	for _, a := range []struct{ what, from, to, want string }{
		{"a neighbour by its address", "asker", web + ":8081", ""},
		{"a neighbour by its name", "asker", "web." + one.Zone + ":8081", ""},
		{"the port of one with the same address in another network", "asker", web + ":8082", "REFUSED"},
		{"a name of another network", "asker", "other." + two.Zone + ":8082", "DNS"},
		{"out of the public into a network", "public", web + ":8081", "TIMEOUT"},
		{"a service of the cloud by its name", "asker", "frankenetes.internal:443", ""},
	} {
		if got := c.ask(a.from, a.to); !strings.HasPrefix(got, a.want) || (got == "") != (a.want == "") {
			c.T.Errorf("%s (%s to %s): %q, want %q", a.what, a.from, a.to, got, a.want)
		}
	}
}

// testPublishedInNetwork reaches a group whose range somebody else has too.
func testPublishedInNetwork(c *localCloud) {
	g := c.get("other")
	port := c.freePort()
	g.Tags = map[string]*string{cloud.PublishTag: to.Ptr(port + ":8082")}
	c.putGroup("other", *g)
	c.awaitReach("127.0.0.1:"+port, true)
	if body := c.fetch("http://127.0.0.1:" + port); body != "two\n" {
		c.T.Errorf("it answers %q", body)
	}
}

// testKept tries to take a network away from its groups.
func (c *localCloud) testKept(one cloud.Network) {
	network := strings.TrimSuffix(c.conn.SubnetID(one), "/subnets/groups")
	_, err := c.conn.Resources.BeginDeleteByID(c.ctx(), network, "2023-09-01", nil)
	c.refused(err, 400, "InUseSubnetCannotBeDeleted")
	_, err = c.conn.Resources.BeginDeleteByID(c.ctx(), c.conn.SubnetID(one), "2023-09-01", nil)
	c.refused(err, 400, "InUseSubnetCannotBeDeleted")
	links := sdk(c, aci.NewSubnetServiceAssociationLinkClient)
	_, err = links.BeginDelete(c.ctx(), resourceGroup, one.Name, "groups", nil)
	c.refused(err, 409, "SubnetInUse")
	if err := c.conn.CloseNetwork(c.ctx(), one); err != nil {
		c.T.Error(err)
	}
	c.remove("web")
	c.putInNetwork("web", one, server("one", "8081"))
	if got := c.ask("asker", "web."+one.Zone+":8081"); got != "" {
		c.T.Errorf("a network without a way out: %q", got)
	}
	c.remove("web")
}

func (c *localCloud) freePort() string {
	c.T.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.T.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func (c *localCloud) fetch(url string) string {
	c.T.Helper()
	client := http.Client{Timeout: machine.Patience}
	r, err := client.Get(url)
	if err != nil {
		c.T.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.T.Fatal(err)
	}
	return string(body)
}
