#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/clients/elasticsearch.h"
#include "hooks/clients/pods.h"
#include "hooks/engine/run.h"
#include "hooks/steps/cluster/leaving.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "lib/system/tree.h"

/* A cluster that is deleted as a whole is meant to lose its data; a node that leaves a cluster is not. */
static bool guarded(const struct run *run)
{
    return run->facts->self->deleting && !run->force;
}

/* Where nothing runs any more there is nothing to lose: AppCenter's order for this role (post_stop_service) is
 * scale-in, which drains and refuses, then stop, then destroy. */
static int check_drained_apply(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *pods = NULL;
    _cleanup_error_ struct error *failure = NULL;
    int active = !guarded(run) ? 0 : run_units(run, err) < 0 ? -1 : unit_active(run->units, "kubelet.service", err);
    if (active <= 0) {
        return active;
    }
    if (pods_on_node(run, run->facts->self->node_name, run_deadline(run, 20), &pods, &failure) < 0) {
        return error_new(err, STATUS_DESTROY_PODS, "cannot determine whether pods still run here: %s",
                         failure->message);
    }
    _cleanup_free_ char *left = pods_that_move(pods);
    return left == NULL ? 0 : error_new(err, STATUS_DESTROY_PODS, "not drained: %s", left);
}

const struct step step_check_drained = {"check that pods are drained", NULL, check_drained_apply, NULL};

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
    return count <= 2 ? 0
                      : error_new(err, STATUS_DESTROY_DATA,
                                  "%s is not empty, and no other log node can take what is there", path);
}

/* With others left, scale-in on the master moves the data there, and goes no further where it cannot. */
static int check_log_data_apply(struct run *run, struct error **err)
{
    const struct facts *facts = run->facts;
    char *const self[] = {facts->self->node_name, NULL};
    _cleanup_json_ json_t *node = NULL;
    if (!guarded(run) || (leaving_node(run, facts->self->node_name, &node, NULL) == 0 && node_discarded(node))) {
        return 0;
    }
    return facts->n_logs == 0 || !elasticsearch_expected(run) ? check_empty(run, err) : logs_check(run, self, err);
}

const struct step step_check_log_data = {"check copies of log data", NULL, check_log_data_apply, NULL};

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

static bool read_only(const char *path)
{
    return access(path, W_OK) < 0 && errno == EROFS;
}

/* What made this machine a member: with it gone, a machine that gets this /data again joins again. A disk that takes no
 * more writes is no reason to keep the machine. */
static int membership_removed_apply(struct run *run, struct error **err)
{
    static const char *const paths[] = {DATA_KUBERNETES "/pki", DATA_KUBERNETES "/manifests",
                                        "/data/var/lib/kubelet/pki", DATA_ETCD "/member"};
    static const char *const files[] = {DATA_KUBERNETES "/kubelet.conf", DATA_KUBERNETES "/bootstrap-kubelet.conf",
                                        DATA_KUBERNETES "/admin.conf"};
    _cleanup_free_ char *stamps = run_state_path(run, "stamps");
    if (read_only(DATA_KUBERNETES)) {
        log_warning("/data is read-only, so keys and kubeconfigs of this node stay there: give it to no other machine");
        return 0;
    }
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
