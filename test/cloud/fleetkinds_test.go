package cloudtest

import (
	"net/netip"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"

	"frankenetes.dev/cloud"
)

// kind is what a member of a fleet does, and so what a crash could spoil.
type kind struct {
	what   string
	policy aci.ContainerGroupRestartPolicy
	// ends says that its containers end for good; otherwise they run for ever,
	// or crash for ever if crashes is true.
	ends, crashes bool
	published     bool
	containers    func() []*aci.Container
	// more adds to the group what it needs besides.
	more func(*fleet, *member, *cloud.Group)
	// check looks at what only this kind has, in a group that runs or has
	// ended as it should.
	check func(*fleet, *member, *cloud.Group)
}

const (
	always    = aci.ContainerGroupRestartPolicyAlways
	onFailure = aci.ContainerGroupRestartPolicyOnFailure
	never     = aci.ContainerGroupRestartPolicyNever
)

// The scripts of the members. What is on the share outlives the groups.
const (
	countScript = `while :; do i=$((i+1)); echo "$VERSION $i"; sleep 0.05; done`
	shareScript = `run=$(cat /proc/sys/kernel/random/uuid); while :; do i=$((i+1)); echo "$run $i" >> /share/lines; sleep 0.05; done`
	wordScript  = `while :; do [ "$(cat /secret/word)" = open ] || exit 9; done`
	webScript   = `mkdir /www; echo "$VERSION" > /www/version; exec httpd -f -p 8080 -h /www`
	dirScript   = `echo run >> /scratch/runs; exec sleep 1000000`
	initScript  = `echo init >> /scratch/inits`
	crashScript = `echo run >> /scratch/runs; echo "run $(wc -l < /scratch/runs)"; sleep 0.2; exit 5`
	jobScript   = `echo ran >> /share/jobs; echo "job $VERSION"; sleep 0.3; exit 7`
	againScript = `echo try >> /scratch/tries; echo "try $(wc -l < /scratch/tries)"; [ "$(wc -l < /scratch/tries)" = 2 ] || exit 3`
)

func kinds() []kind {
	return []kind{
		{what: "counts", policy: always, containers: one(countScript), check: checkCounter},
		{what: "shares", policy: always, containers: one(shareScript), more: withShare, check: checkShare},
		{what: "secret", policy: always, containers: one(wordScript), more: withSecret},
		{what: "web", policy: always, containers: one(webScript), more: withName, published: true, check: checkWeb},
		{what: "private", policy: always, containers: one(webScript), more: withNetwork, check: checkPrivate},
		{what: "dir", policy: always, containers: one(dirScript), more: withScratch, check: checkRuns},
		{what: "init", policy: onFailure, containers: one(dirScript), more: withInit, check: checkInits},
		{what: "pair", policy: never, containers: pair, check: checkPair},
		{what: "crashes", policy: always, crashes: true, containers: one(crashScript), more: withScratch, check: checkCrashes},
		{what: "job", policy: never, ends: true, containers: one(jobScript), more: withShare, check: checkJob},
		{what: "again", policy: onFailure, ends: true, containers: one(againScript), more: withScratch, check: checkAgain},
	}
}

// one makes the only container of a group.
func one(script string) func() []*aci.Container {
	return func() []*aci.Container {
		c := container("main", "sh", "-c", script)
		c.Properties.Resources.Requests.CPU = to.Ptr(0.2)
		return []*aci.Container{c}
	}
}

// pair makes a container that ends at once and one that does not.
func pair() []*aci.Container {
	return []*aci.Container{sleeper("main"), container("short", "sh", "-c", "exit 3")}
}

// mount mounts a volume in the first container.
func mount(g *cloud.Group, v *aci.Volume, at string) {
	g.Properties.Volumes = append(g.Properties.Volumes, v)
	p := g.Properties.Containers[0].Properties
	p.VolumeMounts = append(p.VolumeMounts, &aci.VolumeMount{Name: v.Name, MountPath: &at})
}

func withShare(f *fleet, _ *member, g *cloud.Group) {
	mount(g, &aci.Volume{Name: to.Ptr("share"), AzureFile: &aci.AzureFileVolume{
		ShareName: to.Ptr(fleetShare), StorageAccountName: to.Ptr(fleetAccount), StorageAccountKey: &f.key}}, "/share")
}

func withSecret(_ *fleet, _ *member, g *cloud.Group) {
	mount(g, &aci.Volume{Name: to.Ptr("secret"), Secret: map[string]*string{"word": to.Ptr("b3Blbg==")}}, "/secret")
}

// scratch is the name of the member's directory, by which it is found from
// outside.
func (m *member) scratch() string { return "scratch-" + m.name }

func withScratch(_ *fleet, m *member, g *cloud.Group) {
	mount(g, &aci.Volume{Name: to.Ptr(m.scratch()), EmptyDir: map[string]any{}}, "/scratch")
}

func withInit(f *fleet, m *member, g *cloud.Group) {
	withScratch(f, m, g)
	g.Properties.InitContainers = []*aci.InitContainerDefinition{{Name: to.Ptr("first"), Properties: &aci.InitContainerPropertiesDefinition{
		Image: to.Ptr(testImage), Command: to.SliceOfPtrs("sh", "-c", initScript),
		VolumeMounts: g.Properties.Containers[0].Properties.VolumeMounts}}}
}

func withNetwork(f *fleet, _ *member, g *cloud.Group) { *g = f.inNetwork(*g, f.fleetNetwork()) }

// fleetNetwork is a virtual network with one group.
func (f *fleet) fleetNetwork() cloud.Network {
	n := f.network("fleet")
	n.Range = netip.MustParsePrefix("10.204.0.0/24")
	return n
}

// withName gives the group a name and a port, which is published as well.
func withName(_ *fleet, _ *member, g *cloud.Group) {
	g.Properties.IPAddress = &aci.IPAddress{Type: to.Ptr(aci.ContainerGroupIPAddressTypePublic),
		DNSNameLabel: to.Ptr(fleetLabel), Ports: []*aci.Port{{Port: to.Ptr[int32](8080)}}}
	g.Properties.Containers[0].Properties.Ports = []*aci.ContainerPort{{Port: to.Ptr[int32](8080)}}
}
