package attach

import (
	"encoding/json"
	"fmt"
	"net"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"frankenetes.dev/embedded/network/links"
)

// configuration is the part of the network configuration that is read.
type configuration struct {
	CNIVersion    string `json:"cniVersion"`
	RuntimeConfig struct {
		Annotations map[string]string `json:"io.kubernetes.cri.pod-annotations"`
	} `json:"runtimeConfig"`
}

// Main is the plugin's program: one command of the CNI protocol.
func Main() {
	skel.PluginMainFuncs(skel.CNIFuncs{Add: add, Del: del, Check: check}, version.All, "embedded cloud of frankenetes")
}

func add(args *skel.CmdArgs) error {
	conf, plan, err := read(args)
	if err != nil {
		return err
	}
	mac, err := Attach(args.Netns, args.IfName, plan)
	if err != nil {
		return err
	}
	result := &current.Result{
		CNIVersion: conf.CNIVersion,
		Interfaces: []*current.Interface{{Name: args.IfName, Mac: mac.String(), Sandbox: args.Netns}},
		IPs:        []*current.IPConfig{{Interface: current.Int(0), Address: *links.Single(plan.Address), Gateway: net.IP(links.NextHop.AsSlice())}},
	}
	return types.PrintResult(result, conf.CNIVersion)
}

func del(args *skel.CmdArgs) error { return Detach(args.Netns, args.IfName) }

func check(args *skel.CmdArgs) error {
	_, _, err := read(args)
	return err
}

func read(args *skel.CmdArgs) (configuration, Plan, error) {
	var conf configuration
	if err := json.Unmarshal(args.StdinData, &conf); err != nil {
		return conf, Plan{}, fmt.Errorf("read network configuration: %w", err)
	}
	plan, err := FromAnnotations(conf.RuntimeConfig.Annotations)
	return conf, plan, err
}
