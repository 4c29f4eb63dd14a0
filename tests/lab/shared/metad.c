#include "tests/lab/shared/metad.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "tests/lab/shared/metad_private.h"
#include "tests/lab/shared/tree.h"

static void lock(struct metad *metad)
{
    pthread_mutex_lock(&metad->lock);
}

static void unlock(struct metad *metad)
{
    pthread_mutex_unlock(&metad->lock);
}

bool metad_must_hold(const struct metad_request *request)
{
    const struct metad *metad = request->metad;
    if (metad->stopping) {
        return false;
    }
    switch (request->fault.kind) {
    case METAD_HANG:
        return metad->fault.kind == METAD_HANG;
    case METAD_DELAY:
        return clock_ms() < request->not_before;
    default:
        return request->waits && metad->version <= request->past_version;
    }
}

void metad_resume(struct metad *metad)
{
    for (struct metad_request **at = &metad->held; *at != NULL;) {
        struct metad_request *request = *at;
        if (metad_must_hold(request)) {
            at = &request->next_held;
            continue;
        }
        *at = request->next_held;
        request->held = false;
        MHD_resume_connection(request->connection);
    }
}

void metad_changed(struct metad *metad)
{
    metad->version++;
    metad_resume(metad);
}

static int64_t next_delayed(const struct metad *metad)
{
    int64_t first = INT64_MAX;
    for (const struct metad_request *request = metad->held; request != NULL; request = request->next_held) {
        if (request->fault.kind == METAD_DELAY && request->not_before < first) {
            first = request->not_before;
        }
    }
    return first;
}

static struct timespec timespec_of(int64_t ms)
{
    return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
}

static void *run_timer(void *context)
{
    struct metad *metad = context;
    lock(metad);
    while (!metad->stopping) {
        int64_t next = next_delayed(metad);
        if (next == INT64_MAX) {
            pthread_cond_wait(&metad->changed, &metad->lock);
            continue;
        }
        /* The condition's clock is CLOCK_MONOTONIC, which clock_ms() is not while a machine sleeps: go by the rest. */
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        int64_t left = next - clock_ms();
        struct timespec until = timespec_of((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + (left > 0 ? left : 0));
        pthread_cond_timedwait(&metad->changed, &metad->lock, &until);
        metad_resume(metad);
    }
    unlock(metad);
    return NULL;
}

static struct MHD_Daemon *listen_on(struct metad *metad, MHD_AccessHandlerCallback handler, const char *address,
                                    uint16_t port, struct error **err)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, address, &where.sin_addr) != 1) {
        error_new(err, STATUS_USAGE, "%s is not an IPv4 address", address);
        return NULL;
    }
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, port, NULL, NULL, handler, metad,
        MHD_OPTION_SOCK_ADDR, &where, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1U, MHD_OPTION_CONNECTION_LIMIT, 4096U,
        MHD_OPTION_NOTIFY_COMPLETED, metad_request_done, metad, MHD_OPTION_END);
    if (daemon == NULL) {
        error_errno(err, STATUS_FAILED, errno, "listening on %s:%u", address, port);
    }
    return daemon;
}

static void init(struct metad *metad)
{
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&metad->changed, &clock);
    pthread_condattr_destroy(&clock);
    pthread_mutex_init(&metad->lock, NULL);
    metad->data = json_object();
    metad->mapping = json_object();
    metad->rules = json_object();
    metad->version = 1;
}

static int start(struct metad *metad, const char *address, uint16_t port, const char *manage_address,
                 uint16_t manage_port, struct error **err)
{
    metad->listener = listen_on(metad, metad_answer_client, address, port, err);
    if (metad->listener == NULL) {
        return -1;
    }
    if (manage_address != NULL) {
        metad->manager = listen_on(metad, metad_answer_manager, manage_address, manage_port, err);
        if (metad->manager == NULL) {
            return -1;
        }
    }
    int r = pthread_create(&metad->timer, NULL, run_timer, metad);
    if (r != 0) {
        return error_errno(err, STATUS_FAILED, r, "starting a thread");
    }
    metad->timer_runs = true;
    return 0;
}

int metad_start(struct metad **metad, const char *address, uint16_t port, const char *manage_address,
                uint16_t manage_port, struct error **err)
{
    struct metad *m = xcalloc(1, sizeof *m);
    init(m);
    /* Signals are for the caller's threads. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = start(m, address, port, manage_address, manage_port, err);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r < 0) {
        metad_stop(m);
        return -1;
    }
    *metad = m;
    return 0;
}

void metad_stop(struct metad *metad)
{
    if (metad == NULL) {
        return;
    }
    lock(metad);
    metad->stopping = true;
    metad_resume(metad);
    pthread_cond_broadcast(&metad->changed);
    unlock(metad);
    if (metad->timer_runs) {
        pthread_join(metad->timer, NULL);
    }
    if (metad->manager != NULL) {
        MHD_stop_daemon(metad->manager);
    }
    if (metad->listener != NULL) {
        MHD_stop_daemon(metad->listener);
    }
    pthread_cond_destroy(&metad->changed);
    pthread_mutex_destroy(&metad->lock);
    json_decref(metad->data);
    json_decref(metad->mapping);
    json_decref(metad->rules);
    free((char *)metad->fault.body);
    free(metad);
}

void metad_stopp(struct metad **metad)
{
    metad_stop(*metad);
    *metad = NULL;
}

static uint16_t bound_port(struct MHD_Daemon *daemon)
{
    return daemon == NULL ? 0 : MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

uint16_t metad_port(const struct metad *metad)
{
    return bound_port(metad->listener);
}

uint16_t metad_manage_port(const struct metad *metad)
{
    return bound_port(metad->manager);
}

static bool put(struct metad *metad, const char *path, const json_t *value, bool replace)
{
    lock(metad);
    bool done = tree_put(metad->data, path, value, replace);
    metad_changed(metad);
    unlock(metad);
    return done;
}

bool metad_set(struct metad *metad, const char *path, const json_t *value)
{
    return put(metad, path, value, true);
}

bool metad_merge(struct metad *metad, const char *path, const json_t *value)
{
    return put(metad, path, value, false);
}

bool metad_delete(struct metad *metad, const char *path)
{
    lock(metad);
    bool done = tree_delete(metad->data, path, NULL);
    metad_changed(metad);
    unlock(metad);
    return done;
}

json_t *metad_get(struct metad *metad, const char *path)
{
    lock(metad);
    json_t *copy = json_deep_copy(tree_at(metad->data, path));
    unlock(metad);
    return copy;
}

uint64_t metad_version(struct metad *metad)
{
    lock(metad);
    uint64_t version = metad->version;
    unlock(metad);
    return version;
}

void metad_map(struct metad *metad, const char *ip, const json_t *mapping)
{
    lock(metad);
    if (mapping != NULL) {
        tree_put(metad->mapping, ip, mapping, true);
    } else {
        tree_delete(metad->mapping, ip, NULL);
    }
    metad_changed(metad);
    unlock(metad);
}

json_t *metad_vm_mapping(const char *cluster, const char *role, const char *instance_id)
{
    static const char *const whole[] = {
        "cluster", "env", "hosts", "adding-hosts", "links", "vertical-scaling-roles", "deleting-hosts", NULL};
    json_t *mapping = json_object();
    for (const char *const *name = whole; *name != NULL; name++) {
        json_object_set_new(mapping, *name, json_sprintf("/clusters/%s/%s", cluster, *name));
    }
    json_object_set_new(mapping, "host",
                        json_sprintf("/clusters/%s/hosts/%s%s%s", cluster, role == NULL ? "" : role,
                                     role == NULL ? "" : "/", instance_id));
    json_object_set_new(mapping, "cmd", json_sprintf("/clusters/%s/cmd/%s", cluster, instance_id));
    return mapping;
}

int metad_load(struct metad *metad, const char *path, struct error **err)
{
    json_error_t reason;
    _cleanup_json_ json_t *file = json_load_file(path, JSON_REJECT_DUPLICATES, &reason);
    if (file == NULL) {
        return error_new(err, STATUS_USAGE, "%s:%d: %s", path, reason.line, reason.text);
    }
    const json_t *data = json_object_get(file, "data");
    const json_t *mapping = json_object_get(file, "mapping");
    if (!json_is_object(data) || !json_is_object(mapping)) {
        return error_new(err, STATUS_USAGE, "%s: expected an object with the objects \"data\" and \"mapping\"", path);
    }
    lock(metad);
    tree_put(metad->data, "/", data, true);
    tree_put(metad->mapping, "/", mapping, true);
    metad_changed(metad);
    unlock(metad);
    return 0;
}

void metad_set_fault(struct metad *metad, const struct metad_fault *fault)
{
    free((char *)metad->fault.body);
    metad->fault = *fault;
    metad->fault.body = xstrdup(fault->body);
    metad_resume(metad);
}

void metad_fault(struct metad *metad, const struct metad_fault *fault)
{
    lock(metad);
    metad_set_fault(metad, fault);
    unlock(metad);
}

unsigned metad_requests(struct metad *metad)
{
    lock(metad);
    unsigned requests = metad->requests;
    unlock(metad);
    return requests;
}

static unsigned held_count(const struct metad *metad)
{
    unsigned count = 0;
    for (const struct metad_request *request = metad->held; request != NULL; request = request->next_held) {
        count++;
    }
    return count;
}

bool metad_await_held(struct metad *metad, unsigned count, int timeout_ms)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct timespec until = timespec_of((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + timeout_ms);
    lock(metad);
    while (held_count(metad) < count) {
        if (pthread_cond_timedwait(&metad->changed, &metad->lock, &until) == ETIMEDOUT) {
            break;
        }
    }
    bool enough = held_count(metad) >= count;
    unlock(metad);
    return enough;
}
