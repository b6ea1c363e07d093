package arm_test

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
	"github.com/google/uuid"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/arm/armtest"
	"frankenetes.dev/embedded/identity"
)

type pollOptions = runtime.PollUntilDoneOptions

// slow is a provider whose things take until told to be made.
type slow struct {
	outcome chan error
}

func (s slow) register(c *armtest.Cloud) {
	const pattern = "/subscriptions/{sub}/resourceGroups/{rg}/providers/Slow.Provider/things/{name}"
	c.ARM.Handle(http.MethodPut, pattern, "Slow.Provider/things/write", func(_ context.Context, r *arm.Request) (*arm.Response, error) {
		header := c.ARM.Async(r, func(ctx context.Context) error {
			select {
			case err := <-s.outcome:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		return &arm.Response{Status: http.StatusCreated, Header: header, Body: map[string]any{"name": r.Var("name")}}, nil
	})
	c.ARM.Handle(http.MethodGet, pattern, "Slow.Provider/things/read", func(_ context.Context, r *arm.Request) (*arm.Response, error) {
		return &arm.Response{Status: http.StatusOK, Body: map[string]any{"name": r.Var("name")}}, nil
	})
}

func (s slow) start(t *testing.T) (*armtest.Cloud, *armresources.Client) {
	t.Helper()
	c := armtest.Start(t, s.register)
	groups := groupsClient(t, c, c.Owner(t))
	if _, err := groups.CreateOrUpdate(t.Context(), "g", armresources.ResourceGroup{Location: to.Ptr("local")}, nil); err != nil {
		t.Fatal(err)
	}
	client, err := armresources.NewClient(armtest.Subscription, c.Owner(t), c.Options())
	if err != nil {
		t.Fatal(err)
	}
	return c, client
}

const slowID = base + "/resourceGroups/g/providers/Slow.Provider/things/one"

func TestAPollerFollowsAnOperation(t *testing.T) {
	s := slow{outcome: make(chan error, 1)}
	_, client := s.start(t)
	poller, err := client.BeginCreateOrUpdateByID(t.Context(), slowID, "2023-05-01", armresources.GenericResource{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if poller.Done() {
		t.Error("done before it was")
	}
	s.outcome <- nil
	got, err := poller.PollUntilDone(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if *got.Name != "one" {
		t.Errorf("the resource is %v", got)
	}
}

func TestAPollerHearsWhyAnOperationFailed(t *testing.T) {
	s := slow{outcome: make(chan error, 1)}
	_, client := s.start(t)
	s.outcome <- arm.BadRequest("InaccessibleImage", "The image 'x' is not accessible.")
	poller, err := client.BeginCreateOrUpdateByID(t.Context(), slowID, "2023-05-01", armresources.GenericResource{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := poller.PollUntilDone(t.Context(), nil); code(err) != "InaccessibleImage" {
		t.Errorf("got %v", err)
	}
}

func TestPollsOfOperations(t *testing.T) {
	s := slow{outcome: make(chan error, 1)}
	c, _ := s.start(t)
	token := c.OwnerToken(t)
	a := c.Do(t, token, http.MethodPut, slowID+version, "{}")
	url := a.Header.Get("Azure-AsyncOperation")
	path, ok := strings.CutPrefix(url, c.URL)
	if !ok || !strings.Contains(path, "/providers/Slow.Provider/locations/local/operations/") {
		t.Fatalf("the polling URL is %q", url)
	}
	a = c.Do(t, token, http.MethodGet, path, "")
	if a.Status != http.StatusOK || !strings.Contains(a.Body, `"status":"InProgress"`) {
		t.Errorf("while it runs: %d %s", a.Status, a.Body)
	}
	if a.Header.Get("Retry-After") != "1" || a.Header.Get("Retry-After-Ms") == "" {
		t.Errorf("the client is not told when to ask again: %v", a.Header)
	}
	id := newIdentity(t, c, "stranger")
	if a := c.Do(t, c.As(t, id), http.MethodGet, path, ""); a.Code() != "OperationNotFound" {
		t.Errorf("asked by a stranger: %d %s", a.Status, a.Body)
	}
	c.ARM.Close() // cancels what runs
	if a := c.Do(t, token, http.MethodGet, path, ""); !strings.Contains(a.Body, `"status":"Failed"`) || !strings.Contains(a.Body, `"Canceled"`) {
		t.Errorf("after the server closed: %d %s", a.Status, a.Body)
	}
	if a := c.Do(t, token, http.MethodGet, strings.Replace(path, "/operations/", "/operations/x", 1), ""); a.Code() != "OperationNotFound" {
		t.Errorf("of no operation: %d %s", a.Status, a.Body)
	}
}

// TestAFailureIsNoSuccessAtItsLocation follows an operation as clients do that
// know no Azure-AsyncOperation: they judge by the status.
func TestAFailureIsNoSuccessAtItsLocation(t *testing.T) {
	s := slow{outcome: make(chan error, 1)}
	c, _ := s.start(t)
	token := c.OwnerToken(t)
	s.outcome <- &arm.Error{Status: http.StatusOK, Code: "Failed", Message: "The async operation failed."}
	a := c.Do(t, token, http.MethodPut, slowID+version, "{}")
	at, err := url.Parse(a.Header.Get("Azure-AsyncOperation"))
	if err != nil {
		t.Fatal(err)
	}
	if a := c.Do(t, token, http.MethodGet, at.RequestURI(), ""); a.Status != http.StatusOK || !strings.Contains(a.Body, `"code":"Failed"`) {
		t.Errorf("its status: %d %s", a.Status, a.Body)
	}
	location := base + "/operationresults/" + path.Base(at.Path) + "?" + at.RawQuery
	if a := c.Do(t, token, http.MethodGet, location, ""); a.Status != http.StatusConflict || a.Code() != "Failed" {
		t.Errorf("its location: %d %s", a.Status, a.Body)
	}
}

// newIdentity makes a user-assigned identity in a group g and returns its ARM id.
func newIdentity(t *testing.T, c *armtest.Cloud, name string) string {
	t.Helper()
	id := base + "/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/" + name
	if _, _, err := c.Authority.PutUserAssigned(id, "local", nil); err != nil {
		t.Fatal(err)
	}
	return id
}

// TestAnOperationOutlivesTheDaemon asks for operations that this daemon never
// heard of, as one does that was started after they were.
func TestAnOperationOutlivesTheDaemon(t *testing.T) {
	c := armtest.Start(t, slow{outcome: make(chan error, 1)}.register)
	token := c.OwnerToken(t)
	put(t, c, base+"/resourceGroups/g", `{"location":"local"}`)
	started := c.Do(t, token, http.MethodPut, slowID+"?api-version=2023-05-01", "{}")
	elsewhere := func(location string) string {
		u, err := url.Parse(location)
		if err != nil || u.Query().Get("t") == "" {
			t.Fatalf("%q says nothing of its operation", location)
		}
		return path.Dir(u.Path) + "/" + uuid.NewString() + "?" + u.RawQuery
	}
	poll := elsewhere(started.Header.Get("Azure-AsyncOperation"))
	if answer := c.Do(t, token, http.MethodGet, poll, ""); answer.Status != http.StatusOK || !strings.Contains(answer.Body, `"Succeeded"`) ||
		answer.Header.Get("Retry-After") == "" {
		t.Errorf("the operation on a resource that is there: %d %s", answer.Status, answer.Body)
	}
	deleted := c.Do(t, token, http.MethodDelete, base+"/resourceGroups/g?api-version=2021-04-01", "")
	gone := elsewhere(deleted.Header.Get("Location"))
	for {
		answer := c.Do(t, token, http.MethodGet, gone, "")
		if answer.Status == http.StatusAccepted && answer.Header.Get("Location") != "" {
			continue
		}
		if answer.Status != http.StatusOK {
			t.Errorf("the deletion: %d %s", answer.Status, answer.Body)
		}
		break
	}
	// What it was about is for those alone who may read it.
	stranger := c.Of(t, identity.Principal{ObjectID: "stranger"})
	for _, target := range []string{poll, gone, poll[:strings.Index(poll, "?")] + "?api-version=2023-05-01"} {
		if answer := c.Do(t, stranger, http.MethodGet, target, ""); answer.Code() != "OperationNotFound" {
			t.Errorf("a stranger hears %d %s", answer.Status, answer.Body)
		}
	}
}
