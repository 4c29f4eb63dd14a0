#include "tests/lab/shared/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "lib/core/json.h"
#include "lib/core/util.h"

static json_t *directory(json_t *parent, const char *key)
{
    json_t *found = json_object_get(parent, key);
    if (found == NULL) {
        found = json_object();
        json_object_set_new(parent, key, found);
    }
    return found;
}

/* Addresses are 10.ROLE.x.y, so that no two roles of any size meet. */
static json_t *generated_host(const char *role, int sid)
{
    static const char *const roles[] = {"master", "node", "ssd_node", "log", "client"};
    unsigned net = 0;
    while (net < ELEMENTS(roles) - 1 && strcmp(roles[net], role) != 0) {
        net++;
    }
    _cleanup_free_ char *ip = xasprintf("10.%u.%d.%d", net, sid / 250, sid % 250 + 1);
    _cleanup_free_ char *mac = xasprintf("52:54:0a:%02x:%02x:%02x", net, (unsigned)sid / 250, (unsigned)sid % 250 + 1);
    _cleanup_free_ char *number = xasprintf("%d", sid);
    _cleanup_free_ char *node_id = xasprintf("cln-gen%u%05d", net, sid);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "ip", ip, "mac", mac, "sid", number, "node_id", node_id,
                     "role", role, "cpu", "4", "memory", "8192");
}

void cluster_generate(json_t *cluster, const char *role, int count)
{
    json_t *members = directory(directory(cluster, "hosts"), role);
    for (int sid = 1; sid <= count; sid++) {
        _cleanup_free_ char *instance = xasprintf("i-%.3s%05d", role, sid);
        json_object_set_new(members, instance, generated_host(role, sid));
    }
}

json_t *cluster_load(const char *name, struct error **err)
{
    json_error_t why;
    _cleanup_free_ char *path =
        strchr(name, '/') != NULL ? xstrdup(name) : xasprintf("tests/golden/clusters/%s/metadata.json", name);
    json_t *cluster = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    if (cluster == NULL) {
        (void)error_new(err, STATUS_FILE, "%s:%d: %s", path, why.line, why.text);
        return NULL;
    }
    const char *role;
    json_t *count;
    json_object_foreach (json_object_get(cluster, "generate"), role, count) {
        cluster_generate(cluster, role, (int)json_integer_value(count));
    }
    json_object_del(cluster, "generate");
    return cluster;
}

json_t *cluster_view(const json_t *cluster, const char *role, int sid)
{
    const char *instance;
    json_t *entry;
    json_object_foreach (json_object_get(json_object_get(cluster, "hosts"), role), instance, entry) {
        const char *own = json_text(entry, "sid");
        if (own == NULL || strtol(own, NULL, 10) != sid) {
            continue;
        }
        json_t *view = json_copy((json_t *)cluster);
        json_t *host = json_copy(entry);
        json_object_set_new(host, "instance_id", json_string(instance));
        json_object_set_new(host, "role", json_string(role));
        json_object_set_new(view, "host", host);
        return view;
    }
    return NULL;
}
