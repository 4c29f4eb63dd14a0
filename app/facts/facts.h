/* Facts: the typed view of the metadata. All logic about what the metadata means lives here and in
 * app/facts/parameters.c. */
#ifndef APP_FACTS_FACTS_H
#define APP_FACTS_FACTS_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "app/conf.h"
#include "app/facts/host_role.h"
#include "app/status.h"
#include "lib/core/error.h"

/* Fixed numbers of the user guide. */
#define SERVICE_CIDR "10.96.0.0/16"
#define DNS_IP "10.96.0.10"
#define ELASTICSEARCH_IP "10.96.0.11"
#define POD_CIDR "10.244.0.0/16"
#define CLUSTER_DOMAIN "cluster.local"
#define API_PORT 6443
#define PROMETHEUS_PORT 30000
/* On the master's loopback address, beside those of Kubernetes' own programs (10248 to 10260). */
#define ADMISSION_PORT 10270

struct host {
    char *role; /* master, node, ssd_node, log, client */
    const struct host_role *is;
    char *instance_id; /* new with every VM */
    char *node_id;     /* cln-..., for life */
    char *ip, *mac;
    int sid;            /* unique in its role, from 1 */
    char *node_name;    /* <role>-<sid>, "_" as "-" */
    char *pub_key;      /* "ssh-rsa ...", or NULL */
    char *token;        /* what custom_metadata printed, or NULL */
    int memory_mib;     /* 0: not given */
    int instance_class; /* -1: not given */
    bool adding, deleting;
};

enum log_target { LOG_NODES, LOG_ELK_LINK, LOG_ES_SERVER };
enum network_mode { NETWORK_HOSTNIC, NETWORK_FLANNEL, NETWORK_BRIDGE };

struct parameters {
    char *access_key_id, *secret_access_key;
    char *api_external_domain;
    int port_low, port_high;
    int max_pods;
    bool enable_hostnic;
    char **pod_vxnets;
    char **registry_mirrors, **insecure_registries;
    char *private_registry;                        /* NULL: none */
    char *registry_ca;                             /* PEM, of private_registry; NULL: none */
    char *dockerhub_username, *dockerhub_password; /* NULL: none */
    char *docker_bip;
    int keep_log_days; /* 0: keep all */
    int kube_log_level;
    char *fluent_forward_host; /* NULL: none */
    int fluent_forward_port;
    char *es_host; /* es_server; NULL: none */
    int es_port;
    bool enable_istio, enable_helm;
};

struct facts {
    struct {
        char *id, *app_id, *user_id, *vxnet, *zone;
        char *api_host, *api_protocol; /* the cloud's API */
        int api_port;
        int *volume_types; /* that the zone has, ended by -1; NULL: not given */
    } cluster;
    struct host *self;  /* one of hosts */
    struct host *hosts; /* all, by role (master, node, ssd_node, log, client), then sid */
    size_t n_hosts;
    struct host *master; /* one of hosts, or NULL */
    struct host *client; /* one of hosts, or NULL */
    int n_logs;          /* log nodes, those that are leaving excepted */
    int self_cpu, self_memory_mib;
    struct parameters parameters;
    enum log_target log_target;
    char *es_host; /* Elasticsearch that serves: the service address with log nodes */
    int es_port;
    bool etcd_linked;
    char **etcd_endpoints; /* "http://IP:2379" */
    char *etcd_prefix;     /* "/<cluster_id>" when linked, else "/registry" */
    enum network_mode network;
    char **vertical_scaling_roles;
    json_t *versions; /* image's versions.json: {"kubernetes": "v1.20.2", "images": {name: reference}} */
};

/* TREE is what meta_get gave. Missing or malformed structure is STATUS_METADATA_INVALID; this host not among the hosts
 * too. Parameters are checked together: STATUS_PARAMETER whose message has one line for each that is wrong (key, value
 * - secrets excepted - and what is accepted); STATUS_LOG_NONE when logs have nowhere to go; STATUS_VXNET_CLUSTER. */
int facts_load(struct facts **facts, const json_t *tree, const struct conf *conf, struct error **err);
void facts_free(struct facts *facts);
void facts_freep(struct facts **facts);

/* PREVIOUS is the last accepted tree, or NULL: what may not change (pod vxnets disappear) is STATUS_VXNET_REMOVED. */
int facts_check_change(const struct facts *facts, const json_t *previous, struct error **err);

/* What templates see; see templates/README.md for every name. A new reference. With secrets: never print it. */
json_t *facts_context(const struct facts *facts);

/* The same with every secret as "***": for `facts --json`. */
json_t *facts_public(const struct facts *facts);

/* Members of hosts with that role; the i-th from 0, NULL past the last. */
const struct host *facts_host(const struct facts *facts, const char *role, size_t i);

/* The host whose node has that NAME (may be NULL), or NULL. Borrowed. */
const struct host *facts_node(const struct facts *facts, const char *name);

/* The pod network of a host in bridge mode: a /24 of POD_CIDR, the same for the life of the host, computed from role
 * and sid. NULL for a client, and for a sid past the room there is: 1 master, 120 node, 120 ssd_node, 15 log. The
 * caller frees.
 */
char *facts_node_cidr(const struct host *host);

/* Of a vxnet's 252 usable addresses hostnic v1.0 reserves 12 for virtual addresses: the rest is for pods. */
enum { VXNET_POD_ADDRESSES = 240 };

/* hostnic runs on every host with a kubelet, the master's and the log nodes' too; hosts that leave need no addresses.
 */
struct pod_addresses {
    int nodes, vxnets;
    int need; /* nodes * max_pods */
    int have; /* vxnets * VXNET_POD_ADDRESSES */
};
struct pod_addresses facts_pod_addresses(const struct facts *facts);

/* The vxnets hostnic takes addresses from: pod_vxnets, or the cluster vxnet alone when there are none. The caller
 * frees. */
char **facts_vxnets(const struct facts *facts);

/* CIDR, that of a vxnet for pods, is apart from the networks of services and containers: STATUS_PARAMETER. Only the
 * cloud knows it, so it is not a part of facts_load(). What is not a CIDR passes. */
int facts_check_pod_vxnet(const struct facts *facts, const char *vxnet, const char *cidr, struct error **err);

/* What is allowed but probably not meant, a text each (pod_vxnets empty, settings that another one overrides). Never
 * NULL; strv_free. */
char **facts_warnings(const struct facts *facts);

/* What the master publishes as its `token` (custom metadata). */
struct join_token {
    char *api;        /* "IP:6443" */
    char *bootstrap;  /* secret */
    char *ca_hash;    /* "sha256:<hex>" */
    char *kubeconfig; /* sealed for the client; NULL: there was no client */
};

/* STATUS_TOKEN_ABSENT while the master has published none; STATUS_METADATA_INVALID when it cannot be used. */
int facts_join_token(const struct facts *facts, struct join_token *token, struct error **err);
void join_token_free(struct join_token *token);
#define _cleanup_token_ _cleanup_(join_token_free)

#endif
