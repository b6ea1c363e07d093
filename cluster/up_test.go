package cluster

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"
	acifake "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
	resourcesfake "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/storage/armstorage"
	storagefake "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/storage/armstorage/fake"

	"frankenetes.dev/cloud"
	"frankenetes.dev/fault"
)

// fakeCloud is a cloud that has the given resource groups with their tags, an
// API server that runs, and no storage account. It refuses every change, and
// counts what it was asked to change.
type fakeCloud struct {
	groups  map[string]map[string]*string
	changes int
}

// count counts the requests that would change something.
func (f *fakeCloud) count(next policy.Transporter) policy.Transporter {
	return transport(func(r *http.Request) (*http.Response, error) {
		if r.Method != http.MethodGet {
			f.changes++
		}
		return next.Do(r)
	})
}

type transport func(*http.Request) (*http.Response, error)

func (t transport) Do(r *http.Request) (*http.Response, error) { return t(r) }

func (f *fakeCloud) connect(t *testing.T) *cloud.Connection {
	t.Helper()
	options := func(next policy.Transporter) *arm.ClientOptions {
		return &arm.ClientOptions{ClientOptions: azcore.ClientOptions{
			Transport: f.count(next), Retry: policy.RetryOptions{MaxRetries: -1}}}
	}
	c := &cloud.Connection{Config: cloud.Config{Name: "fake", PublishOn: "127.0.0.1", DNSSuffix: "azurecontainer.io"}}
	var err error
	if c.ResourceGroups, err = armresources.NewResourceGroupsClient("sub", &azfake.TokenCredential{},
		options(resourcesfake.NewResourceGroupsServerTransport(&resourcesfake.ResourceGroupsServer{Get: f.getResourceGroup}))); err != nil {
		t.Fatal(err)
	}
	if c.Accounts, err = armstorage.NewAccountsClient("sub", &azfake.TokenCredential{},
		options(storagefake.NewAccountsServerTransport(&storagefake.AccountsServer{
			NewListByResourceGroupPager: func(string, *armstorage.AccountsClientListByResourceGroupOptions) (p azfake.PagerResponder[armstorage.AccountsClientListByResourceGroupResponse]) {
				p.AddPage(http.StatusOK, armstorage.AccountsClientListByResourceGroupResponse{}, nil)
				return p
			}}))); err != nil {
		t.Fatal(err)
	}
	if c.Groups, err = aci.NewContainerGroupsClient("sub", &azfake.TokenCredential{},
		options(acifake.NewContainerGroupsServerTransport(&acifake.ContainerGroupsServer{Get: getRunning}))); err != nil {
		t.Fatal(err)
	}
	return c
}

func (f *fakeCloud) getResourceGroup(_ context.Context, name string, _ *armresources.ResourceGroupsClientGetOptions) (
	r azfake.Responder[armresources.ResourceGroupsClientGetResponse], e azfake.ErrorResponder) {
	tags, ok := f.groups[name]
	if !ok {
		e.SetResponseError(http.StatusNotFound, "ResourceGroupNotFound")
		return r, e
	}
	r.SetResponse(http.StatusOK, armresources.ResourceGroupsClientGetResponse{
		ResourceGroup: armresources.ResourceGroup{Name: &name, Tags: tags}}, nil)
	return r, e
}

func getRunning(_ context.Context, _, name string, _ *aci.ContainerGroupsClientGetOptions) (
	r azfake.Responder[aci.ContainerGroupsClientGetResponse], e azfake.ErrorResponder) {
	if name != APIServer {
		e.SetResponseError(http.StatusNotFound, "ResourceNotFound")
		return r, e
	}
	r.SetResponse(http.StatusOK, aci.ContainerGroupsClientGetResponse{ContainerGroup: aci.ContainerGroup{
		Name: &name, Properties: &aci.ContainerGroupPropertiesProperties{}}}, nil)
	return r, e
}

// silent is progress that nobody watches.
type silent struct{}

func (silent) Start(string, int, int)                              {}
func (silent) Done(string, int, int, string, time.Duration, error) {}

func TestUpAndDownLeaveResourceGroupsOfOthersAlone(t *testing.T) {
	mine := "demo"
	for what, groups := range map[string]map[string]map[string]*string{
		"of the cluster's name": {"demo": {}},
		"of the pods' name":     {"demo": {clusterTag: &mine}, "demo-pods": {}},
	} {
		f := &fakeCloud{groups: groups}
		o := NewOperator(f.connect(t), silent{})
		if _, err := o.Up(t.Context(), UpOptions{Name: "demo"}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("up, with a resource group %s: %v", what, err)
		}
		if err := o.Down(t.Context(), "demo"); fault.KindOf(err) != fault.Conflict {
			t.Errorf("down, with a resource group %s: %v", what, err)
		}
		if f.changes != 0 {
			t.Errorf("with a resource group %s, the cloud was asked for %d changes", what, f.changes)
		}
	}
}

func TestUpThatCannotHaveItsPortChangesNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for port, kind := range map[int]fault.Kind{l.Addr().(*net.TCPAddr).Port: fault.Conflict, -1: fault.Usage, 65536: fault.Usage} {
		f := &fakeCloud{}
		_, err := NewOperator(f.connect(t), silent{}).Up(t.Context(), UpOptions{Name: "demo", Port: port})
		if fault.KindOf(err) != kind || fault.HintOf(err) == "" || f.changes != 0 {
			t.Errorf("port %d: %v, and %d changes", port, err, f.changes)
		}
	}
}

func TestAnAPIServerThatRunsKeepsItsPort(t *testing.T) {
	signer, record := newTestSigner(t)
	f := &fakeCloud{}
	s := &subject{Operator: NewOperator(f.connect(t), silent{}), record: record, signer: signer}
	was := record.Spec.Port
	for _, same := range []int{0, was} {
		if err := s.movePort(t.Context(), same); err != nil {
			t.Errorf("port %d: %v", same, err)
		}
	}
	if err := s.movePort(t.Context(), was+1); fault.KindOf(err) != fault.Conflict || record.Spec.Port != was {
		t.Errorf("it is on port %d now: %v", record.Spec.Port, err)
	}
}

func TestTheAPIServersStepWaitsForEtcdsToMakeIt(t *testing.T) {
	signer, record := newTestSigner(t)
	s := &subject{Operator: NewOperator((&fakeCloud{}).connect(t), silent{}), record: record, signer: signer,
		stored: make(chan struct{}), ready: make(chan struct{})}
	ctx, cancel := context.WithTimeout(t.Context(), 2*pollEvery)
	defer cancel()
	if _, err := s.startAPIServer(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while etcd is still to come: %v", err)
	}
}
