#include "tests/lab/images/shared/cluster.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/core/util.h"
#include "tests/lab/images/shared/http.h"
#include "tests/lab/images/shared/program.h"

static struct http_server api = {.secure = true, .ca = SERVICE_ACCOUNT "/ca.crt"};

void cluster_open(void)
{
    api.host = must_env("KUBERNETES_SERVICE_HOST");
    api.port = (int)strtol(must_env("KUBERNETES_SERVICE_PORT"), NULL, 10);
    _cleanup_free_ char *token = must_read(SERVICE_ACCOUNT "/token");
    _cleanup_free_ char *ca = must_read(SERVICE_ACCOUNT "/ca.crt");
}

/* Read for each call: the kubelet may replace it. */
static char *authorization(void)
{
    _cleanup_free_ char *token = must_read(SERVICE_ACCOUNT "/token");
    token[strcspn(token, "\r\n")] = '\0';
    return xasprintf("Authorization: Bearer %s\r\n", token);
}

static const char *type_of(const char *method)
{
    return strcmp(method, "PATCH") == 0 ? "application/merge-patch+json" : "application/json";
}

int cluster_call(const char *method, const char *path, const json_t *body, json_t **answer)
{
    _cleanup_free_ char *headers = authorization();
    _cleanup_free_ char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    struct http_call call = {method, path, headers, type_of(method), text, text == NULL ? 0 : strlen(text)};
    struct http_answer got;
    int status = http_call(&api, &call, &got);
    _cleanup_json_ json_t *json = json_loadb(got.body.data, got.body.len, 0, NULL);
    if (status >= 400 && status != 404 && status != 409) {
        say("%s %s: %d %s", method, path, status, text_at(json, "message"));
    }
    buffer_free(&got.body);
    if (answer != NULL) {
        *answer = STEAL(json);
    }
    return status;
}

json_t *cluster_get(const char *path)
{
    json_t *answer = NULL;
    int status = cluster_call("GET", path, NULL, &answer);
    if (status != 200) {
        json_decref(answer);
        return NULL;
    }
    return answer;
}

json_t *cluster_list(const char *path)
{
    _cleanup_json_ json_t *list = cluster_get(path);
    json_t *items = json_object_get(list, "items");
    return items == NULL ? (list == NULL ? NULL : json_array()) : json_incref(items);
}

bool cluster_patch(const char *path, const json_t *patch)
{
    int status = cluster_call("PATCH", path, patch, NULL);
    return status >= 200 && status < 300;
}

void cluster_put_status(const char *path, json_t *status)
{
    _cleanup_free_ char *place = xasprintf("%s/status", path);
    _cleanup_json_ json_t *object = cluster_get(path);
    if (object == NULL) {
        json_decref(status);
        return;
    }
    json_object_set_new(object, "status", status);
    (void)cluster_call("PUT", place, object, NULL);
}

struct watch {
    const char *path;
    cluster_event *event;
    void *data;
    char *version; /* where the watch goes on */
    bool again;    /* from a new list */
};

static bool take_line(char *text, void *data)
{
    struct watch *watch = data;
    _cleanup_json_ json_t *line = json_loads(text, 0, NULL);
    const char *type = text_at(line, "type");
    const json_t *object = json_object_get(line, "object");
    if (object == NULL || strcmp(type, "ERROR") == 0) {
        watch->again = true;
        return false;
    }
    free(watch->version);
    watch->version = xstrdup(text_at(object, "metadata resourceVersion"));
    if (strcmp(type, "BOOKMARK") != 0) {
        watch->event(type, object, watch->data);
    }
    return true;
}

static bool list_all(struct watch *watch)
{
    _cleanup_json_ json_t *list = cluster_get(watch->path);
    if (list == NULL) {
        return false;
    }
    size_t i;
    json_t *item;
    watch->event("LISTING", NULL, watch->data);
    json_array_foreach (json_object_get(list, "items"), i, item) {
        watch->event("ADDED", item, watch->data);
    }
    watch->event("LISTED", NULL, watch->data);
    free(watch->version);
    watch->version = xstrdup(text_at(list, "metadata resourceVersion"));
    watch->again = false;
    return true;
}

void cluster_watch(const char *path, cluster_event *event, void *data)
{
    struct watch watch = {.path = path, .event = event, .data = data, .again = true};
    struct http_server server = api;
    server.seconds = 90; /* longer than the server lets a watch last */
    for (;;) {
        if (watch.again && !list_all(&watch)) {
            (void)sleep(1);
            continue;
        }
        _cleanup_free_ char *headers = authorization();
        _cleanup_free_ char *target =
            xasprintf("%s%cwatch=1&allowWatchBookmarks=true&timeoutSeconds=60&resourceVersion=%s", path,
                      strchr(path, '?') == NULL ? '?' : '&', watch.version);
        struct http_call call = {.path = target, .headers = headers};
        int status = http_lines(&server, &call, take_line, &watch);
        if (status != 200) {
            watch.again = true;
            (void)sleep(1);
        }
    }
}

struct follower {
    const char *path;
    cluster_event *event;
    void *data;
};

static void *follow(void *data)
{
    struct follower *f = data;
    cluster_watch(f->path, f->event, f->data);
}

void cluster_follow(const char *path, cluster_event *event, void *data)
{
    struct follower *f = xcalloc(1, sizeof *f);
    pthread_t thread;
    *f = (struct follower){path, event, data};
    if (pthread_create(&thread, NULL, follow, f) != 0) {
        fail("making a thread failed");
    }
    (void)pthread_detach(thread);
}

#define LEASE_S 15

static struct {
    char *path, *collection, *name, *identity;
    char *seen; /* the renewal of another's that was seen last */
    long since; /* when */
} lease;

static json_t *lease_spec(void)
{
    _cleanup_free_ char *now = timestamp();
    return json_pack("{ss si ss ss}", "holderIdentity", lease.identity, "leaseDurationSeconds", LEASE_S, "acquireTime",
                     now, "renewTime", now);
}

/* 1: ours; 0: another's; -1: the API did not answer. */
static int lease_try(void)
{
    _cleanup_json_ json_t *found = NULL;
    int status = cluster_call("GET", lease.path, NULL, &found);
    if (status == 404) {
        _cleanup_json_ json_t *fresh = json_pack("{ss ss s{ss} so}", "apiVersion", "coordination.k8s.io/v1", "kind",
                                                 "Lease", "metadata", "name", lease.name, "spec", lease_spec());
        status = cluster_call("POST", lease.collection, fresh, NULL);
        return status == 201 ? 1 : -1;
    }
    if (status != 200) {
        return -1;
    }
    const char *holder = text_at(found, "spec holderIdentity");
    const char *renewed = text_at(found, "spec renewTime");
    bool ours = strcmp(holder, lease.identity) == 0;
    if (!ours && holder[0] != '\0') {
        if (lease.seen == NULL || strcmp(lease.seen, renewed) != 0) {
            free(lease.seen);
            lease.seen = xstrdup(renewed);
            lease.since = now_s();
        }
        if (now_s() - lease.since < LEASE_S) {
            return 0;
        }
    }
    json_object_set_new(found, "spec", lease_spec());
    status = cluster_call("PUT", lease.path, found, NULL);
    return status == 200 ? 1 : status == 409 ? 0 : -1;
}

static void *lease_keep(void *data)
{
    (void)data;
    long renewed = now_s();
    for (;;) {
        (void)sleep(5);
        int got = lease_try();
        renewed = got == 1 ? now_s() : renewed;
        if (got == 0 || now_s() - renewed > LEASE_S) {
            fail("leader election lost: lease %s", lease.name);
        }
    }
    return NULL;
}

void cluster_lead(const char *namespace, const char *name, const char *identity)
{
    pthread_t thread;
    lease.collection = xasprintf("/apis/coordination.k8s.io/v1/namespaces/%s/leases", namespace);
    lease.path = xasprintf("%s/%s", lease.collection, name);
    lease.name = xstrdup(name);
    lease.identity = xstrdup(identity);
    while (lease_try() != 1) {
        (void)sleep(2);
    }
    say("leading under lease %s/%s", namespace, name);
    if (pthread_create(&thread, NULL, lease_keep, NULL) != 0) {
        fail("making a thread failed");
    }
    (void)pthread_detach(thread);
}

void cluster_tell(const json_t *object, const char *component, const char *type, const char *reason,
                  const char *message)
{
    const char *namespace = text_at(object, "metadata namespace");
    _cleanup_free_ char *now = timestamp();
    _cleanup_free_ char *second = xasprintf("%.19sZ", now);
    _cleanup_free_ char *path = xasprintf("/api/v1/namespaces/%s/events", namespace[0] == '\0' ? "default" : namespace);
    _cleanup_json_ json_t *event =
        json_pack("{ss ss s{ss} s{ss ss ss ss ss} ss ss ss s{ss} ss ss si}", "apiVersion", "v1", "kind", "Event",
                  "metadata", "generateName", "lab-", "involvedObject", "kind", text_at(object, "kind"), "namespace",
                  namespace, "name", text_at(object, "metadata name"), "uid", text_at(object, "metadata uid"),
                  "apiVersion", text_at(object, "apiVersion"), "type", type, "reason", reason, "message", message,
                  "source", "component", component, "firstTimestamp", second, "lastTimestamp", second, "count", 1);
    (void)cluster_call("POST", path, event, NULL);
}
