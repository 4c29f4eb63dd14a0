/* What the programs of hostnic's image share: agent, controller and CNI plugin are one program here, by its name. */
#ifndef LAB_IMAGES_HOSTNIC_H
#define LAB_IMAGES_HOSTNIC_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "tests/lab/images/shared/program.h"

#define SOCKET "/var/run/hostnic/hostnic.socket"
#define NIC_PREFIX "hostnic_"
#define GROUP "/apis/network.qingcloud.com/v1alpha1"
#define IPAM_CONFIG "/api/v1/namespaces/kube-system/configmaps/hostnic-ipam-config"

/* klog's flags, which both programs of a pod have, and others of theirs. */
#define KLOG_FLAGS                                                                                                     \
    {"v", FLAG_NUMBER, false, "0"}, {"log_file", FLAG_TEXT, false, NULL}, {"log_dir", FLAG_TEXT, false, NULL},         \
        {"logtostderr", FLAG_SWITCH, false, "false"}, {"alsologtostderr", FLAG_SWITCH, false, "true"},                 \
        {"k8s-api-qps", FLAG_NUMBER, false, "80"},                                                                     \
    {                                                                                                                  \
        "k8s-api-burst", FLAG_NUMBER, false, "100"                                                                     \
    }

/* The same line in LOG_FILE (may be NULL) as on standard error from now on. */
void note_open(const char *log_file);
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the program unless each key of OBJECT is one of KNOWN (NULL-terminated). */
void check_keys(const json_t *object, const char *const *known, const char *where);

/* The cloud's API, as qingcloud-sdk-go has it: /root/.qingcloud/config.yaml, one signed GET a call. */

/* Reads the instance id and the configuration, and asks whose the key is. Ends the program when one of them fails. */
void cloud_setup(void);
const char *cloud_instance(void); /* as the file has it, with whatever surrounds it */
const char *cloud_zone(void);
/* PARAMETERS: name, value, name, value, NULL. The answer with ret_code 0, or NULL, which is logged with what came
 * back; *WHY (may be NULL) is that text then. */
json_t *cloud_call(const char *action, const char *const *parameters, char **why);
/* A vxnet as hostnic keeps it: ID, Gateway, Network, IPStart, IPEnd (12 addresses before the last); NULL: logged. */
json_t *cloud_vxnet(const char *id, char **why);

/* Addresses of pods, in the cluster's objects. */

/* An address for HANDLE, by what the ConfigMap says of NAMESPACE. False and *WHY when there is none. */
bool ipam_assign(const char *namespace, const char *handle, char **address, char **vxnet, char **why);
void ipam_release(const char *handle);
/* Blocks of POOL (an IPPool) that are not there yet. */
bool ipam_make_blocks(const json_t *pool);
json_t *ipam_blocks(const char *pool); /* a new reference, or NULL */
/* Capacity, reserved, allocated and free addresses of a pool. */
json_t *ipam_usage(const json_t *pool);

/* Network of the machine: `ip` and others, by their programs. */

/* True when it ended with 0. */
bool run_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Name of the link with that address which is (MASTER) or is not on a bridge; NULL: none. The caller frees. */
char *link_by_mac(const char *mac, bool on_bridge);
bool nic_setup(const json_t *nic, char **why);

int agent_main(char **argv);
int controller_main(char **argv);
int plugin_main(void);

#endif
