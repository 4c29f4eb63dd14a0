/* Where things lie on every machine. Paths under --root go through run_path (hooks/engine/run.h). */
#ifndef APP_PATHS_H
#define APP_PATHS_H

/* our own */
#define HOOK_CONF "/etc/k8s-hooks/hook.conf"
#define STATE_ON_DATA "/data/kubernetes/hooks" /* of roles that have a volume */
#define STATE_ON_SYSTEM "/var/lib/k8s-hooks"   /* of the others */

/* in a master's state directory: what `admit` shows to the API server */
#define ADMISSION_CERTIFICATE "admission.crt"
#define ADMISSION_KEY "admission.key"

/* what an image brings */
#define INSTALLED "/opt/kubernetes"
#define VERSIONS INSTALLED "/versions.json"

/* kubeadm's and the kubelet's (kubernetes.io/docs/reference/setup-tools/kubeadm/implementation-details) */
#define KUBERNETES_DIRECTORY "/etc/kubernetes"
#define STATIC_PODS KUBERNETES_DIRECTORY "/manifests"
#define PKI_DIRECTORY KUBERNETES_DIRECTORY "/pki"
#define CA_CERTIFICATE PKI_DIRECTORY "/ca.crt"
#define CA_KEY PKI_DIRECTORY "/ca.key"
#define KUBEADM_CONFIG KUBERNETES_DIRECTORY "/kubeadm.yaml"
#define KUBE_PROXY_MANIFEST KUBERNETES_DIRECTORY "/kube-proxy.yaml"
#define KUBEADM_JOIN_CONFIG KUBERNETES_DIRECTORY "/kubeadm-join.yaml"
#define ADMIN_KUBECONFIG KUBERNETES_DIRECTORY "/admin.conf"
#define CLIENT_KUBECONFIG KUBERNETES_DIRECTORY "/client.conf"
#define CONTROLLER_MANAGER_KUBECONFIG KUBERNETES_DIRECTORY "/controller-manager.conf"
#define SCHEDULER_KUBECONFIG KUBERNETES_DIRECTORY "/scheduler.conf"
#define KUBELET_KUBECONFIG KUBERNETES_DIRECTORY "/kubelet.conf"
#define ROOT_KUBECONFIG "/root/.kube/config"
#define KUBELET_CLIENT_CERTIFICATE "/var/lib/kubelet/pki/kubelet-client-current.pem" /* and its key */

/* in the cluster: the client's sealed kubeconfig, in namespace kube-public */
#define CLIENT_CONFIG_MAP "k8s-hooks-client"

/* the volume, and what lies on it */
#define DATA "/data"
#define DATA_KUBERNETES DATA "/kubernetes"
#define DATA_ETCD DATA "/etcd"
#define DATA_ELASTICSEARCH DATA "/es"
#define DATA_HOSTNIC DATA "/var/lib/hostnic"
#define HOSTNIC_DIRECTORY "/var/lib/hostnic" /* a link to it */
#define BACKUP_DIRECTORY DATA "/backup"

#endif
