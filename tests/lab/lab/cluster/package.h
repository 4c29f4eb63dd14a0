/* An app package, from the very files users get: config.json's defaults filled into cluster.json.mustache, and the
 * services it declares: which command runs when, in what order, for how long. */
#ifndef LAB_PACKAGE_H
#define LAB_PACKAGE_H

#include <stdbool.h>

#include <jansson.h>

#include "lib/core/error.h"

/* Reads the package in DIRECTORY. VALUES, of the form's shape (form.h; may be NULL), go over its defaults.
 * *package is the filled-in cluster.json, a new reference. */
int package_load(const char *directory, const json_t *values, json_t **package, struct error **err);

/* What the lab enters where the form has no default and a user must: of the form's shape, a new reference. */
json_t *package_filled_in(void);

/* The parameters' defaults as the metadata has them (strings), into ENV; also those of a single role. */
void package_env(const json_t *package, json_t *env);
/* The endpoints as the metadata has them, into ENDPOINTS. */
void package_endpoints(const json_t *package, json_t *endpoints);

/* A role is called as the form calls it ("cluster.zk_node.count"), also where cluster.json calls it otherwise. Its name
 * in the metadata, borrowed; NULL: it has none there, and its hosts lie right below /hosts. */
const char *package_role(const json_t *package, const char *role);

/* Whether AppCenter gives hosts of ROLE a key pair. */
bool package_has_keys(const json_t *package, const char *role);

/* Whether users may add and delete hosts of ROLE. */
bool package_scales(const json_t *package, const char *role);

/* Whether hosts of ROLE get other VMs one after the other, and not all at once. */
bool package_resizes_in_turn(const json_t *package, const char *role);

struct service {
    const char *command;  /* borrowed from the package */
    int order;            /* ascending; the same number: in parallel */
    int timeout;          /* s */
    bool post_start;      /* of init and upgrade: runs after start */
    bool post_stop;       /* of destroy: runs after stop */
    const json_t *params; /* service_params, given as one JSON argument; NULL: none */
};

/* EVENT is a service of the role (init, start, scale_in, backup, renew_certs, ...), its pre-check
 * ("scale_in.pre_check"), custom_metadata, check and action (health check), monitor, or "tab NAME". False where the
 * role has no such thing. */
bool package_service(const json_t *package, const char *role, const char *event, struct service *service);

/* The platform's health checks of a role; its commands are the services "check" and "action". */
struct health_check {
    int interval_s;
    int healthy, unhealthy; /* checks in a row that change the verdict */
};

/* False where the role has none, or has it disabled. */
bool package_health(const json_t *package, const char *role, struct health_check *check);

/* What a role's machines are in ZONE: the package's instance_class, or what the package's replace_policy.json in
 * DIRECTORY has instead of that in this zone. 0 where the package says nothing. */
int package_instance_class(const json_t *package, const char *directory, const char *zone, const char *role);

/* The items of the role's monitor, by name; borrowed, NULL: none. */
const json_t *package_monitor_items(const json_t *package, const char *role);

#endif
