/* The user guide's promise for Services of type LoadBalancer: without annotations that say otherwise, a private load
 * balancer in the cluster's vxnet. The cloud controller makes one only where an annotation says so. */
#ifndef HOOKS_STEPS_CLOUD_LOAD_BALANCERS_H
#define HOOKS_STEPS_CLOUD_LOAD_BALANCERS_H

#include <jansson.h>

/* yunify/qingcloud-cloud-controller-manager v1.4.10, pkg/qingcloud/annotations.go */
#define BALANCER "service.beta.kubernetes.io/qingcloud-load-balancer-"
#define BALANCER_NETWORK BALANCER "network-type"

/* Beside our annotation: who wrote it, and why. */
#define BALANCER_MARK "k8s-hooks/load-balancer"

/* The annotations that SERVICE needs, a new object of name and value: the private network type and BALANCER_MARK where
 * no annotation chooses a network, an EIP or a load balancer; both null where they are ours and the user has chosen a
 * public one since. NULL when nothing is needed: not of type LoadBalancer, of another loadBalancerClass, being deleted,
 * or with the annotation k8s-hooks/reconcile: disabled. */
json_t *load_balancer_annotations(const json_t *service);

#endif
