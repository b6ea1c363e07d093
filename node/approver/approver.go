// Package approver approves the serving certificates that nodes ask for. It
// exists because Kubernetes signs such a request but approves none: only who
// made the cluster knows which names and addresses are a node's own. It runs
// beside the controller manager, since a node must not decide on itself.
//
// A request that is not plainly right is left alone: a person may still
// approve it.
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
	// again is how often requests that wait are looked at once more: a node may
	// ask before its address is known to the cloud's DNS.
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
		AddFunc:    func(o any) { a.look(ctx, o) },
		UpdateFunc: func(_, o any) { a.look(ctx, o) },
	})
	if err != nil {
		return fmt.Errorf("follow certificate requests: %w", err)
	}
	factory.StartWithContext(ctx)
	<-ctx.Done()
	factory.Shutdown()
	return nil
}

// look approves a request if it is right.
func (a *Approver) look(ctx context.Context, object any) {
	request, ok := object.(*certificatesv1.CertificateSigningRequest)
	if !ok || len(request.Status.Conditions) > 0 || len(request.Status.Certificate) > 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	log := a.Log.With("request", request.Name, "user", request.Spec.Username)
	if err := a.Check(ctx, request); err != nil {
		log.Warn("a serving certificate is not approved", "because", err)
		return
	}
	request = request.DeepCopy()
	request.Status.Conditions = append(request.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue,
		Reason: "NodeServing", Message: "it asks for nothing but the node's own name and address",
	})
	_, err := a.Client.CertificatesV1().CertificateSigningRequests().UpdateApproval(ctx, request.Name, request, metav1.UpdateOptions{})
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		log.Warn("a serving certificate cannot be approved now", "error", err)
		return
	}
	log.Info("a serving certificate is approved")
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
			return fmt.Errorf("the address %s is not the node's", ip)
		}
	}
	return nil
}
