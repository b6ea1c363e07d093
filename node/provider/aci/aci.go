// Package aci runs pods' groups on Azure Container Instances, or on anything
// else that answers its API. It exists to translate: a provider.Group into an
// ARM container group, and ARM's errors into one line that a pod's event can
// show.
package aci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"

	"frankenetes.dev/node/provider"
)

const (
	// create is what Create is called in errors.
	create = "create"
	// transitioning is ARM's code for a group that another operation holds.
	transitioning = "ContainerGroupTransitioning"
	// patience is how long a request is repeated while the group transitions,
	// pause how long between two attempts when the answer does not say.
	patience = 2 * time.Minute
	pause    = time.Second
	// changeWait and readWait are how long requests wait here when the cloud
	// throttles, unsaid how long it is left alone when it does not say.
	changeWait = 5 * time.Second
	readWait   = 5 * time.Second
	unsaid     = 10 * time.Second
	// pollEvery is how often a delete that the cloud does not finish at once
	// is asked for, when its answers do not say.
	pollEvery = time.Second
)

// Provider runs groups in one resource group, location and subnet.
type Provider struct {
	client        *armcontainerinstance.ContainerGroupsClient
	resourceGroup string
	location      string
	subnet        string
	// ARM throttles these three kinds of requests each by itself.
	creates, deletes, reads *gate
}

// New returns a provider that uses the given client. A subnet, by its ARM id, is
// what all groups are put in, unless it is empty.
func New(client *armcontainerinstance.ContainerGroupsClient, resourceGroup, location, subnet string) *Provider {
	return &Provider{
		client: client, resourceGroup: resourceGroup, location: location, subnet: subnet,
		creates: newGate(changeWait), deletes: newGate(changeWait), reads: newGate(readWait),
	}
}

// retrying has the SDK repeat a request after a passing failure (5xx, a connection
// that breaks) but not when it is throttled: that is the gates' to see to.
func retrying(ctx context.Context) context.Context {
	return policy.WithRetryOptions(ctx, policy.RetryOptions{
		MaxRetries: 5, RetryDelay: 200 * time.Millisecond, MaxRetryDelay: 20 * time.Second,
		StatusCodes: []int{
			http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway,
			http.StatusServiceUnavailable, http.StatusGatewayTimeout,
		},
	})
}

// Create puts the group. It does not wait until the group runs.
func (p *Provider) Create(ctx context.Context, g provider.Group) error {
	body := toARM(g, p.location, p.subnet)
	err := whileTransitioning(ctx, func() error {
		return p.creates.pass(ctx, func() error {
			_, err := p.client.BeginCreateOrUpdate(retrying(ctx), p.resourceGroup, g.Name, body, nil)
			return err
		})
	})
	return describe(create, g.Name, err)
}

// Delete deletes the group and waits until the cloud says that it is gone.
func (p *Provider) Delete(ctx context.Context, name string) error {
	err := whileTransitioning(ctx, func() error {
		var poller *runtime.Poller[armcontainerinstance.ContainerGroupsClientDeleteResponse]
		err := p.deletes.pass(ctx, func() (err error) {
			poller, err = p.client.BeginDelete(retrying(ctx), p.resourceGroup, name, nil)
			return err
		})
		if err != nil || poller.Done() {
			return err
		}
		return follow(ctx, poller)
	})
	var e *azcore.ResponseError
	if errors.As(err, &e) && e.StatusCode == 404 {
		return nil
	}
	return describe("delete", name, err)
}

// follow asks until an operation is done. The cloud may throttle that, too.
func follow[T any](ctx context.Context, poller *runtime.Poller[T]) error {
	for {
		_, err := poller.PollUntilDone(retrying(ctx), &runtime.PollUntilDoneOptions{Frequency: pollEvery})
		if !throttled(err) {
			return err
		}
		if err := sleep(ctx, retryAfter(err, unsaid)); err != nil {
			return err
		}
	}
}

// List returns the resource group's container groups that carry the tags.
func (p *Provider) List(ctx context.Context, tags map[string]string) ([]provider.Listed, error) {
	var found []provider.Listed
	pager := p.client.NewListByResourceGroupPager(p.resourceGroup, nil)
	for pager.More() {
		var page armcontainerinstance.ContainerGroupsClientListByResourceGroupResponse
		err := p.reads.pass(ctx, func() (err error) {
			page, err = pager.NextPage(retrying(ctx))
			return err
		})
		if err != nil {
			return nil, describe("list", "in "+p.resourceGroup, err)
		}
		for _, g := range page.Value {
			if l, ok := listed(g, tags); ok {
				found = append(found, l)
			}
		}
	}
	return found, nil
}

// Ended reports whether a group has ended. The lists of ARM do not tell.
func (p *Provider) Ended(ctx context.Context, name string) (bool, error) {
	var got armcontainerinstance.ContainerGroupsClientGetResponse
	err := p.reads.pass(ctx, func() (err error) {
		got, err = p.client.Get(retrying(ctx), p.resourceGroup, name, nil)
		return err
	})
	var e *azcore.ResponseError
	if errors.As(err, &e) && e.StatusCode == 404 {
		return true, nil
	}
	if err != nil {
		return false, describe("look at", name, err)
	}
	if got.Properties == nil || got.Properties.InstanceView == nil || got.Properties.InstanceView.State == nil {
		return false, nil
	}
	switch *got.Properties.InstanceView.State {
	case "Succeeded", "Failed", "Stopped":
		return true, nil
	}
	return false, nil
}

// listed converts a group if it carries all the wanted tags.
func listed(g *armcontainerinstance.ContainerGroup, want map[string]string) (provider.Listed, bool) {
	if g == nil || g.Name == nil {
		return provider.Listed{}, false
	}
	l := provider.Listed{Name: *g.Name, Tags: map[string]string{}}
	for k, v := range g.Tags {
		if v != nil {
			l.Tags[k] = *v
		}
	}
	for k, v := range want {
		if got, ok := l.Tags[k]; !ok || got != v {
			return provider.Listed{}, false
		}
	}
	return l, true
}

// whileTransitioning repeats a request that ARM answers with "still
// transitioning", which the SDK's own retries do not cover.
func whileTransitioning(ctx context.Context, request func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := request()
		var e *azcore.ResponseError
		if !errors.As(err, &e) || e.ErrorCode != transitioning {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(retryAfter(err, pause)):
		}
	}
}

// describe makes one line of an error: the SDK's own is a page with headers.
func describe(operation, name string, err error) error {
	if err == nil {
		return nil
	}
	var e *azcore.ResponseError
	if errors.As(err, &e) {
		return &Error{Operation: operation, Name: name, Status: e.StatusCode, Code: e.ErrorCode,
			Message: message(e), cause: err}
	}
	return fmt.Errorf("%s container group %s: %w", operation, name, err)
}

// Error is a request that the cloud refused.
type Error struct {
	Operation, Name string
	// Status is the HTTP status, Code and Message ARM's words.
	Status        int
	Code, Message string
	cause         error
}

// Error returns one line: the operation, the group and ARM's words.
func (e *Error) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("%s container group %s: %s (HTTP %d)", e.Operation, e.Name, e.Code, e.Status)
	}
	return fmt.Sprintf("%s container group %s: %s: %s", e.Operation, e.Name, e.Code, e.Message)
}

// Unwrap returns the SDK's error.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether the error is one of those that the runtime knows.
func (e *Error) Is(target error) bool {
	switch target {
	case provider.ErrThrottled:
		return e.Status == http.StatusTooManyRequests
	case provider.ErrRefused:
		return e.Operation == create && e.Status >= 400 && e.Status < 500 &&
			e.Status != http.StatusRequestTimeout && e.Code != transitioning
	}
	return false
}

// message reads ARM's message from the answer, whose body the SDK keeps.
func message(e *azcore.ResponseError) string {
	if e.RawResponse == nil || e.RawResponse.Body == nil {
		return ""
	}
	body, err := runtime.Payload(e.RawResponse)
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	return messageIn(body)
}
