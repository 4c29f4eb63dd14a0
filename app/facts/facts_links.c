#include "app/facts/facts_links.h"

#include <string.h>
#include <unistd.h>

#include "lib/core/json.h"
#include "lib/core/syntax.h"
#include "lib/core/util.h"
#include "lib/system/file.h"

#define ES_PORT 9200

void replace_char(char *s, char from, char to)
{
    for (s = strchr(s, from); s != NULL; s = strchr(s, from)) {
        *s = to;
    }
}

struct linked {
    const char *role, *ip;
    int sid;
};

static int linked_order(const void *a, const void *b)
{
    const struct linked *x = a;
    const struct linked *y = b;
    int by_role = strcmp(x->role, y->role);
    if (by_role != 0) {
        return by_role;
    }
    return x->sid != y->sid ? x->sid - y->sid : strcmp(x->ip, y->ip);
}

/* The hosts of a linked cluster whose role begins with PREFIX, by role, sid and address: the same on every host of
 * ours, however the metadata happens to be ordered. */
static int linked_hosts(const json_t *tree, const char *link, const char *prefix, struct linked **found, size_t *count,
                        struct error **err)
{
    const json_t *hosts = json_object_get(json_object_get(json_object_get(tree, "links"), link), "hosts");
    const char *role;
    const char *instance;
    json_t *members;
    json_t *entry;
    size_t room = 0;
    json_object_foreach ((json_t *)hosts, role, members) {
        room += json_object_size(members);
    }
    *found = xcalloc(room + 1, sizeof **found);
    *count = 0;
    json_object_foreach ((json_t *)hosts, role, members) {
        json_object_foreach (members, instance, entry) {
            struct linked one = {role, json_text(entry, "ip"), 0};
            if (!str_starts(role, prefix)) {
                continue;
            }
            if (one.ip == NULL || !syntax_ipv4(one.ip, NULL)) {
                return error_new(err, STATUS_METADATA_INVALID,
                                 "metadata: /links/%s/hosts: the ip of a host of role \"%s\" must be an IPv4 address",
                                 link, role);
            }
            const char *sid = json_text(entry, "sid");
            if (sid != NULL && !syntax_number(sid, 0, 1000000, &one.sid)) {
                one.sid = 0;
            }
            (*found)[(*count)++] = one;
        }
    }
    qsort(*found, *count, sizeof **found, linked_order);
    return 0;
}

/* The port of Elasticsearch that the linked app publishes, if any. */
static int linked_es_port(const json_t *tree, int *port, struct error **err)
{
    static const char *const services[] = {"elasticsearch", "es"};
    const json_t *link = json_object_get(json_object_get(tree, "links"), "elk_service");
    const json_t *endpoints = json_object_get(json_object_get(link, "cluster"), "endpoints");
    *port = ES_PORT;
    for (size_t i = 0; i < ELEMENTS(services); i++) {
        const char *value = json_text(json_object_get(endpoints, services[i]), "port");
        if (value == NULL) {
            continue;
        }
        return syntax_number(value, 1, 65535, port)
                   ? 0
                   : error_new(err, STATUS_METADATA_INVALID,
                               "metadata: /links/elk_service/cluster/endpoints/%s: the port must be a number from 1 to "
                               "65535",
                               services[i]);
    }
    return 0;
}

static void serve_logs(struct facts *facts, enum log_target target, const char *host, int port)
{
    facts->log_target = target;
    facts->es_host = xstrdup(host);
    facts->es_port = port;
}

static int choose_log_target(struct facts *facts, const json_t *tree, struct problems *problems, struct error **err)
{
    _cleanup_free_ struct linked *elk = NULL;
    size_t count = 0;
    if (linked_hosts(tree, "elk_service", "es", &elk, &count, err) < 0) {
        return -1;
    }
    if (count == 0) {
        free(STEAL(elk));
        if (linked_hosts(tree, "elk_service", "", &elk, &count, err) < 0) {
            return -1;
        }
    }
    const char *es_server = json_text(json_object_get(tree, "env"), "es_server");
    /* a host that leaves with the last log nodes is stopped as it ran: that needs no other target */
    bool leaving = facts->self->deleting && count == 0 && facts->parameters.es_host == NULL;
    if (facts->n_logs > 0 || leaving) {
        serve_logs(facts, LOG_NODES, ELASTICSEARCH_IP, ES_PORT);
    } else if (count > 0) {
        int port = 0;
        if (linked_es_port(tree, &port, err) < 0) {
            return -1;
        }
        serve_logs(facts, LOG_ELK_LINK, elk[0].ip, port);
    } else if (facts->parameters.es_host != NULL) {
        serve_logs(facts, LOG_ES_SERVER, facts->parameters.es_host, facts->parameters.es_port);
    } else if (str_empty(es_server)) {
        problem_add(
            problems, STATUS_LOG_NONE,
            "es_server: there is no log node, no linked ELK app and no Elasticsearch server: add 2 log nodes, link "
            "an ELK app, or set host:port here");
    }
    return 0;
}

static int choose_etcd(struct facts *facts, const json_t *tree, struct error **err)
{
    _cleanup_free_ struct linked *etcd = NULL;
    size_t count = 0;
    if (linked_hosts(tree, "etcd_service", "etcd_node", &etcd, &count, err) < 0) {
        return -1;
    }
    facts->etcd_linked = count > 0;
    facts->etcd_endpoints = xcalloc(count + 1, sizeof *facts->etcd_endpoints);
    for (size_t i = 0; i < count; i++) {
        facts->etcd_endpoints[i] = xasprintf("http://%s:2379", etcd[i].ip);
    }
    facts->etcd_prefix = facts->etcd_linked ? xasprintf("/%s", facts->cluster.id) : xstrdup("/registry");
    return 0;
}

/* The guide leaves open how several roles are written in the one leaf, so a JSON list, commas and blanks are all read.
 */
static char **scaling_roles(const json_t *tree)
{
    _cleanup_free_ char *roles = xstrdup(json_text(tree, "vertical-scaling-roles"));
    if (roles == NULL) {
        return strv_split("");
    }
    for (const char *c = "[]\",'"; *c != '\0'; c++) {
        replace_char(roles, *c, ' ');
    }
    return strv_split(roles);
}

int facts_read_links(struct facts *facts, const json_t *tree, struct problems *problems, struct error **err)
{
    facts->vertical_scaling_roles = scaling_roles(tree);
    return choose_log_target(facts, tree, problems, err) < 0 || choose_etcd(facts, tree, err) < 0 ? -1 : 0;
}

/* The file an installed binary and one run from build/bin/ both have: DIR/versions.json beside DIR/bin/BINARY. */
static char *versions_beside_binary(void)
{
    _cleanup_free_ char *exe = link_read("/proc/self/exe");
    char *slash = exe == NULL ? NULL : strrchr(exe, '/');
    if (slash == NULL) {
        return NULL;
    }
    *slash = '\0';
    return str_ends(exe, "/bin") ? xasprintf("%.*s/versions.json", (int)(strlen(exe) - strlen("/bin")), exe) : NULL;
}

static char *versions_path(const struct conf *conf)
{
    _cleanup_free_ char *path = NULL;
    if (conf != NULL && conf->paths.opt != NULL) {
        path = xasprintf("%s/versions.json", conf->paths.opt);
    }
    return path != NULL && access(path, F_OK) == 0 ? STEAL(path) : versions_beside_binary();
}

int facts_read_versions(struct facts *facts, const struct conf *conf, struct error **err)
{
    _cleanup_error_ struct error *why = NULL;
    _cleanup_free_ char *path = versions_path(conf);
    bool there = path != NULL && access(path, F_OK) == 0;
    if (!there) {
        facts->versions = json_object();
    } else if (file_read_json(path, &facts->versions, &why) < 0 || !json_is_object(facts->versions)) {
        return error_new(err, STATUS_FILE, "%s: bake the image again, or run `k8s-bake versions`",
                         why != NULL ? why->message : path);
    }
    /* what an image baked before these were in it has */
    _cleanup_json_ json_t *first = json_pack("{s:s, s:s, s:s}", "kubeadm_api", "v1beta2", "container_runtime",
                                             "dockershim", "cri_socket", "/var/run/dockershim.sock");
    (void)json_object_update_missing(facts->versions, first);
    return 0;
}

static bool was_vxnet(const json_t *previous, char ***before)
{
    const char *value = json_text(json_object_get(previous, "env"), "pod_vxnets");
    *before = strv_split(value == NULL ? "" : value);
    return **before != NULL;
}

int facts_check_change(const struct facts *facts, const json_t *previous, struct error **err)
{
    _cleanup_strv_ char **before = NULL;
    _cleanup_buffer_ struct buffer gone = {0};
    if (!was_vxnet(previous, &before)) {
        return 0;
    }
    for (char **v = before; *v != NULL; v++) {
        if (!strv_contains(facts->parameters.pod_vxnets, *v)) {
            buffer_printf(&gone, " %s", *v);
        }
    }
    if (gone.len > 0) {
        return error_new(err, STATUS_VXNET_REMOVED,
                         "pod_vxnets no longer holds%s: pods have addresses there; put back what was removed",
                         gone.data);
    }
    return 0;
}

struct pod_addresses facts_pod_addresses(const struct facts *facts)
{
    _cleanup_strv_ char **vxnets = facts_vxnets(facts);
    struct pod_addresses addresses = {.vxnets = (int)strv_length(vxnets)};
    for (size_t i = 0; i < facts->n_hosts; i++) {
        addresses.nodes += facts->hosts[i].is->node && !facts->hosts[i].deleting;
    }
    addresses.need = addresses.nodes * facts->parameters.max_pods;
    addresses.have = addresses.vxnets * VXNET_POD_ADDRESSES;
    return addresses;
}

char **facts_vxnets(const struct facts *facts)
{
    char **vxnets = xcalloc(1, sizeof *vxnets);
    for (char **v = facts->parameters.pod_vxnets; v != NULL && *v != NULL; v++) {
        strv_push(&vxnets, *v);
    }
    if (*vxnets == NULL) {
        strv_push(&vxnets, facts->cluster.vxnet);
    }
    return vxnets;
}

static void warn(char ***warnings, const char *text)
{
    strv_push(warnings, text);
}

char **facts_warnings(const struct facts *facts)
{
    char **warnings = xcalloc(1, sizeof *warnings);
    const struct parameters *p = &facts->parameters;
    if (p->enable_hostnic && (p->pod_vxnets == NULL || *p->pod_vxnets == NULL)) {
        warn(&warnings, "pod_vxnets is empty: pods take addresses of the cluster vxnet");
    }
    if (facts->log_target == LOG_NODES && p->es_host != NULL) {
        warn(&warnings, "es_server is set, but there are log nodes: logs go to the log nodes");
    }
    if (facts->log_target == LOG_ELK_LINK && p->es_host != NULL) {
        warn(&warnings, "es_server is set, but an ELK app is linked: logs go to the ELK app");
    }
    if (p->dockerhub_username == NULL && p->dockerhub_password != NULL) {
        warn(&warnings, "dockerhub_password is set without dockerhub_username: nobody is logged in");
    }
    return warnings;
}
