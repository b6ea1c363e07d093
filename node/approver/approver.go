// Package approver approves the serving certificates that nodes ask for. It
// exists because Kubernetes signs such a request but approves none: only who
// made the cluster knows which names and addresses are a node's own. It runs
// beside the controller manager, since a node must not decide on itself.
//
// A request for an address that is not, or not yet, or no longer the node's is
// denied: kubelets begin with the address that they had before they were started
// anew, and ask again when they are told. Others that are not plainly right are
// left alone: a person may still approve them.
package approver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/apis/certificates"
)

const (
	// again is how often requests that wait are looked at once more, since the
	// cloud's DNS may not have answered.
	again = 30 * time.Second
	// patience bounds the look at one request.
	patience = 10 * time.Second
	// nodePrefix begins the user name of a node.
	nodePrefix = "system:node:"
)

// Approver decides on requests. Its fields must be set.
type Approver struct {
	Client kubernetes.Interface
	// Names are the DNS names of the nodes that there may be, by node.
	Names map[string]string
	// Lookup tells the addresses of a DNS name; nodes must not be able to change
	// what it tells.
	Lookup func(ctx context.Context, name string) ([]netip.Addr, error)
	Log    *slog.Logger
}

// Run approves requests until the context is done.
func (a *Approver) Run(ctx context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(a.Client, again,
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("spec.signerName", certificatesv1.KubeletServingSignerName).String()
		}))
	informer := factory.Certificates().V1().CertificateSigningRequests().Informer()
	// Requests are few: one after the other is good enough.
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { a.look(ctx, o, slog.LevelWarn) },
		// What was told once need not be told every time.
		UpdateFunc: func(_, o any) { a.look(ctx, o, slog.LevelDebug) },
	})
	if err != nil {
		return fmt.Errorf("follow certificate requests: %w", err)
	}
	factory.StartWithContext(ctx)
	<-ctx.Done()
	factory.Shutdown()
	return nil
}

// foreign is an address that is not the node's.
type foreign struct{ address string }

func (e foreign) Error() string { return "the address " + e.address + " is not the node's" }

// look decides on a request; reasons not to are logged at a level.
func (a *Approver) look(ctx context.Context, object any, level slog.Level) {
	request, ok := object.(*certificatesv1.CertificateSigningRequest)
	if !ok || len(request.Status.Conditions) > 0 || len(request.Status.Certificate) > 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	log := a.Log.With("request", request.Name, "user", request.Spec.Username)
	decision := certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue,
		Reason: "NodeServing", Message: "it asks for nothing but the node's own name and address",
	}
	if err := a.Check(ctx, request); err != nil {
		log.Log(ctx, level, "a serving certificate is not approved", "because", err)
		if !errors.As(err, &foreign{}) {
			return
		}
		decision.Type, decision.Reason, decision.Message = certificatesv1.CertificateDenied, "NotItsAddress", err.Error()
	}
	request = request.DeepCopy()
	request.Status.Conditions = append(request.Status.Conditions, decision)
	_, err := a.Client.CertificatesV1().CertificateSigningRequests().UpdateApproval(ctx, request.Name, request, metav1.UpdateOptions{})
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		log.Warn("a serving certificate cannot be decided on now", "error", err)
		return
	}
	log.Info("a serving certificate is decided on", "decision", decision.Type)
}

// Check says why a request is not right, if it is not: who asks must be a node,
// and what is asked for its own name and addresses and nothing else.
func (a *Approver) Check(ctx context.Context, request *certificatesv1.CertificateSigningRequest) error {
	spec := request.Spec
	if spec.SignerName != certificatesv1.KubeletServingSignerName {
		return fmt.Errorf("signer %s is somebody else's affair", spec.SignerName)
	}
	node, ok := strings.CutPrefix(spec.Username, nodePrefix)
	name := a.Names[node]
	if !ok || name == "" || !slices.Contains(spec.Groups, "system:nodes") {
		return errors.New("who asks is not one of the nodes")
	}
	wanted, err := certificates.ParseCSR(spec.Request)
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	usages := sets.NewString()
	for _, u := range spec.Usages {
		usages.Insert(string(u))
	}
	if err := certificates.ValidateKubeletServingCSR(wanted, usages); err != nil {
		return err
	}
	if wanted.Subject.CommonName != spec.Username {
		return fmt.Errorf("it is for %s", wanted.Subject.CommonName)
	}
	for _, dns := range wanted.DNSNames {
		if dns != name {
			return fmt.Errorf("the name %q is not the node's", dns)
		}
	}
	if len(wanted.IPAddresses) == 0 {
		return nil
	}
	own, err := a.Lookup(ctx, name)
	if err != nil {
		return fmt.Errorf("look up the node's address: %w", err)
	}
	for _, ip := range wanted.IPAddresses {
		address, ok := netip.AddrFromSlice(ip)
		if is := func(o netip.Addr) bool { return o.Unmap() == address.Unmap() }; !ok || !slices.ContainsFunc(own, is) {
			return foreign{ip.String()}
		}
	}
	return nil
}
