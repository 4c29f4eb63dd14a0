#include "app/cloud/cloud_hostnic.h"

#include <string.h>

#include "lib/core/interrupt.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"

#define NAME_PREFIX "hostnic_"

enum { POLL_MS = 1000 };

/* ACTION on NAME.1, NAME.2, ... a hundred at a time. */
static int call_on(struct cloud *cloud, const char *action, const char *name, char *const *ids,
                   struct deadline deadline, struct error **err)
{
    while (*ids != NULL) {
        struct cloud_parameter parameters[CLOUD_IDS];
        _cleanup_strv_ char **names = NULL;
        size_t n = 0;
        for (; n < CLOUD_IDS && ids[n] != NULL; n++) {
            _cleanup_free_ char *numbered = xasprintf("%s.%zu", name, n + 1);
            strv_push(&names, numbered);
        }
        for (size_t i = 0; i < n; i++) {
            parameters[i] = (struct cloud_parameter){names[i], ids[i]};
        }
        _cleanup_json_ json_t *answer = NULL;
        if (cloud_call(cloud, action, parameters, n, deadline, &answer, err) < 0) {
            return -1;
        }
        ids += n;
    }
    return 0;
}

/* Cards of hostnic in the pod vxnets, of any cluster. */
static int list_nics(struct cloud *cloud, const struct facts *facts, struct deadline deadline, json_t **list,
                     struct error **err)
{
    _cleanup_strv_ char **vxnets = facts_vxnets(facts);
    _cleanup_json_ json_t *all = NULL;
    size_t i = 0;
    json_t *nic;
    const struct cloud_list nics = {"DescribeNics", "nic_set", "vxnets", vxnets, NULL};
    if (cloud_describe(cloud, &nics, deadline, &all, err) < 0) {
        return -1;
    }
    *list = json_array();
    json_array_foreach (all, i, nic) {
        if (str_starts(json_text_or(nic, "nic_name", ""), NAME_PREFIX)) {
            json_array_append(*list, nic);
        }
    }
    return 0;
}

static const char *made_for(const json_t *nic)
{
    return json_text_or(nic, "nic_name", NAME_PREFIX) + strlen(NAME_PREFIX);
}

/* The first card of an instance has role 1, and no card of another instance is taken from it. */
static bool is_of(const json_t *nic, char *const *instances)
{
    const char *attached = json_text_or(nic, "instance_id", "");
    return json_integer_value(json_object_get(nic, "role")) == 0 && strv_contains(instances, made_for(nic)) &&
           (*attached == '\0' || strcmp(attached, made_for(nic)) == 0);
}

struct nics {
    char **all, **attached;
};

static void nics_clear(struct nics *nics)
{
    strv_free(nics->all);
    strv_free(nics->attached);
    *nics = (struct nics){0};
}

static int find_nics(struct cloud *cloud, const struct facts *facts, char *const *instances, struct deadline deadline,
                     struct nics *nics, struct error **err)
{
    _cleanup_json_ json_t *list = NULL;
    size_t i = 0;
    json_t *nic;
    nics_clear(nics);
    nics->all = xcalloc(1, sizeof *nics->all);
    nics->attached = xcalloc(1, sizeof *nics->attached);
    if (list_nics(cloud, facts, deadline, &list, err) < 0) {
        return -1;
    }
    json_array_foreach (list, i, nic) {
        const char *id = json_text(nic, "nic_id");
        if (id != NULL && is_of(nic, instances)) {
            strv_push(&nics->all, id);
            if (strcmp(json_text_or(nic, "status", ""), "in-use") == 0) {
                strv_push(&nics->attached, id);
            }
        }
    }
    return 0;
}

int cloud_release_nics(struct cloud *cloud, const struct facts *facts, char *const *instances, struct deadline deadline,
                       size_t *count, struct error **err)
{
    _cleanup_(nics_clear) struct nics nics = {0};
    if (find_nics(cloud, facts, instances, deadline, &nics, err) < 0 ||
        call_on(cloud, "DetachNics", "nics", nics.attached, deadline, err) < 0) {
        return -1;
    }
    while (nics.attached[0] != NULL) {
        if (interrupt_sleep(POLL_MS, deadline, err) < 0) {
            return -1;
        }
        if (deadline_left(deadline) == 0) {
            return error_new(err, STATUS_CLOUD_UNREACHABLE, "the cloud has not detached %s in time", nics.attached[0]);
        }
        if (find_nics(cloud, facts, instances, deadline, &nics, err) < 0) {
            return -1;
        }
    }
    if (count != NULL) {
        *count = strv_length(nics.all);
    }
    return call_on(cloud, "DeleteNics", "nics", nics.all, deadline, err);
}

static bool of_cluster(const struct facts *facts, const char *instance)
{
    for (size_t i = 0; i < facts->n_hosts; i++) {
        if (strcmp(facts->hosts[i].instance_id, instance) == 0) {
            return true;
        }
    }
    return false;
}

/* Pod vxnets where no other cluster has cards. */
static int own_vxnets(struct cloud *cloud, const struct facts *facts, struct deadline deadline, char ***own,
                      struct error **err)
{
    _cleanup_strv_ char **vxnets = facts_vxnets(facts);
    _cleanup_json_ json_t *list = NULL;
    if (list_nics(cloud, facts, deadline, &list, err) < 0) {
        return -1;
    }
    *own = xcalloc(1, sizeof **own);
    for (char **vxnet = vxnets; *vxnet != NULL; vxnet++) {
        const char *other = NULL;
        size_t i = 0;
        json_t *nic;
        json_array_foreach (list, i, nic) {
            if (strcmp(json_text_or(nic, "vxnet_id", ""), *vxnet) == 0 && !of_cluster(facts, made_for(nic))) {
                other = made_for(nic);
            }
        }
        if (other == NULL) {
            strv_push(own, *vxnet);
        } else {
            log_warning("the VIPs of %s are left: %s, which is not of this cluster, has network cards of hostnic there",
                        *vxnet, other);
        }
    }
    return 0;
}

/* Those of LIST whose NAME is hostnic_VXNET. */
static char **named(const json_t *list, const char *id, const char *name, char *const *vxnets)
{
    char **ids = xcalloc(1, sizeof *ids);
    size_t i = 0;
    json_t *entry;
    json_array_foreach (list, i, entry) {
        const char *text = json_text_or(entry, name, "");
        if (str_starts(text, NAME_PREFIX) && strv_contains(vxnets, text + strlen(NAME_PREFIX)) &&
            json_text(entry, id) != NULL) {
            strv_push(&ids, json_text(entry, id));
        }
    }
    return ids;
}

static int release_vips(struct cloud *cloud, char **vxnets, struct deadline deadline, size_t *count, struct error **err)
{
    _cleanup_json_ json_t *list = NULL;
    const struct cloud_list vips = {"DescribeVips", "vip_set", "vxnets", vxnets, NULL};
    if (cloud_describe(cloud, &vips, deadline, &list, err) < 0) {
        return -1;
    }
    _cleanup_strv_ char **ids = named(list, "vip_id", "vip_name", vxnets);
    if (count != NULL) {
        *count = strv_length(ids);
    }
    return call_on(cloud, "ReleaseVips", "vips", ids, deadline, err);
}

/* In the firewall that AppCenter gave the cluster. */
static int delete_rules(struct cloud *cloud, const struct facts *facts, char **vxnets, struct deadline deadline,
                        struct error **err)
{
    char *self[] = {facts->cluster.id, NULL};
    _cleanup_json_ json_t *clusters = NULL;
    _cleanup_json_ json_t *list = NULL;
    const struct cloud_list cluster = {"DescribeClusters", "cluster_set", "clusters", self, NULL};
    if (cloud_describe(cloud, &cluster, deadline, &clusters, err) < 0) {
        return -1;
    }
    const char *group = json_text_or(json_array_get(clusters, 0), "security_group_id", "");
    const struct cloud_parameter in_group[] = {{"security_group", group}, {NULL, NULL}};
    const struct cloud_list rules = {"DescribeSecurityGroupRules", "security_group_rule_set", NULL, NULL, in_group};
    if (*group == '\0') {
        return 0;
    }
    if (cloud_describe(cloud, &rules, deadline, &list, err) < 0) {
        return -1;
    }
    _cleanup_strv_ char **ids = named(list, "security_group_rule_id", "security_group_rule_name", vxnets);
    _cleanup_json_ json_t *answer = NULL;
    if (*ids == NULL) {
        return 0;
    }
    return call_on(cloud, "DeleteSecurityGroupRules", "security_group_rules", ids, deadline, err) < 0
               ? -1
               : cloud_call(cloud, "ApplySecurityGroup", in_group, 1, deadline, &answer, err);
}

int cloud_release_vxnets(struct cloud *cloud, const struct facts *facts, struct deadline deadline, size_t *count,
                         struct error **err)
{
    _cleanup_strv_ char **vxnets = NULL;
    if (own_vxnets(cloud, facts, deadline, &vxnets, err) < 0) {
        return -1;
    }
    if (*vxnets == NULL) {
        return 0;
    }
    return release_vips(cloud, vxnets, deadline, count, err) < 0 ? -1
                                                                 : delete_rules(cloud, facts, vxnets, deadline, err);
}
