/* What flannel and the CNI plugins that it configures have set up on this host, held against the node object's pod
 * network. That changes when the node object is another one: after a restore, or when it was deleted and the kubelet
 * registered again. flannel reads it at its start only, and pods keep the addresses they were given. */
#ifndef HOOKS_FILES_POD_NETWORK_H
#define HOOKS_FILES_POD_NETWORK_H

#include <jansson.h>

#include "hooks/engine/role.h"

/* True when the machine has no interface eth0 although its image configures that one alone (05-eth0.network) for the
 * network. hostnic takes eth0 for the machine's own card (hostnic-cni, pkg/constants: DefaultPrimaryNic). False in a
 * root whose interfaces are not to be seen. */
bool pod_network_lacks_eth0(const struct run *run);

#define POD_NETWORK_ETH0_REMEDY                                                                                        \
    "start the kernel with net.ifnames=0 (/etc/default/grub.d, update-grub), and bake the image from a VM that has it"

/* spec.podCIDR of NODE: "A.B.C.D/N"; NULL when none is assigned yet. Borrowed. */
const char *pod_network_of(const json_t *node);

/* What of flannel's does not fit NODE, the host's node object, in one line: /run/flannel/subnet.env, which the plugin
 * "flannel" reads for each new pod, has another network; or the object lacks the annotation by which other machines
 * reach this one's pods. flannel writes both at its start. NULL when all fits, or flannel has not started since the
 * host was booted, or NODE has no pod network yet. The caller frees. */
char *pod_network_fault(const struct run *run, const json_t *node);

/* The sandboxes (containers' ids) that hold an address outside CIDR, as the plugin host-local has reserved them in
 * /var/lib/cni/networks/cbr0. A reservation may outlive its sandbox. The caller frees with strv_free. */
char **pod_network_reserved_outside(const struct run *run, const char *cidr);

/* The same, of sandboxes that Docker runs. STATUS_COMMAND, STATUS_DEADLINE. */
int pod_network_strays(const struct run *run, const char *cidr, struct deadline deadline, char ***ids,
                       struct error **err);

#endif
