#include "tests/lab/lab/cluster/metadata.h"
#include "app/status.h"

#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "lib/net/http.h"
#include "tests/lab/lab/cluster/cloud.h"
#include "tests/lab/lab/cluster/package.h"
#include "tests/lab/shared/metad.h"

#define MANAGE "http://" LAB_GATEWAY ":9611/v1/"

static json_t *number(long n)
{
    _cleanup_free_ char *text = xasprintf("%ld", n);
    return json_string(text);
}

/* What was entered for the machine's role; OTHERWISE where nothing was. */
static long figure(const struct lab *lab, const struct machine *m, const char *key, long otherwise)
{
    const json_t *entered = json_object_get(json_object_get(json_object_get(lab->values, "cluster"), m->role), key);
    return json_is_integer(entered) ? (long)json_integer_value(entered) : otherwise;
}

static json_t *host_entry(const struct lab *lab, const struct machine *m, size_t index)
{
    json_t *host =
        json_pack("{ss ss ss* ss so so so ss* ss* ss*}", "ip", m->ip, "mac", m->mac, "instance_id", m->instance_id,
                  "node_id", m->node_id, "sid", number(m->sid), "gid", number(1), "gsid", number((long)index + 1),
                  "pub_key", m->pub_key, "token", m->token, "role", package_role(lab->package, m->role));
    json_object_set_new(host, "instance_class", number(cloud_instance_class(lab, m)));
    json_object_set_new(host, "cpu", number(figure(lab, m, "cpu", get_nprocs())));
    json_object_set_new(host, "memory", number(figure(lab, m, "memory", 4096)));
    json_object_set_new(host, "volume_size",
                        number(figure(lab, m, "volume_size", strcmp(m->role, "client") == 0 ? 0 : 50)));
    return host;
}

static void put_host(const struct lab *lab, json_t *hosts, const struct machine *m, json_t *entry)
{
    const char *name = package_role(lab->package, m->role);
    json_t *role = name == NULL ? hosts : json_object_get(hosts, name);
    if (role == NULL) {
        role = json_object();
        json_object_set_new(hosts, name, role);
    }
    json_object_set_new(role, m->instance_id, entry);
}

static json_t *cluster_tree(const struct lab *lab)
{
    json_t *tree =
        json_pack("{s{ss ss ss ss ss ss s{ss ss ss} s{s{ss ss}}} sO}", "cluster", "app_id", "app-k8slab00",
                  "cluster_id", lab->cluster_id, "user_id", "usr-lab00000", "global_uuid", "31415926535897932", "vxnet",
                  LAB_VXNET, "zone", lab->zone, "api_server", "host", LAB_GATEWAY, "port", LAB_CLOUD_PORT, "protocol",
                  "http", "endpoints", "client", "port", "22", "protocol", "tcp", "env", lab->env);
    package_endpoints(lab->package, json_object_get(json_object_get(tree, "cluster"), "endpoints"));
    json_t *hosts = json_object();
    json_t *adding = json_object();
    json_t *deleting = json_object();
    for (size_t i = 0; i < lab->n_machines; i++) {
        const struct machine *m = lab->machines[i];
        if (m->instance_id == NULL) {
            continue;
        }
        put_host(lab, hosts, m, host_entry(lab, m, i));
        if (m->adding) {
            put_host(lab, adding, m, host_entry(lab, m, i));
        }
        if (m->deleting) {
            put_host(lab, deleting, m, host_entry(lab, m, i));
        }
    }
    json_object_set_new(tree, "hosts", hosts);
    json_object_set_new(tree, "adding-hosts", adding);
    json_object_set_new(tree, "deleting-hosts", deleting);
    const char *key;
    json_t *value;
    json_object_foreach (lab->links, key, value) {
        json_object_set(tree, key, value);
    }
    return tree;
}

/* *ANSWER (may be NULL) is NULL where there is nothing. *VERSION (may be NULL) is the server's behind it. */
static int manage(const char *method, const char *path, const json_t *body, json_t **answer, long *version,
                  struct error **err)
{
    _cleanup_(http_freep) struct http *http = NULL;
    _cleanup_answer_ struct http_answer got = {0};
    _cleanup_free_ char *url = xasprintf(MANAGE "%s", path);
    _cleanup_secret_ char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    static const char *const headers[] = {"Content-Type: application/json", "Accept: application/json", NULL};
    struct http_request request = {
        .method = method, .url = url, .headers = headers, .body = text, .body_len = text == NULL ? 0 : strlen(text)};
    if (http_open(&http, NULL, err) != 0 ||
        http_do(http, &request, deadline_in(60000), STATUS_METADATA_UNREACHABLE, &got, err) != 0) {
        return -1;
    }
    if (got.code != 200 && !(answer != NULL && got.code == 404)) {
        return error_new(err, STATUS_METADATA_INVALID, "%s %s: HTTP %ld, %.200s", method, url, got.code,
                         got.body.data == NULL ? "" : got.body.data);
    }
    if (version != NULL && !str_number(got.metad_version, 1, LONG_MAX, version)) {
        return error_new(err, STATUS_METADATA_INVALID, "%s %s: no X-Metad-Version", method, url);
    }
    if (answer != NULL) {
        *answer = got.code == 200 ? json_loadb(got.body.data, got.body.len, JSON_DECODE_ANY, NULL) : NULL;
    }
    return 0;
}

/* The agents see what is changed so only with the change behind it: half of a cluster is nothing to reload for. */
#define QUIET "?quiet=true"

/* What is at PATH on the server and not in WANTED; but the health is the machines' own and goes with its host only. */
static int remove_gone(const char *path, const json_t *there, const json_t *wanted, struct error **err)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)there, key, value) {
        const json_t *kept = json_object_get(wanted, key);
        bool empty = json_is_object(kept) && json_object_size(kept) == 0;
        _cleanup_free_ char *below = xasprintf("%s/%s", path, key);
        if (kept == NULL || empty) {
            _cleanup_free_ char *quiet = xasprintf("%s" QUIET, below);
            if (strcmp(key, "health") != 0 && manage("DELETE", quiet, NULL, NULL, NULL, err) != 0) {
                return -1;
            }
        } else if (json_is_object(value) && remove_gone(below, value, kept, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Merged in, not replaced: a machine may report its health meanwhile. */
static int publish_tree(struct lab *lab, const json_t *tree, struct error **err)
{
    _cleanup_json_ json_t *there = NULL;
    _cleanup_free_ char *path = xasprintf("data/clusters/%s", lab->cluster_id);
    _cleanup_free_ char *quiet = xasprintf("%s" QUIET, path);
    return manage("GET", path, NULL, &there, &lab->version_before, err) == 0 && remove_gone(path, there, tree, err) == 0
               ? manage("PUT", quiet, tree, NULL, NULL, err)
               : -1;
}

static int publish(struct lab *lab, const char *mapping_path, struct error **err)
{
    _cleanup_json_ json_t *tree = cluster_tree(lab);
    _cleanup_json_ json_t *mapping = json_object();
    for (size_t i = 0; i < lab->n_machines; i++) {
        const struct machine *m = lab->machines[i];
        if (m->instance_id != NULL) {
            json_object_set_new(mapping, m->ip,
                                metad_vm_mapping(lab->cluster_id, package_role(lab->package, m->role), m->instance_id));
        }
    }
    return cloud_publish(lab, err) == 0 && publish_tree(lab, tree, err) == 0 &&
                   manage("POST", mapping_path, mapping, NULL, &lab->version, err) == 0
               ? 0
               : -1;
}

int metadata_publish(struct lab *lab, struct error **err)
{
    return publish(lab, "mapping", err);
}

int metadata_publish_quietly(struct lab *lab, struct error **err)
{
    return publish(lab, "mapping" QUIET, err);
}

int metadata_up(struct lab *lab, struct error **err)
{
    if (process_alive(&lab->metad)) {
        return 0;
    }
    _cleanup_free_ char *program = xasprintf("%s/metad", lab->bin);
    _cleanup_free_ char *log = lab_path(lab, "metad.log");
    (void)unlink(log);
    const char *argv[] = {program, "--listen", LAB_GATEWAY ":80", "--manage", LAB_GATEWAY ":9611", NULL};
    if (process_spawn(&lab->metad, argv, log, NULL, NULL, err) != 0) {
        return -1;
    }
    return process_await_line(&lab->metad, log, "metadata on", deadline_in(60000), err);
}

int metadata_fault(const json_t *fault, struct error **err)
{
    return manage(fault == NULL ? "DELETE" : "PUT", "fault", fault, NULL, NULL, err);
}
