/* Stands for hostnic-agent v1.0 (yunify/hostnic-cni, cmd/ipam): a NIC for each vxnet that pods of this machine have
 * addresses of, made and attached through the cloud's API; the socket that the CNI plugin calls. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/core/util.h"
#include "tests/lab/images/hostnic/hostnic.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/http.h"

#define CONF "/etc/hostnic/hostnic.json"

enum { MOST_NICS = 63, TABLE_BASE = 260, SYNC_S = 20 };

static struct {
    pthread_mutex_t lock;
    json_t *nics; /* by vxnet: {Nic, Pods} */
    char *file;   /* where they are kept */
    long most, table_base, sync_s;
    char *node;
} agent = {.lock = PTHREAD_MUTEX_INITIALIZER, .most = MOST_NICS, .table_base = TABLE_BASE, .sync_s = SYNC_S};

static long number_at(const json_t *object, const char *key, long otherwise)
{
    const json_t *value = json_object_get(object, key);
    if (value != NULL && !json_is_integer(value)) {
        fail(CONF ": %s is not a number", key);
    }
    return value == NULL ? otherwise : (long)json_integer_value(value);
}

static void read_conf(void)
{
    static const char *const top[] = {"pool", "server", NULL};
    static const char *const pool[] = {"maxNic", "sync",          "nodeSync",       "routeTableBase", "tag",
                                       "vxNets", "nodeThreshold", "vxnetThreshold", "freePeriod",     NULL};
    static const char *const server[] = {"serverPath", "networkPolicy", NULL};
    _cleanup_free_ char *text = must_read(CONF);
    json_error_t why;
    _cleanup_json_ json_t *conf = json_loads(text, JSON_REJECT_DUPLICATES, &why);
    if (conf == NULL) {
        fail("failed to parsing config file " CONF ":%d: %s", why.line, why.text);
    }
    check_keys(conf, top, CONF);
    check_keys(json_at(conf, "pool"), pool, CONF ": pool");
    check_keys(json_at(conf, "server"), server, CONF ": server");
    agent.most = number_at(json_at(conf, "pool"), "maxNic", agent.most);
    agent.table_base = number_at(json_at(conf, "pool"), "routeTableBase", agent.table_base);
    agent.sync_s = number_at(json_at(conf, "pool"), "sync", agent.sync_s);
    const char *policy = text_at(conf, "server networkPolicy");
    if (agent.most > MOST_NICS || (policy[0] != '\0' && strcmp(policy, "none") != 0)) {
        fail(CONF ": config content invalid: maxNic %ld (at most 63), networkPolicy '%s' (none here)", agent.most,
             policy);
    }
}

static void keep(void)
{
    if (json_dump_file(agent.nics, agent.file, JSON_INDENT(1)) != 0) {
        fail("cannot write %s", agent.file);
    }
}

static bool is_ok(const json_t *status)
{
    return strcmp(text_at(status, "Nic Phase"), "Succeeded") == 0;
}

static void set_phase(json_t *status, const char *phase)
{
    json_object_set_new(json_at(status, "Nic"), "Phase", json_string(phase));
    keep();
}

/* What was attached before is looked at again; what the cloud does not list under this machine's name stays as it was
 * recorded, as in the original. */
static void restore(const char *directory)
{
    _cleanup_free_ char *name = xasprintf(NIC_PREFIX "%s", cloud_instance());
    const char *const parameters[] = {"nic_name", name, "limit", "63", "offset", "0", NULL};
    size_t i;
    json_t *nic;
    agent.file = xasprintf("%s/nics.json", directory);
    agent.nics = json_load_file(agent.file, 0, NULL);
    agent.nics = agent.nics == NULL ? json_object() : agent.nics;
    _cleanup_json_ json_t *answer = cloud_call("DescribeNics", parameters, NULL);
    if (answer == NULL) {
        fail("Failed to get created nics from qingcloud");
    }
    json_array_foreach (json_at(answer, "nic_set"), i, nic) {
        json_t *status = json_object_get(agent.nics, text_at(nic, "vxnet_id"));
        if (json_integer_value(json_at(nic, "role")) == 0 && status != NULL) {
            set_phase(status, "Init");
            note("Restore create nic %s", text_at(nic, "nic_id"));
        }
    }
}

static long free_table(void)
{
    for (long table = agent.table_base;; table++) {
        const char *vxnet;
        json_t *status;
        bool taken = false;
        json_object_foreach (agent.nics, vxnet, status) {
            taken = taken || json_integer_value(json_at(status, "Nic RouteTableNum")) == table;
        }
        if (!taken) {
            return table;
        }
    }
}

static char *create_nic(const char *vxnet, char **why)
{
    _cleanup_free_ char *name = xasprintf(NIC_PREFIX "%s", cloud_instance());
    const char *const create[] = {"count", "1", "vxnet", vxnet, "nic_name", name, "disable_ip", "1", NULL};
    _cleanup_json_ json_t *created = cloud_call("CreateNics", create, why);
    const char *id = text_at(json_array_get(json_at(created, "nics"), 0), "nic_id");
    const char *const attach[] = {"nics.1", id, "instance", cloud_instance(), NULL};
    const char *const drop[] = {"nics.1", id, NULL};
    if (created == NULL) {
        return NULL;
    }
    _cleanup_json_ json_t *attached = cloud_call("AttachNics", attach, why);
    if (attached == NULL) {
        json_decref(cloud_call("DeleteNics", drop, NULL));
        return NULL;
    }
    return xstrdup(id);
}

/* Called with the lock, as in the original: pods wait for one another's NIC. */
static json_t *new_nic(const char *vxnet, char **why)
{
    if ((long)json_object_size(agent.nics) >= agent.most) {
        *why = xstrdup("no free nic");
        return NULL;
    }
    _cleanup_json_ json_t *net = cloud_vxnet(vxnet, why);
    _cleanup_free_ char *id = net == NULL ? NULL : create_nic(vxnet, why);
    if (id == NULL) {
        return NULL;
    }
    note("create and attach nic %s/%s", vxnet, id);
    for (;;) {
        _cleanup_free_ char *link = link_by_mac(id, false);
        if (link != NULL) {
            break;
        }
        (void)sleep(1);
    }
    json_t *status = json_pack("{s{sO ss ss sb sI ss} s{}}", "Nic", "VxNet", net, "ID", id, "HardwareAddr", id,
                               "Reserved", 1, "RouteTableNum", (json_int_t)free_table(), "Phase", "Init", "Pods");
    json_object_set_new(agent.nics, vxnet, status);
    keep();
    return status;
}

static json_t *nic_for(const char *vxnet, char **why)
{
    json_t *status = json_object_get(agent.nics, vxnet);
    status = status == NULL ? new_nic(vxnet, why) : status;
    if (status == NULL || is_ok(status)) {
        return status;
    }
    if (!nic_setup(json_at(status, "Nic"), why)) {
        return NULL;
    }
    set_phase(status, "Succeeded");
    return status;
}

static char *handle_of(const json_t *pod)
{
    return xasprintf("%s-%s-%s", text_at(pod, "Namespace"), text_at(pod, "Name"), text_at(pod, "Containter"));
}

static json_t *add_network(const json_t *pod)
{
    _cleanup_free_ char *handle = handle_of(pod);
    _cleanup_free_ char *address = NULL;
    _cleanup_free_ char *vxnet = NULL;
    _cleanup_free_ char *why = NULL;
    if (!ipam_assign(text_at(pod, "Namespace"), handle, &address, &vxnet, &why)) {
        note("AddNetwork request %s failed: %s", handle, why);
        return json_pack("{ss}", "error", why);
    }
    json_t *status = nic_for(vxnet, &why);
    if (status == NULL) {
        note("AddNetwork reply (%s): from (%s) get (%s) %s", handle, vxnet, address, why);
        return json_pack("{ss}", "error", why);
    }
    json_object_set_new(json_at(status, "Pods"), text_at(pod, "Containter"),
                        json_pack("{ss ss ss}", "Name", text_at(pod, "Name"), "Namespace", text_at(pod, "Namespace"),
                                  "PodIP", address));
    keep();
    note("AddNetwork reply (%s): from (%s) get (%s) nic (%s)", handle, vxnet, address, text_at(status, "Nic ID"));
    return json_pack("{ss sO}", "IP", address, "Nic", json_at(status, "Nic"));
}

static json_t *del_network(const json_t *pod)
{
    _cleanup_free_ char *handle = handle_of(pod);
    const char *container = text_at(pod, "Containter");
    const char *vxnet;
    json_t *status;
    ipam_release(handle);
    json_object_foreach (agent.nics, vxnet, status) {
        const json_t *known = json_object_get(json_at(status, "Pods"), container);
        if (known != NULL) {
            json_t *reply = json_pack("{ss sO}", "IP", text_at(known, "PodIP"), "Nic", json_at(status, "Nic"));
            json_object_del(json_at(status, "Pods"), container);
            keep();
            return reply;
        }
    }
    return json_object();
}

static void *serve_one(void *data)
{
    int fd = *(int *)data;
    free(data);
    char text[4096];
    ssize_t n = read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    _cleanup_json_ json_t *pod = json_loads(text, 0, NULL);
    pthread_mutex_lock(&agent.lock);
    _cleanup_json_ json_t *reply = strcmp(text_at(pod, "verb"), "ADD") == 0 ? add_network(pod) : del_network(pod);
    pthread_mutex_unlock(&agent.lock);
    _cleanup_free_ char *out = json_dumps(reply, JSON_COMPACT);
    if (write(fd, out, strlen(out)) < 0) {
        note("the plugin does not read its reply: %s", strerror(errno));
    }
    close(fd);
    return NULL;
}

static _Noreturn void serve(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SOCKET};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)unlink(SOCKET);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 64) != 0) {
        fail("Failed to listen to " SOCKET ": %s", strerror(errno));
    }
    note("server grpc server started");
    for (;;) {
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        int *given = xcalloc(1, sizeof *given);
        pthread_t thread;
        *given = client;
        if (client >= 0 && pthread_create(&thread, NULL, serve_one, given) == 0) {
            (void)pthread_detach(thread);
        } else {
            free(given);
        }
    }
}

static void *sync_nics(void *data)
{
    for (;;) {
        const char *vxnet;
        json_t *status;
        _cleanup_free_ char *why = NULL;
        (void)sleep((unsigned)agent.sync_s);
        pthread_mutex_lock(&agent.lock);
        json_object_foreach (agent.nics, vxnet, status) {
            if (!is_ok(status) && nic_setup(json_at(status, "Nic"), &why)) {
                set_phase(status, "Succeeded");
            }
        }
        pthread_mutex_unlock(&agent.lock);
    }
    return data;
}

static void answer_metrics(const struct http_request *request, struct http_reply *reply, void *data)
{
    (void)data;
    _cleanup_json_ json_t *pools = cluster_list(GROUP "/ippools");
    size_t i;
    json_t *pool;
    reply->type = "text/plain; version=0.0.4";
    if (strcmp(request->path, "/metrics") != 0) {
        reply->status = 404;
        return;
    }
    json_array_foreach (pools, i, pool) {
        _cleanup_json_ json_t *usage = ipam_usage(pool);
        const char *name = text_at(pool, "metadata name");
        buffer_printf(&reply->body, "hostnic_ipam_vxnet_allocator{node_name=\"%s\",vxnet_name=\"%s\"} %lld\n",
                      agent.node, name, (long long)json_integer_value(json_at(usage, "allocations")));
        buffer_printf(&reply->body, "hostnic_ipam_vxnet_unallocator{node_name=\"%s\",vxnet_name=\"%s\"} %lld\n",
                      agent.node, name, (long long)json_integer_value(json_at(usage, "unallocated")));
    }
}

int agent_main(char **argv)
{
    struct flag flags[] = {KLOG_FLAGS,
                           {"metrics-port", FLAG_NUMBER, false, "9191"},
                           {"dbpath", FLAG_FILE, false, "/var/lib/hostnic"},
                           {NULL, FLAG_TEXT, false, NULL}};
    pthread_t thread;
    flags_parse(flags, argv);
    end_on_signals();
    note_open(flag_text(flags, "log_file"));
    read_conf();
    cloud_setup();
    cluster_open();
    agent.node = xstrdup(must_env("MY_NODE_NAME"));
    (void)must_env("WATCH_NAMESPACE");
    restore(flag_text(flags, "dbpath"));
    note("all setup done, startup daemon");
    if (pthread_create(&thread, NULL, sync_nics, NULL) != 0) {
        fail("making a thread failed");
    }
    http_serve((int)flag_number(flags, "metrics-port"), NULL, answer_metrics, NULL);
    serve();
}
