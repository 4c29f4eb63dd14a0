#include <dirent.h>
#include <string.h>

#include "app/paths.h"
#include "hooks/clients/elasticsearch.h"
#include "hooks/clients/pods.h"
#include "hooks/engine/run.h"
#include "hooks/engine/stamp.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"
#include "lib/net/http.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "lib/system/tree.h"

/* A cluster that is deleted as a whole is meant to lose its data; a node that leaves a cluster is not. */
static bool guarded(const struct run *run)
{
    return run->facts->self->deleting && !run->force;
}

static int pods_drained_apply(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *pods = NULL;
    _cleanup_error_ struct error *failure = NULL;
    if (!guarded(run)) {
        return 0;
    }
    if (pods_on_node(run, run->facts->self->node_name, run_deadline(run, 20), &pods, &failure) < 0) {
        return error_new(err, STATUS_DESTROY_PODS, "cannot tell whether pods still run here: %s", failure->message);
    }
    _cleanup_buffer_ struct buffer left = {0};
    size_t i;
    json_t *pod;
    json_array_foreach (pods, i, pod) {
        if (pod_moves(pod)) {
            buffer_printf(&left, " %s/%s", pod_namespace(pod), pod_name(pod));
        }
    }
    return left.len == 0 ? 0 : error_new(err, STATUS_DESTROY_PODS, "not drained:%s", left.data);
}

const struct step step_check_drained = {"check that pods are drained", NULL, pods_drained_apply, NULL};

static int query(const struct run *run, const char *path, json_t **answer, struct error **err)
{
    _cleanup_error_ struct error *why = NULL;
    return elasticsearch_get(run->facts, path, run_deadline(run, 10), answer, &why) == 0
               ? 0
               : error_new(err, STATUS_DESTROY_DATA, "cannot tell whether other copies are there: %s", why->message);
}

/* Green means that every shard has all its copies; then what is here is a last copy only where an index keeps no
 * replica. */
static int check_copies(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *health = NULL;
    _cleanup_json_ json_t *indices = NULL;
    if (query(run, "/_cluster/health", &health, err) < 0 ||
        query(run, "/_cat/indices?format=json&h=index,rep,docs.count", &indices, err) < 0) {
        return -1;
    }
    const char *status = json_string_value(json_object_get(health, "status"));
    if (status == NULL || strcmp(status, "green") != 0) {
        return error_new(err, STATUS_DESTROY_DATA, "Elasticsearch is %s, not green: not every shard has its copies",
                         status != NULL ? status : "in an unknown state");
    }
    size_t i;
    json_t *index;
    json_array_foreach (indices, i, index) {
        const char *replicas = json_string_value(json_object_get(index, "rep"));
        const char *documents = json_string_value(json_object_get(index, "docs.count"));
        if (replicas != NULL && strcmp(replicas, "0") == 0 && documents != NULL && strcmp(documents, "0") != 0) {
            return error_new(err, STATUS_DESTROY_DATA, "index %s keeps no replica of its %s documents",
                             json_string_value(json_object_get(index, "index")), documents);
        }
    }
    return 0;
}

/* With the last log node there is nowhere else for them to be. */
static int check_empty(const struct run *run, struct error **err)
{
    _cleanup_free_ char *path = run_path(run, DATA_ELASTICSEARCH);
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, NULL);
    for (int i = 0; i < count; i++) {
        free(entries[i]);
    }
    free((void *)entries);
    return count <= 2 ? 0 : error_new(err, STATUS_DESTROY_DATA, "this is the last log node and %s is not empty", path);
}

static int log_data_safe_apply(struct run *run, struct error **err)
{
    if (!guarded(run)) {
        return 0;
    }
    return run->facts->n_logs == 0 ? check_empty(run, err) : check_copies(run, err);
}

const struct step step_check_log_data = {"check copies of log data", NULL, log_data_safe_apply, NULL};

/* Elsewhere the node object is removed by the master's scale-in, since a node may not delete itself. A linked etcd is
 * shared with others, so this cluster's keys go with the cluster. */
static int linked_etcd_clean_apply(struct run *run, struct error **err)
{
    const struct facts *facts = run->facts;
    if (!facts->etcd_linked || facts->self->deleting) {
        return 0;
    }
    _cleanup_buffer_ struct buffer endpoints = {0};
    for (char **endpoint = facts->etcd_endpoints; *endpoint != NULL; endpoint++) {
        buffer_printf(&endpoints, "%s%s", endpoints.len == 0 ? "" : ",", *endpoint);
    }
    /* With the slash, or the keys of a cluster whose id only starts with this one's would go too. */
    _cleanup_free_ char *prefix = xasprintf("%s/", facts->etcd_prefix);
    const char *const argv[] = {"etcdctl", "--endpoints", endpoints.data, "del", "--prefix", prefix, NULL};
    const char *const environment[] = {"ETCDCTL_API=3", NULL};
    const struct proc proc = {.argv = argv, .environment = environment, .deadline = run_deadline(run, 60)};
    return proc_run(&proc, NULL, err);
}

const struct step step_clean_linked_etcd = {"clean linked etcd", NULL, linked_etcd_clean_apply, NULL};

/* What made this machine a member: with it gone, a machine that gets this /data again joins anew. */
static int membership_removed_apply(struct run *run, struct error **err)
{
    static const char *const paths[] = {DATA_KUBERNETES "/pki", DATA_KUBERNETES "/manifests",
                                        "/data/var/lib/kubelet/pki", DATA_ETCD "/member"};
    static const char *const files[] = {DATA_KUBERNETES "/kubelet.conf", DATA_KUBERNETES "/bootstrap-kubelet.conf",
                                        DATA_KUBERNETES "/admin.conf"};
    _cleanup_free_ char *stamps = run_state_path(run, "stamps");
    for (size_t i = 0; i < ELEMENTS(files); i++) {
        if (file_remove(files[i], NULL, err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < ELEMENTS(paths); i++) {
        if (tree_remove(paths[i], err) < 0) {
            return -1;
        }
    }
    return tree_remove(stamps, err);
}

const struct step step_leave_cluster = {"leave the cluster", NULL, membership_removed_apply, NULL};
