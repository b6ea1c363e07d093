package groups

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/embedded/arm"
)

const (
	namespace     = "Microsoft.ContainerInstance"
	locationsPath = "/subscriptions/{sub}/providers/" + namespace + "/locations/{loc}"
)

// registerLocations adds what can be asked of the provider and of a location.
func (s *Service) registerLocations(a *arm.Server) {
	const read = namespace + "/locations/"
	a.Handle(http.MethodGet, "/providers/"+namespace+"/operations", "", s.listOperations)
	a.Handle(http.MethodGet, locationsPath+"/usages", read+"usages/read", s.inLocation(s.listUsages))
	a.Handle(http.MethodGet, locationsPath+"/capabilities", read+"capabilities/read", s.inLocation(s.listCapabilities))
	a.Handle(http.MethodGet, locationsPath+"/cachedImages", read+"cachedImages/read", s.inLocation(s.listCachedImages))
}

// listOf answers a list that is never long.
func listOf[T any](items ...T) *arm.Response {
	return &arm.Response{Status: http.StatusOK, Body: arm.List[T]{Value: items}}
}

// inLocation refuses locations other than the cloud's own.
func (s *Service) inLocation(h arm.Handler) arm.Handler {
	return func(ctx context.Context, r *arm.Request) (*arm.Response, error) {
		if location(r.Var("loc")) != s.options.Location {
			return nil, &arm.Error{Status: http.StatusNotFound, Code: "LocationNotAvailableForResourceType",
				Message: fmt.Sprintf("The location '%s' is not available. The only one is '%s'.", r.Var("loc"), s.options.Location)}
		}
		return h(ctx, r)
	}
}

// usage is how much of a quota is taken.
type usage struct {
	ID           string    `json:"id"`
	Unit         string    `json:"unit"`
	CurrentValue int32     `json:"currentValue"`
	Limit        int32     `json:"limit"`
	Name         usageName `json:"name"`
}

type usageName struct {
	Value          string `json:"value"`
	LocalizedValue string `json:"localizedValue"`
}

func (s *Service) listUsages(_ context.Context, r *arm.Request) (*arm.Response, error) {
	groups, cores, most := s.ledger.usage()
	of := func(name, words string, used, limit float64) usage {
		if limit == 0 { // the API knows no "without limit"
			limit = math.MaxInt32
		}
		return usage{ID: r.Path() + "/" + name, Unit: "Count", CurrentValue: int32(math.Ceil(used)), Limit: int32(limit), Name: usageName{name, words}}
	}
	return listOf(
		of("ContainerGroups", "Container Groups", float64(groups), float64(most.Groups)),
		of("StandardCores", "Standard Cores", cores, most.Cores),
	), nil
}

// locationCapability is what a group of some kind may have at most.
type locationCapability struct {
	ResourceType  string         `json:"resourceType"`
	OSType        string         `json:"osType"`
	Location      string         `json:"location"`
	IPAddressType string         `json:"ipAddressType"`
	GPU           string         `json:"gpu"`
	Capabilities  capabilityMost `json:"capabilities"`
}

type capabilityMost struct {
	MaxMemoryInGB float64 `json:"maxMemoryInGB"`
	MaxCPU        float64 `json:"maxCpu"`
	MaxGPUCount   float64 `json:"maxGpuCount"`
}

func (s *Service) listCapabilities(context.Context, *arm.Request) (*arm.Response, error) {
	of := func(address string) locationCapability {
		return locationCapability{ResourceType: "containerGroups", OSType: linux, Location: s.options.Location,
			IPAddressType: address, GPU: "None", Capabilities: capabilityMost{MaxMemoryInGB: maxMemory, MaxCPU: maxCores}}
	}
	return listOf(of(public), of(private)), nil
}

type cachedImage struct {
	OSType string `json:"osType"`
	Image  string `json:"image"`
}

// listCachedImages lists the local store: groups of these images wait for no registry.
func (s *Service) listCachedImages(ctx context.Context, _ *arm.Request) (*arm.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := s.options.Images.ListImages(ctx, &runtimeapi.ListImagesRequest{})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	images := []cachedImage{}
	for _, image := range r.Images {
		for _, tag := range image.RepoTags {
			images = append(images, cachedImage{linux, tag})
		}
	}
	slices.SortFunc(images, func(a, b cachedImage) int { return strings.Compare(a.Image, b.Image) })
	return listOf(images...), nil
}

// operation is something that a role can allow.
type operation struct {
	Name    string           `json:"name"`
	Display operationDisplay `json:"display"`
	Origin  string           `json:"origin"`
}

type operationDisplay struct {
	Provider    string `json:"provider"`
	Resource    string `json:"resource"`
	Operation   string `json:"operation"`
	Description string `json:"description"`
}

func (s *Service) listOperations(context.Context, *arm.Request) (*arm.Response, error) {
	var all []operation
	for _, o := range [][3]string{
		{"containerGroups/read", "Container Groups", "Get container group"},
		{"containerGroups/write", "Container Groups", "Create or update container group"},
		{"containerGroups/delete", "Container Groups", "Delete container group"},
		{"containerGroups/start/action", "Container Groups", "Start container group"},
		{"containerGroups/stop/action", "Container Groups", "Stop container group"},
		{"containerGroups/restart/action", "Container Groups", "Restart container group"},
		{"containerGroups/containers/logs/read", "Containers", "Get container logs"},
		{"containerGroups/containers/exec/action", "Containers", "Execute command in container"},
		{"containerGroups/containers/attach/action", "Containers", "Attach to container output"},
		{"containerGroups/outboundNetworkDependenciesEndpoints/read", "Container Groups", "Get outbound network dependencies"},
		{"locations/usages/read", "Locations", "Get usage"},
		{"locations/capabilities/read", "Locations", "Get capabilities"},
		{"locations/cachedImages/read", "Locations", "Get cached images"},
		{"operations/read", "Operations", "Get operations"},
	} {
		all = append(all, operation{Name: namespace + "/" + o[0], Origin: "User",
			Display: operationDisplay{"Microsoft Container Instance", o[1], o[2], o[2] + "."}})
	}
	return listOf(all...), nil
}

// outbound answers which addresses outside a group needs: none, as on Azure.
func (s *Service) outbound(_ context.Context, r *arm.Request) (*arm.Response, error) {
	if _, err := s.lookup(r); err != nil {
		return nil, err
	}
	return &arm.Response{Status: http.StatusOK, Body: []string{}}, nil
}
