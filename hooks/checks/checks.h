/* Health checks. A role lists its own in roles/ROLE.c; each is defined in hooks/checks/, one file a concern. */
#ifndef HOOKS_CHECKS_CHECKS_H
#define HOOKS_CHECKS_CHECKS_H

#include "hooks/engine/role.h"

/* What a bad outcome of a check means for the host at most. */
enum severity { FAILS, WARNS };

enum verdict { VERDICT_OK, VERDICT_WARNS, VERDICT_FAILS };

struct finding {
    enum verdict verdict;
    char *reason;       /* one line */
    const char *remedy; /* what to do; NULL when all is well */
};

/* `check "NAME" { warn, fail }` of the role's file, in the check's own measure. */
struct check_limits {
    long warn, fail;
};

struct own_node;

/* What a check may read. Checks run side by side: nothing in RUN may be changed, nor its connections used. What may
 * hang for ever (a dead disk) comes last: RUN may be gone when it comes back. */
struct check_context {
    const struct run *run;
    struct check_limits limits; /* the check's own defaults where the role's file has none */
    struct deadline deadline;   /* of this check */
    struct own_node *own_node;  /* hooks/checks/own_node.h; may be NULL */
};

struct check {
    const char *name;
    enum severity severity;
    struct check_limits limits;
    void (*probe)(const struct check_context *context, struct finding *finding);
};

/* docker.service is active and its socket answers. */
extern const struct check check_docker;
/* kubelet.service is active. */
extern const struct check check_kubelet;
/* The timers that `start` starts are active, on the master also the socket of `admit`. */
extern const struct check check_units;
/* The kubelet's /healthz answers ok. */
extern const struct check check_kubelet_healthz;
/* master: the API server's /readyz answers ok. */
extern const struct check check_api_server;
/* master: kube-scheduler's and kube-controller-manager's /healthz answer ok. */
extern const struct check check_scheduler;
extern const struct check check_controller_manager;
/* master: etcd is healthy, no alarm is raised, and its database is below its quota (limits in per cent of it). */
extern const struct check check_etcd;
/* The node's Ready condition, read with the node's own certificate. */
extern const struct check check_node_ready;
/* Days left of every certificate of this host. */
extern const struct check check_certificates;
/* Per cent of /data in use. */
extern const struct check check_data_space;
extern const struct check check_data_inodes;
/* The kernel's clock is kept in step by some service. */
extern const struct check check_clock;
/* The last reload succeeded: no change of the metadata waits. */
extern const struct check check_reload;
/* Neither systemd-networkd nor udev manages the interfaces of network plugins. */
extern const struct check check_interfaces;
/* With flannel: what it has set up here, and the pods' addresses, are of the pod network that the node object has. */
extern const struct check check_pod_network;
/* What pods send to the metadata servers is dropped: the kernel has the rules of /etc/k8s-metadata-guard. */
extern const struct check check_metadata_guard;
/* What the last test of the cloud API found; the API itself is not queried. master: also a pod that waits for an
 * address which it was refused, and how many addresses are left. */
extern const struct check check_hostnic;
/* log: the cluster health that Elasticsearch reports. */
extern const struct check check_elasticsearch;
/* client: the API server is ready and takes this client's credentials. */
extern const struct check check_cluster_api;
/* client: the cluster's name server knows the API server's service name. */
extern const struct check check_cluster_dns;

/* For checks: the verdict with its reason, made one line. */
void finding_ok(struct finding *finding, const char *format, ...) __attribute__((format(printf, 2, 3)));
void finding_warns(struct finding *finding, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void finding_fails(struct finding *finding, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The reason is ERR's message; frees ERR. */
void finding_error(struct finding *finding, const char *remedy, struct error *err);

/* Part of check_interfaces: false when flannel has published another MAC address in NODE's annotation. */
bool flannel_mac_published(const json_t *node, const char *mac);

struct etcd_size;
/* Part of check_etcd: what SIZE means. */
void etcd_size_find(const struct etcd_size *size, const struct check_limits *limits, struct finding *finding);

/* Part of check_hostnic: what it means that pods can have LEFT of ALL addresses; the cloud accepted the settings
 * MINUTES ago. */
void pod_addresses_find(int64_t left, int64_t all, int64_t minutes, struct finding *finding);

/* Part of check_pod_network: NODE is this host's node object. */
void pod_network_compare(const struct run *run, const json_t *node, struct deadline deadline, struct finding *finding);

/* Part of check_metadata_guard: compares the file's RULES with SAVED, what iptables-save prints. */
void metadata_guard_compare(const char *rules, const char *saved, struct finding *finding);

struct check_result {
    const struct check *check;
    struct finding finding;
    int64_t ms;
};

struct check_results {
    size_t n;
    struct check_result of[];
};

/* Runs all CHECKS (NULL-terminated) that the role's file leaves enabled side by side, in a thread each. One that has
 * not come back half a second after DEADLINE has failed, and is left to itself. STATUS_INTERRUPTED by a signal;
 * STATUS_CONFIG when the role's file names a check that the role does not have. */
int checks_run(const struct run *run, const struct check *const *checks, struct deadline deadline,
               struct check_results **results, struct error **err);
void check_results_free(struct check_results *results);
void check_results_freep(struct check_results **results);

/* True when none fails. */
bool checks_healthy(const struct check_results *results);

/* "ok", "warns", "fails" */
const char *verdict_name(enum verdict verdict);

/* {"healthy": bool, "checks": [{"name", "result", "reason", "remedy", "ms"}]}: a new reference. */
json_t *check_results_json(const struct check_results *results);

/* "docker: docker.service is inactive (dead); also: kubelet, node-ready": what fails. The caller frees. */
char *check_results_failures(const struct check_results *results);

/* What the metadata server keeps of a host: {"status": "healthy" or "unhealthy", "reason": text}. It flattens what it
 * is given and merges it into what it has, and every host reads all of it: the keys are always the same two, and the
 * reason is short ("" when healthy). A new reference. */
json_t *check_results_report(const struct check_results *results);

#endif
