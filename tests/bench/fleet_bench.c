/* What a fleet takes, by its size: the metadata server answers every agent's long poll when 100 nodes are added, and
 * the API server takes their node objects and everybody's heartbeats. `fleet_bench [HOSTS...]` prints a table; agents
 * are connections of one child process, kubelets are threads. Times are printed, never judged. */
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <http_parser.h>

#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "tests/lab/shared/apiserver.h"
#include "tests/lab/shared/cluster.h"
#include "tests/lab/shared/metad.h"

enum { ADDED = 100, KUBELETS = 20 };

#define CLUSTER "cl-fleet"

static double cpu_ms(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

/* The processor time of PID so far, and what it has in memory (both may be NULL). */
static void process_takes(pid_t pid, double *ms, double *mib)
{
    char path[64];
    char text[1024] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    const char *rest = f != NULL && fgets(text, sizeof text, f) != NULL ? strrchr(text, ')') : NULL;
    _cleanup_strv_ char **fields = strv_split(rest == NULL ? "" : rest);
    /* proc(5): field 2 ends with the bracket; 14 and 15 are the times, 24 the pages */
    bool whole = strv_length(fields) > 22;
    if (ms != NULL) {
        *ms = whole ? (strtod(fields[12], NULL) + strtod(fields[13], NULL)) * 1e3 / (double)sysconf(_SC_CLK_TCK) : 0;
    }
    if (mib != NULL) {
        *mib = whole ? strtod(fields[22], NULL) * (double)sysconf(_SC_PAGESIZE) / (1 << 20) : 0;
    }
}

/* An agent: one connection that polls, reads the answer and polls again. */
struct agent {
    int fd;
    http_parser parser;
    char version[24];
    bool names_version; /* the header that is being read is X-Metad-Version */
    size_t answers;
    struct agents *all;
};

struct agents {
    struct agent *of;
    size_t n, answered; /* in this round */
    uint64_t bytes;
    int report; /* a byte when all have an answer */
};

static int on_field(http_parser *parser, const char *text, size_t len)
{
    struct agent *agent = parser->data;
    agent->names_version = len == strlen("X-Metad-Version") && strncasecmp(text, "X-Metad-Version", len) == 0;
    return 0;
}

static int on_value(http_parser *parser, const char *text, size_t len)
{
    struct agent *agent = parser->data;
    if (agent->names_version && len < sizeof agent->version) {
        memcpy(agent->version, text, len);
        agent->version[len] = '\0';
    }
    return 0;
}

static int poll_again(struct agent *agent)
{
    char request[256];
    int len = agent->version[0] == '\0'
                  ? snprintf(request, sizeof request,
                             "GET /self HTTP/1.1\r\nHost: metadata\r\nAccept: "
                             "application/json\r\n\r\n")
                  : snprintf(request, sizeof request,
                             "GET /self?wait=true&prev_version=%s HTTP/1.1\r\nHost: metadata\r\nAccept: "
                             "application/json\r\n\r\n",
                             agent->version);
    return send(agent->fd, request, (size_t)len, MSG_NOSIGNAL) == len ? 0 : -1;
}

static int on_complete(http_parser *parser)
{
    struct agent *agent = parser->data;
    struct agents *all = agent->all;
    if (++all->answered == all->n) {
        all->answered = 0;
        (void)!write(all->report, &all->bytes, sizeof all->bytes);
        all->bytes = 0;
    }
    agent->answers++;
    return poll_again(agent);
}

static bool start_agent(struct agent *agent, struct agents *all, uint16_t port, int loop)
{
    struct sockaddr_in where = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = agent};
    *agent = (struct agent){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .all = all};
    http_parser_init(&agent->parser, HTTP_RESPONSE);
    agent->parser.data = agent;
    return agent->fd >= 0 && connect(agent->fd, (const struct sockaddr *)&where, sizeof where) == 0 &&
           epoll_ctl(loop, EPOLL_CTL_ADD, agent->fd, &event) == 0 && poll_again(agent) == 0;
}

/* The child process: COUNT agents until it is killed. */
static void __attribute__((noreturn)) run_agents(size_t count, uint16_t port, int report)
{
    static const http_parser_settings settings = {
        .on_header_field = on_field, .on_header_value = on_value, .on_message_complete = on_complete};
    static char data[1 << 18];
    struct agents all = {.of = xcalloc(count, sizeof *all.of), .n = count, .report = report};
    int loop = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < count; i++) {
        if (!start_agent(&all.of[i], &all, port, loop)) {
            _exit(1);
        }
    }
    for (;;) {
        struct epoll_event events[64];
        int ready = epoll_wait(loop, events, (int)ELEMENTS(events), -1);
        for (int i = 0; i < ready; i++) {
            struct agent *agent = events[i].data.ptr;
            ssize_t len = recv(agent->fd, data, sizeof data, 0);
            if (len <= 0 || http_parser_execute(&agent->parser, &settings, data, (size_t)len) != (size_t)len) {
                _exit(1);
            }
            all.bytes += (uint64_t)len;
        }
    }
}

/* Waits until every agent has its answer. */
static bool all_answered(int report, uint64_t *bytes)
{
    return read(report, bytes, sizeof *bytes) == (ssize_t)sizeof *bytes;
}

static json_t *added_hosts(const json_t *cluster, const char *role, int from, int to)
{
    json_t *hosts = json_object();
    const char *name = NULL;
    json_t *host = NULL;
    json_object_foreach (json_object_get(json_object_get((json_t *)cluster, "hosts"), role), name, host) {
        long sid = 0;
        if (str_number(json_text_or(host, "sid", ""), from, to, &sid)) {
            json_object_set(hosts, name, host);
        }
    }
    return json_pack("{s{so}}", "adding-hosts", role, hosts);
}

static int publish(struct metad *metad, const json_t *cluster, struct error **err)
{
    const char *name = NULL;
    json_t *host = NULL;
    json_object_foreach (json_object_get(json_object_get((json_t *)cluster, "hosts"), "node"), name, host) {
        if (strcmp(json_text_or(host, "sid", ""), "1") == 0) {
            break;
        }
    }
    _cleanup_json_ json_t *mapping = metad_vm_mapping(CLUSTER, "node", name == NULL ? "" : name);
    if (!metad_set(metad, "/clusters/" CLUSTER, cluster)) {
        return error_new(err, STATUS_FAILED, "publishing the cluster");
    }
    metad_map(metad, "127.0.0.1", mapping);
    return 0;
}

/* One change with which ADDED of HOSTS nodes appear: until the last agent has the new tree. */
static int measure_metadata(int hosts, struct error **err)
{
    _cleanup_metad_ struct metad *metad = NULL;
    _cleanup_json_ json_t *cluster = cluster_load("three-logs", err);
    int report[2];
    uint64_t bytes = 0;
    if (cluster == NULL || pipe(report) < 0 || metad_start(&metad, "127.0.0.1", 0, NULL, 0, err) < 0) {
        return -1;
    }
    cluster_generate(cluster, "node", hosts);
    if (publish(metad, cluster, err) < 0) {
        return -1;
    }
    pid_t agents = fork();
    if (agents == 0) {
        run_agents((size_t)hosts, metad_port(metad), report[1]);
    }
    close(report[1]);
    bool answered = all_answered(report[0], &bytes);
    _cleanup_json_ json_t *added = added_hosts(cluster, "node", hosts - ADDED + 1, hosts);
    int64_t began = clock_ms();
    double cpu = cpu_ms();
    double agents_cpu = 0;
    double agents_then = 0;
    double memory = 0;
    process_takes(agents, &agents_cpu, NULL);
    answered = answered && metad_merge(metad, "/clusters/" CLUSTER, added) && all_answered(report[0], &bytes);
    process_takes(agents, &agents_then, NULL);
    process_takes(getpid(), NULL, &memory);
    printf("%8d %10zu %10.2f %10.2f %10.1f %12.1f %10.2f", hosts, (size_t)(bytes / (uint64_t)hosts) / 1024,
           (double)(clock_ms() - began) / 1e3, (cpu_ms() - cpu) / 1e3, (double)bytes / (1 << 20), memory,
           (agents_then - agents_cpu) / 1e3);
    (void)fflush(stdout);
    (void)kill(agents, SIGKILL);
    (void)waitpid(agents, NULL, 0);
    close(report[0]);
    return answered ? 0 : error_new(err, STATUS_FAILED, "the agents ended");
}

/* What one thread of kubelets does. */
struct kubelets {
    const struct apiserver *server;
    int from, to;
    bool register_first;
    struct error *err;
    pthread_t thread;
};

static int register_node(struct kube *kube, int number, struct error **err)
{
    _cleanup_free_ char *name = xasprintf("node-%d", number);
    _cleanup_json_ json_t *node =
        json_pack("{ss ss s{ss s{ss}} s{s[{ss ss ss ss}] s[{ss ss}]}}", "apiVersion", "v1", "kind", "Node", "metadata",
                  "name", name, "labels", "kubernetes.io/hostname", name, "status", "conditions", "type", "Ready",
                  "status", "True", "reason", "KubeletReady", "message", "kubelet is posting ready status", "addresses",
                  "type", "Hostname", "address", name);
    _cleanup_json_ json_t *lease = json_pack("{ss ss s{ss ss} s{ss si}}", "apiVersion", "coordination.k8s.io/v1",
                                             "kind", "Lease", "metadata", "name", name, "namespace", "kube-node-lease",
                                             "spec", "holderIdentity", name, "leaseDurationSeconds", 40);
    return kube_post(kube, "/api/v1/nodes", node, deadline_in(60000), NULL, err) < 0
               ? -1
               : kube_post(kube, "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", lease,
                           deadline_in(60000), NULL, err);
}

static int heartbeat(struct kube *kube, int number, struct error **err)
{
    _cleanup_free_ char *path =
        xasprintf("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-%d", number);
    _cleanup_free_ char *now = xasprintf("2026-11-25T20:%02d:%02d.000000Z", number / 60 % 60, number % 60);
    _cleanup_json_ json_t *patch = json_pack("{s{ss}}", "spec", "renewTime", now);
    return kube_merge_patch(kube, path, patch, deadline_in(60000), err);
}

static void *run_kubelets(void *data)
{
    struct kubelets *kubelets = data;
    struct kube *kube __attribute__((cleanup(kube_freep))) = NULL;
    int r = apiserver_kube(kubelets->server, &kube, &kubelets->err);
    for (int i = kubelets->from; r == 0 && i < kubelets->to; i++) {
        r = kubelets->register_first ? register_node(kube, i, &kubelets->err) : heartbeat(kube, i, &kubelets->err);
    }
    return NULL;
}

/* Nodes FROM to TO, in KUBELETS threads; the seconds it took, negative on failure. */
static double in_parallel(const struct apiserver *server, int from, int to, bool register_first, struct error **err)
{
    struct kubelets all[KUBELETS] = {0};
    int64_t began = clock_ms();
    bool failed = false;
    for (int i = 0; i < KUBELETS; i++) {
        all[i] = (struct kubelets){.server = server,
                                   .from = from + (to - from) * i / KUBELETS,
                                   .to = from + (to - from) * (i + 1) / KUBELETS,
                                   .register_first = register_first};
        failed = pthread_create(&all[i].thread, NULL, run_kubelets, &all[i]) != 0 || failed;
    }
    for (int i = 0; i < KUBELETS; i++) {
        pthread_join(all[i].thread, NULL);
        if (all[i].err != NULL) {
            failed = true;
            (void)error_move(err != NULL && *err == NULL ? err : NULL, &all[i].err);
        }
    }
    return failed ? -1 : (double)(clock_ms() - began) / 1e3;
}

/* HOSTS node objects in all, ADDED of them at once at the end; then one heartbeat of each. */
static int measure_api(struct apiserver *server, int before, int hosts, struct error **err)
{
    double then = 0;
    double now = 0;
    double memory = 0;
    double etcd = 0;
    if (in_parallel(server, before, hosts - ADDED, true, err) < 0) {
        return -1;
    }
    double added = in_parallel(server, hosts - ADDED, hosts, true, err);
    process_takes(server->api, &then, NULL);
    double took = added < 0 ? -1 : in_parallel(server, 0, hosts, false, err);
    process_takes(server->api, &now, &memory);
    process_takes(server->etcd, NULL, &etcd);
    printf(" %10.2f %12.2f %12.2f %10.0f %10.0f\n", added, took, (now - then) / 1e3, memory, etcd);
    (void)fflush(stdout);
    return took < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
    _cleanup_error_ struct error *err = NULL;
    struct apiserver server = {0};
    static const char *const usual[] = {"200", "500", "1000", "2000", NULL};
    const char *const *counts = argc > 1 ? (const char *const *)argv + 1 : usual;
    log_open("bench", NULL, NULL, LOG_LEVEL_ERROR);
    bool api = apiserver_start(&server, &err) == 0;
    if (!api) {
        printf("no API server: %s\n", err->message);
        error_freep(&err);
        err = NULL;
    }
    printf("%8s %10s %10s %10s %10s %12s %10s %10s %12s %12s %10s %10s\n", "hosts", "KiB each", "all have s",
           "server s", "MiB sent", "server MiB", "agents s", "100 new s", "heartbeats s", "API CPU s", "API MiB",
           "etcd MiB");
    int result = 0;
    long before = 0;
    for (; *counts != NULL && result == 0; counts++) {
        long hosts = 0;
        if (!str_number(*counts, ADDED + 1, 2000, &hosts)) {
            result = error_new(&err, STATUS_USAGE, "%s: a number of hosts from %d to 2000", *counts, ADDED + 1);
            break;
        }
        result = measure_metadata((int)hosts, &err);
        if (result == 0 && api) {
            result = measure_api(&server, (int)before, (int)hosts, &err);
            before = hosts;
        } else {
            printf("\n");
        }
    }
    if (api) {
        apiserver_stop(&server);
    }
    if (result < 0) {
        (void)fprintf(stderr, "fleet_bench: %s\n", err != NULL ? err->message : "a measurement failed");
    }
    return result < 0 ? 1 : 0;
}
