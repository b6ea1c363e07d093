package cluster

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// bootstrap puts into a cluster what it needs before its first user comes.
// What is there already is left as it is: it may have been changed on purpose.
func (k *kube) bootstrap(ctx context.Context) error {
	return both(
		func() error {
			return k.bind(ctx, "frankenetes:cluster-admins", "cluster-admin", rbacv1.GroupKind, adminGroup)
		},
		func() error {
			return k.bind(ctx, kubeletClient, "system:kubelet-api-admin", rbacv1.UserKind, kubeletClient)
		},
		func() error { return k.allowApprover(ctx) },
		func() error { return k.nameFlows(ctx) },
		func() error { return k.limit(ctx) })
}

// allowApprover lets the approver of serving certificates approve those, and
// nothing else.
func (k *kube) allowApprover(ctx context.Context) error {
	const requests = "certificatesigningrequests"
	groups := []string{certificatesv1.GroupName}
	_, err := k.client.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: servingApprover},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: groups, Resources: []string{requests}, Verbs: []string{"get", "list", "watch"}},
			{APIGroups: groups, Resources: []string{requests + "/approval"}, Verbs: []string{"update"}},
			{APIGroups: groups, Resources: []string{"signers"}, ResourceNames: []string{certificatesv1.KubeletServingSignerName}, Verbs: []string{"approve"}},
		},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create role of the approver: %w", err)
	}
	return k.bind(ctx, servingApprover, servingApprover, rbacv1.UserKind, servingApprover)
}

func (k *kube) bind(ctx context.Context, name, role, kind, subject string) error {
	_, err := k.client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: kind, Name: subject}},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("bind %s to role %s: %w", subject, role, err)
	}
	return nil
}

// limit gives containers that ask for nothing a small share: a container group
// has no size by default, and every size costs.
func (k *kube) limit(ctx context.Context) error {
	_, err := k.client.CoreV1().LimitRanges(metav1.NamespaceDefault).Create(ctx, &corev1.LimitRange{
		ObjectMeta: metav1.ObjectMeta{Name: "frankenetes"},
		Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
			Type: corev1.LimitTypeContainer,
			DefaultRequest: corev1.ResourceList{
				corev1.ResourceCPU:    resource.MustParse("100m"),
				corev1.ResourceMemory: resource.MustParse("128Mi"),
			},
		}}},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create default limits: %w", err)
	}
	return nil
}
