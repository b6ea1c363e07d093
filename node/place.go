package node

import (
	"net/http"
	"path/filepath"

	"frankenetes.dev/cloud"
	"frankenetes.dev/node/config"
	"frankenetes.dev/node/images"
	"frankenetes.dev/node/provider"
	"frankenetes.dev/node/provider/aci"
	"frankenetes.dev/node/provider/cri"
)

// place is where a node's groups run, and how it learns of their images.
type place struct {
	provider provider.Provider
	// registry reads registries; local, if not nil, are images that need none.
	registry images.Registry
	local    images.Local
	close    func()
}

// placeOf connects to where the configuration wants groups to run.
func placeOf(c config.Config) (place, error) {
	if c.Provider == config.CRI {
		return onRuntime(c)
	}
	return onCloud(c)
}

func onCloud(c config.Config) (place, error) {
	conf, err := cloud.Load(c.CloudConfig)
	if err != nil {
		return place{}, err
	}
	conn, err := cloud.Connect(conf)
	if err != nil {
		return place{}, err
	}
	location := c.Location
	if location == "" {
		location = conf.Location
	}
	return place{
		provider: aci.New(conn.Groups, c.ResourceGroup, location, c.Subnet),
		registry: images.Registry{Client: conn.HTTPClient(), Host: conf.Registry, Mirror: conf.Mirror, Token: conn.Token},
		close:    func() {},
	}, nil
}

func onRuntime(c config.Config) (place, error) {
	conn, err := cri.Dial(c.CRISocket)
	if err != nil {
		return place{}, err
	}
	runtime := cri.New(conn, c.RuntimeHandler, filepath.Join(c.RootDir, "groups"))
	return place{
		provider: runtime, local: runtime,
		registry: images.Registry{Client: &http.Client{Transport: http.DefaultTransport}},
		close:    func() { _ = conn.Close() }, // at the end of the process
	}, nil
}
