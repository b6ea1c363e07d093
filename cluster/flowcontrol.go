package cluster

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
)

// The flow schemas that tell users' requests from others'. Kubernetes' own
// programs, nodes and service accounts have schemas with a lower precedence
// number, which are looked at first; ours come next, and who is left is a user.
const (
	ownFlow, ownPrecedence   = "frankenetes-own", 9700
	userFlow, userPrecedence = "frankenetes-users", 9800
	// usersLevel is the priority level of both: that of those who have no other.
	usersLevel = "global-default"
)

// nameFlows makes the flow schemas.
func (k *kube) nameFlows(ctx context.Context) error {
	return both(
		func() error {
			return k.putFlow(ctx, ownFlow, ownPrecedence,
				flowcontrolv1.Subject{Kind: flowcontrolv1.SubjectKindUser, User: &flowcontrolv1.UserSubject{Name: servingApprover}})
		},
		func() error {
			return k.putFlow(ctx, userFlow, userPrecedence,
				flowcontrolv1.Subject{Kind: flowcontrolv1.SubjectKindGroup, Group: &flowcontrolv1.GroupSubject{Name: "system:authenticated"}})
		})
}

// putFlow makes a schema that has all requests of somebody.
func (k *kube) putFlow(ctx context.Context, name string, precedence int32, whose flowcontrolv1.Subject) error {
	all := []string{"*"}
	_, err := k.client.FlowcontrolV1().FlowSchemas().Create(ctx, &flowcontrolv1.FlowSchema{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: flowcontrolv1.FlowSchemaSpec{
			PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: usersLevel},
			MatchingPrecedence:         precedence,
			DistinguisherMethod:        &flowcontrolv1.FlowDistinguisherMethod{Type: flowcontrolv1.FlowDistinguisherMethodByUserType},
			Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
				Subjects:         []flowcontrolv1.Subject{whose},
				ResourceRules:    []flowcontrolv1.ResourcePolicyRule{{Verbs: all, APIGroups: all, Resources: all, Namespaces: all, ClusterScope: true}},
				NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{{Verbs: all, NonResourceURLs: all}},
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create flow schema %s: %w", name, err)
	}
	return nil
}
