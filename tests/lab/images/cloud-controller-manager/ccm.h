/* QingCloud's cloud controller manager v1.4.10, in its parts. What fails sets *WHY, which the caller frees. */
#ifndef LAB_IMAGES_CCM_H
#define LAB_IMAGES_CCM_H

#include <stdbool.h>

#include <jansson.h>

#include "lib/core/util.h"

#define ANNOTATION(name) "service.beta.kubernetes.io/qingcloud-" name

/* What a Service's annotations say, with the names that are made of it. */
struct balancer_config {
    char **eips;
    const char *eip_source; /* auto, use-available, allocate; NULL: none of them */
    const char *vxnet, *address, *reuse;
    const char *check_methods, *check_options, *balance_modes; /* NULL: none */
    long type, nodes;                                          /* -1: not said */
    bool shared;
    char *name, *listener_name;
};

struct ccm {
    const char *cluster_id, *default_vxnet;
    char *user, *security_group;
    json_t *tags; /* ids */
};
extern struct ccm ccm;

/* The key's owner and the security group of all load balancers, which is made where it is missing. Ends the program
 * when the cloud refuses. */
void cloud_begin(void);

/* CONFIG borrows from SERVICE. */
bool config_read(struct balancer_config *config, const json_t *service, char **why);
void config_clear(struct balancer_config *config);
/* "80:leastconn,443:source": the value for PORT, or NULL. The caller frees. False when the text is not of that form. */
bool port_value(const char *text, long port, char **value);

/* The load balancer with its listeners, a new reference; NULL without *WHY when there is none. */
json_t *balancer_find(const struct balancer_config *config, char **why);
json_t *balancer_create(const struct balancer_config *config, char **why);
bool balancer_update(const char *id, char **why);
bool balancer_delete(const json_t *balancer, char **why);
bool balancer_modify(const struct balancer_config *config, const json_t *balancer, bool *changed, char **why);
/* An array of {"ip": ...}, a new reference. */
json_t *balancer_ingress(const json_t *balancer);
/* NULL-terminated ids of public addresses to use: those that are named, else by their source. */
bool eips_prepare(struct balancer_config *config, char **why);

/* The listeners of a Service on BALANCER, with backends: those that are no longer right go, those that lack come. */
bool listeners_sync(const struct balancer_config *config, const json_t *balancer, const json_t *service,
                    const json_t *nodes, bool *changed, char **why);
bool listeners_delete(const struct balancer_config *config, const json_t *balancer, bool *any, char **why);
/* Backends are NODES and no others. */
bool backends_sync(const struct balancer_config *config, const json_t *balancer, const json_t *service,
                   const json_t *nodes, char **why);

#endif
