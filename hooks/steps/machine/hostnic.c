#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app/cloud/cloud.h"
#include "app/paths.h"
#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"

/* The health check reads this instead of asking the API, whose quota is the user's. */
#define STATE "cloud.json"

/* A vxnet is a /24 of which the router and the DHCP server have their share. */
enum { VXNET_ADDRESSES = 252, ASK_S = 60 };

/* hostnic runs on every host with a kubelet, the master's and the log nodes' too. */
static int addresses_needed(const struct facts *facts)
{
    int nodes = 0;
    for (size_t i = 0; i < facts->n_hosts; i++) {
        nodes += facts->hosts[i].is->node && !facts->hosts[i].deleting;
    }
    return nodes * facts->parameters.max_pods;
}

static bool addresses_suffice(const struct facts *facts)
{
    _cleanup_strv_ char **vxnets = facts_vxnets(facts);
    return (int)strv_length(vxnets) * VXNET_ADDRESSES >= addresses_needed(facts);
}

/* What is asked about. The machine is not part of it: a cluster that starts on new ones needs no new answer. */
static char *inputs_of(const struct run *run)
{
    const struct facts *facts = run->facts;
    const struct cloud_account account = cloud_account_of(facts);
    _cleanup_strv_ char **vxnets = facts_vxnets(facts);
    _cleanup_buffer_ struct buffer text = {0};
    buffer_printf(&text, "%s %s:%d %s %s %s", account.protocol, account.host, account.port, account.zone,
                  account.access_key_id, account.secret_access_key);
    if (run->role->control_plane) {
        buffer_printf(&text, " %s", facts->cluster.vxnet);
        for (char **v = vxnets; *v != NULL; v++) {
            buffer_printf(&text, " %s", *v);
        }
    }
    char *hash = sha256_hex(text.data, text.len);
    explicit_bzero(text.data, text.len);
    return hash;
}

static json_t *load_state(const struct run *run)
{
    _cleanup_free_ char *path = run_state_path(run, STATE);
    json_t *state = NULL;
    return file_read_json(path, &state, NULL) < 0 ? NULL : state;
}

static int save_state(const struct run *run, int status, const char *message, struct error **err)
{
    _cleanup_free_ char *path = run_state_path(run, STATE);
    _cleanup_free_ char *inputs = inputs_of(run);
    _cleanup_json_ json_t *state = json_pack("{s:i, s:s, s:I, s:s}", "status", (int)status, "message", message, "time",
                                             (json_int_t)time(NULL), "inputs", inputs);
    _cleanup_free_ char *text = json_dumps(state, JSON_INDENT(2));
    return file_put_private(path, text, err);
}

static int cloud_done(struct run *run, struct error **err)
{
    (void)err;
    if (run->facts->network != NETWORK_HOSTNIC || !run->role->kubelet) {
        return 1;
    }
    _cleanup_json_ json_t *state = load_state(run);
    _cleanup_free_ char *inputs = inputs_of(run);
    const char *asked = json_string_value(json_object_get(state, "inputs"));
    const json_t *status = json_object_get(state, "status");
    return json_is_integer(status) && json_integer_value(status) == STATUS_OK && asked != NULL &&
           strcmp(asked, inputs) == 0 && (!run->role->control_plane || addresses_suffice(run->facts));
}

static const json_t *find_vxnet(const json_t *list, const char *id)
{
    size_t i = 0;
    json_t *entry;
    json_array_foreach (list, i, entry) {
        if (strcmp(json_text_or(entry, "vxnet_id", ""), id) == 0) {
            return entry;
        }
    }
    return NULL;
}

static int check_present(const json_t *list, char *const *vxnets, struct error **err)
{
    _cleanup_buffer_ struct buffer absent = {0};
    for (; *vxnets != NULL; vxnets++) {
        if (find_vxnet(list, *vxnets) == NULL) {
            buffer_printf(&absent, " %s", *vxnets);
        }
    }
    return absent.len == 0
               ? 0
               : error_new(err, STATUS_VXNET_ABSENT, "the cloud has no vxnet%s: correct pod_vxnets", absent.data);
}

static int check_vpc(const json_t *list, const char *cluster_vxnet, char *const *vxnets, struct error **err)
{
    const char *vpc = json_text_or(find_vxnet(list, cluster_vxnet), "vpc_router_id", "");
    if (*vpc == '\0') {
        return error_new(err, STATUS_VXNET_VPC, "the cluster's vxnet %s is in no VPC: join it to one", cluster_vxnet);
    }
    _cleanup_buffer_ struct buffer outside = {0};
    for (; *vxnets != NULL; vxnets++) {
        const char *own = json_text_or(find_vxnet(list, *vxnets), "vpc_router_id", "");
        if (strcmp(own, vpc) != 0) {
            buffer_printf(&outside, " %s (%s)", *vxnets, *own == '\0' ? "in no VPC" : own);
        }
    }
    return outside.len == 0
               ? 0
               : error_new(err, STATUS_VXNET_VPC, "the cluster's vxnet %s is in the VPC %s, these are not:%s",
                           cluster_vxnet, vpc, outside.data);
}

static int check_addresses(const struct facts *facts, char *const *vxnets, struct error **err)
{
    int need = addresses_needed(facts);
    int have = (int)strv_length(vxnets) * VXNET_ADDRESSES;
    if (addresses_suffice(facts)) {
        return 0;
    }
    return error_new(err, STATUS_VXNET_ADDRESSES,
                     "%d nodes with %d pods each need %d addresses, %zu vxnets have %d: add a vxnet to pod_vxnets",
                     need / facts->parameters.max_pods, facts->parameters.max_pods, need, strv_length(vxnets), have);
}

static int check_vxnets(struct run *run, struct cloud *cloud, struct error **err)
{
    const struct facts *facts = run->facts;
    _cleanup_strv_ char **vxnets = facts_vxnets(facts);
    _cleanup_strv_ char **all = facts_vxnets(facts);
    _cleanup_json_ json_t *list = NULL;
    if (!strv_contains(all, facts->cluster.vxnet)) {
        strv_push(&all, facts->cluster.vxnet);
    }
    return cloud_describe(cloud, "DescribeVxnets", "vxnet_set", "vxnets", all, run_deadline(run, ASK_S), &list, err) <
                       0 ||
                   check_present(list, vxnets, err) < 0 || check_vpc(list, facts->cluster.vxnet, vxnets, err) < 0 ||
                   check_addresses(facts, vxnets, err) < 0
               ? -1
               : 0;
}

/* hostnic asks the API from every host, so every host must reach it with this key. */
static int check_key(struct run *run, struct cloud *cloud, struct error **err)
{
    char *self[] = {run->facts->self->instance_id, NULL};
    _cleanup_json_ json_t *list = NULL;
    if (cloud_describe(cloud, "DescribeInstances", "instance_set", "instances", self, run_deadline(run, ASK_S), &list,
                       err) < 0) {
        return -1;
    }
    if (json_array_size(list) == 0) {
        log_warning("the API key does not see this host, %s: is it a key of the cluster's owner?", self[0]);
    }
    return 0;
}

static int ask(struct run *run, struct error **err)
{
    const struct cloud_account account = cloud_account_of(run->facts);
    _cleanup_(cloud_freep) struct cloud *cloud = NULL;
    if (cloud_open(&cloud, &account, err) < 0 || check_key(run, cloud, err) < 0) {
        return -1;
    }
    return run->role->control_plane ? check_vxnets(run, cloud, err) : 0;
}

static int cloud_apply(struct run *run, struct error **err)
{
    _cleanup_error_ struct error *refusal = NULL;
    if (run->facts->network != NETWORK_HOSTNIC) {
        return 0;
    }
    if (ask(run, &refusal) == 0) {
        return save_state(run, STATUS_OK, "", err);
    }
    if (refusal->status != STATUS_INTERRUPTED && save_state(run, refusal->status, refusal->message, NULL) < 0) {
        log_warning("the health check will not know of it: %s cannot be written", STATE);
    }
    return error_move(err, &refusal);
}

const struct step step_check_hostnic = {"check cloud API and pod vxnets", cloud_done, cloud_apply, NULL};

#define PLUGINS "/opt/cni/bin"
#define PLUGIN PLUGINS "/hostnic"

static bool executable(const struct run *run, const char *path)
{
    _cleanup_free_ char *full = run_path(run, path);
    return access(full, X_OK) == 0;
}

static bool is_link_to(const struct run *run, const char *path, const char *wanted)
{
    char target[256];
    _cleanup_free_ char *full = run_path(run, path);
    ssize_t n = readlink(full, target, sizeof target);
    return n > 0 && (size_t)n == strlen(wanted) && memcmp(target, wanted, (size_t)n) == 0;
}

static int host_done(struct run *run, struct error **err)
{
    (void)err;
    return run->facts->network != NETWORK_HOSTNIC || (executable(run, PLUGIN) && executable(run, PLUGINS "/loopback") &&
                                                      is_link_to(run, "/var/lib/hostnic", DATA_HOSTNIC));
}

/* Out of the release's own image, so that the plugin is always of the version that runs beside it. */
static int take_plugin(struct run *run, const char *image, struct error **err)
{
    _cleanup_proc_ struct proc_result created = {0};
    struct deadline deadline = run_deadline(run, 300);
    const char *create[] = {"docker", "create", "--network=none", image, NULL};
    const struct proc proc = {.argv = create, .keep_output = true, .deadline = deadline};
    if (proc_run(&proc, &created, err) < 0) {
        return error_wrap(err, "taking the CNI plugin out of %s", image);
    }
    char *id = created.output;
    id[strcspn(id, "\r\n")] = '\0';
    _cleanup_free_ char *source = xasprintf("%s:/app/hostnic", id);
    _cleanup_free_ char *beside = run_path(run, PLUGINS "/.hostnic");
    _cleanup_free_ char *plugin = run_path(run, PLUGIN);
    int r = proc_exec(deadline, err, "docker", "cp", source, beside, NULL);
    if (r == 0 && (chmod(beside, 0755) < 0 || rename(beside, plugin) < 0)) {
        r = error_errno(err, STATUS_FILE, errno, "putting %s in its place", plugin);
    }
    (void)proc_exec(run_deadline(run, 60), NULL, "docker", "rm", id, NULL);
    return r;
}

static int host_apply(struct run *run, struct error **err)
{
    const char *image = json_string_value(json_object_get(json_object_get(run->facts->versions, "images"), "hostnic"));
    _cleanup_free_ char *plugins = run_path(run, PLUGINS);
    _cleanup_free_ char *loopback = run_path(run, PLUGINS "/loopback");
    _cleanup_free_ char *kept = run_path(run, DATA_HOSTNIC);
    _cleanup_free_ char *link = run_path(run, "/var/lib/hostnic");
    if (run->facts->network != NETWORK_HOSTNIC) {
        return 0;
    }
    if (dir_make(plugins, 0755, err) < 0 || dir_make(kept, 0700, err) < 0 ||
        link_make(DATA_HOSTNIC, link, NULL, err) < 0) {
        return -1;
    }
    if (!executable(run, PLUGINS "/loopback") && link_make("/usr/lib/cni/loopback", loopback, NULL, err) < 0) {
        return -1;
    }
    if (executable(run, PLUGIN)) {
        return 0;
    }
    if (image == NULL) {
        return error_new(err, STATUS_FILE, "versions.json names no image \"hostnic\": bake the machine image with it");
    }
    return take_plugin(run, image, err);
}

const struct step step_install_hostnic = {"install hostnic", host_done, host_apply, NULL};
