/* Stands for metrics-server v0.4: the API metrics.k8s.io/v1beta1 behind the aggregator, from the kubelets' summaries.
 * Who may ask is decided as a delegated API server does: the aggregator's client certificate and the user it names, or
 * a token that the API server knows; then what that user may, by the API server too. */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/http.h"
#include "tests/lab/images/shared/program.h"

#define GROUP "/apis/metrics.k8s.io"
#define API GROUP "/v1beta1"
#define SCRAPE_S 15

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static json_t *nodes, *pods; /* by name, by "namespace/name" */
static bool scraped;
static bool use_status_port, any_certificate;

static json_t *usage(const json_t *cpu, const json_t *memory)
{
    _cleanup_free_ char *cores =
        xasprintf("%lldn", (long long)json_integer_value(json_object_get(cpu, "usageNanoCores")));
    _cleanup_free_ char *bytes =
        xasprintf("%lldKi", (long long)json_integer_value(json_object_get(memory, "workingSetBytes")) / 1024);
    return json_pack("{ss ss}", "cpu", cores, "memory", bytes);
}

static json_t *metadata_of(const char *namespace, const char *name)
{
    return json_pack("{ss ss*}", "name", name, "namespace", namespace);
}

static void take_pod(const json_t *pod, const char *when, json_t *all)
{
    size_t i;
    json_t *container;
    const char *namespace = text_at(pod, "podRef namespace");
    const char *name = text_at(pod, "podRef name");
    _cleanup_free_ char *key = xasprintf("%s/%s", namespace, name);
    json_t *containers = json_array();
    json_array_foreach (json_object_get(pod, "containers"), i, container) {
        json_array_append_new(
            containers, json_pack("{ss so}", "name", text_at(container, "name"), "usage",
                                  usage(json_object_get(container, "cpu"), json_object_get(container, "memory"))));
    }
    json_object_set_new(all, key,
                        json_pack("{so ss ss so}", "metadata", metadata_of(namespace, name), "timestamp", when,
                                  "window", "30s", "containers", containers));
}

static const char *internal_address(const json_t *node)
{
    size_t i;
    json_t *address;
    json_array_foreach (json_at(node, "status addresses"), i, address) {
        if (strcmp(text_at(address, "type"), "InternalIP") == 0) {
            return text_at(address, "address");
        }
    }
    return "";
}

static bool scrape(const json_t *node, json_t *all_nodes, json_t *all_pods)
{
    const json_t *port = json_at(node, "status daemonEndpoints kubeletEndpoint Port");
    struct http_server kubelet = {.host = internal_address(node),
                                  .port = use_status_port ? (int)json_integer_value(port) : 10250,
                                  .secure = true,
                                  .ca = any_certificate ? NULL : SERVICE_ACCOUNT "/ca.crt"};
    _cleanup_free_ char *token = must_read(SERVICE_ACCOUNT "/token");
    _cleanup_free_ char *headers = xasprintf("Authorization: Bearer %s\r\n", token);
    struct http_call call = {.path = "/stats/summary?only_cpu_and_memory=true", .headers = headers};
    struct http_answer answer;
    int status = http_call(&kubelet, &call, &answer);
    _cleanup_json_ json_t *summary = json_loadb(answer.body.data, answer.body.len, 0, NULL);
    buffer_free(&answer.body);
    if (status != 200 || summary == NULL) {
        say("unable to fetch metrics from node %s: status %d", text_at(node, "metadata name"), status);
        return false;
    }
    size_t i;
    json_t *pod;
    _cleanup_free_ char *now = timestamp();
    now[19] = 'Z';
    now[20] = '\0';
    json_object_set_new(all_nodes, text_at(node, "metadata name"),
                        json_pack("{so ss ss so}", "metadata", metadata_of(NULL, text_at(node, "metadata name")),
                                  "timestamp", now, "window", "30s", "usage",
                                  usage(json_at(summary, "node cpu"), json_at(summary, "node memory"))));
    json_array_foreach (json_object_get(summary, "pods"), i, pod) {
        take_pod(pod, now, all_pods);
    }
    return true;
}

static void *scrape_all(void *data)
{
    (void)data;
    for (;;) {
        _cleanup_json_ json_t *list = cluster_list("/api/v1/nodes");
        json_t *all_nodes = json_object();
        json_t *all_pods = json_object();
        size_t i;
        json_t *node;
        bool any = false;
        json_array_foreach (list, i, node) {
            any = scrape(node, all_nodes, all_pods) || any;
        }
        (void)pthread_mutex_lock(&lock);
        json_decref(nodes);
        json_decref(pods);
        nodes = all_nodes;
        pods = all_pods;
        scraped = scraped || any;
        (void)pthread_mutex_unlock(&lock);
        (void)sleep(any ? SCRAPE_S : 2);
    }
    return NULL;
}

static void refuse(struct http_reply *reply, int code, const char *reason, const char *message)
{
    reply->status = code;
    reply_json(reply, json_pack("{ss ss ss ss ss si}", "kind", "Status", "apiVersion", "v1", "status", "Failure",
                                "reason", reason, "message", message, "code", code));
}

/* The user's name and groups; false when nobody vouches for one. */
static bool authenticate(const struct http_request *request, json_t **user)
{
    if (request->peer != NULL) {
        _cleanup_free_ char *name = http_header(request, "X-Remote-User");
        _cleanup_free_ char *group = http_header(request, "X-Remote-Group");
        *user = json_pack("{ss s[s]}", "user", name == NULL ? "" : name, "groups", group == NULL ? "" : group);
        return name != NULL;
    }
    _cleanup_free_ char *authorization = http_header(request, "Authorization");
    if (authorization == NULL || strncmp(authorization, "Bearer ", 7) != 0) {
        return false;
    }
    _cleanup_json_ json_t *review = json_pack("{ss ss s{ss}}", "apiVersion", "authentication.k8s.io/v1", "kind",
                                              "TokenReview", "spec", "token", authorization + 7);
    _cleanup_json_ json_t *answer = NULL;
    (void)cluster_call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review, &answer);
    *user = json_pack("{ss sO*}", "user", text_at(answer, "status user username"), "groups",
                      json_at(answer, "status user groups"));
    return json_is_true(json_at(answer, "status authenticated"));
}

static bool authorize(const json_t *user, const char *namespace, const char *resource, const char *name)
{
    _cleanup_json_ json_t *review =
        json_pack("{ss ss s{sO sO* s{ss* ss ss ss ss*}}}", "apiVersion", "authorization.k8s.io/v1", "kind",
                  "SubjectAccessReview", "spec", "user", json_object_get(user, "user"), "groups",
                  json_object_get(user, "groups"), "resourceAttributes", "namespace", namespace, "verb",
                  name == NULL ? "list" : "get", "group", "metrics.k8s.io", "resource", resource, "name", name);
    _cleanup_json_ json_t *answer = NULL;
    (void)cluster_call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review, &answer);
    return json_is_true(json_at(answer, "status allowed"));
}

static json_t *listed(const json_t *all, const char *kind, const char *namespace)
{
    const char *key;
    json_t *value;
    json_t *items = json_array();
    _cleanup_free_ char *list_kind = xasprintf("%sList", kind);
    json_object_foreach ((json_t *)all, key, value) {
        if (namespace == NULL || strcmp(text_at(value, "metadata namespace"), namespace) == 0) {
            json_array_append(items, value);
        }
    }
    return json_pack("{ss ss s{} so}", "kind", list_kind, "apiVersion", "metrics.k8s.io/v1beta1", "metadata", "items",
                     items);
}

static void answer_metrics(const char *namespace, const char *resource, const char *name, struct http_reply *reply)
{
    bool of_nodes = strcmp(resource, "nodes") == 0;
    const char *kind = of_nodes ? "NodeMetrics" : "PodMetrics";
    (void)pthread_mutex_lock(&lock);
    const json_t *all = of_nodes ? nodes : pods;
    if (name == NULL) {
        reply_json(reply, listed(all, kind, namespace));
    } else {
        _cleanup_free_ char *key = of_nodes ? xstrdup(name) : xasprintf("%s/%s", namespace, name);
        json_t *found = json_deep_copy(json_object_get(all, key));
        if (found == NULL) {
            refuse(reply, 404, "NotFound", name);
        } else {
            json_object_set_new(found, "kind", json_string(kind));
            json_object_set_new(found, "apiVersion", json_string("metrics.k8s.io/v1beta1"));
            reply_json(reply, found);
        }
    }
    (void)pthread_mutex_unlock(&lock);
}

static void answer_resource(const struct http_request *request, const json_t *user, struct http_reply *reply)
{
    _cleanup_free_ char *path = xstrdup(request->path + strlen(API) + 1);
    char *rest = NULL;
    char *resource = strtok_r(path, "/", &rest);
    const char *namespace = NULL;
    if (resource != NULL && strcmp(resource, "namespaces") == 0) {
        namespace = strtok_r(NULL, "/", &rest);
        resource = strtok_r(NULL, "/", &rest);
    }
    const char *name = strtok_r(NULL, "/", &rest);
    if (resource == NULL || (strcmp(resource, "nodes") != 0 && strcmp(resource, "pods") != 0)) {
        refuse(reply, 404, "NotFound", request->path);
    } else if (!authorize(user, namespace, resource, name)) {
        refuse(reply, 403, "Forbidden", "the user may not read metrics");
    } else {
        answer_metrics(namespace, resource, name, reply);
    }
}

static void answer(const struct http_request *request, struct http_reply *reply, void *data)
{
    _cleanup_json_ json_t *user = NULL;
    (void)data;
    if (strcmp(request->path, "/livez") == 0 || strcmp(request->path, "/healthz") == 0) {
        buffer_puts(&reply->body, "ok");
    } else if (strcmp(request->path, "/readyz") == 0) {
        reply->status = scraped ? 200 : 500;
        buffer_puts(&reply->body, scraped ? "ok" : "metric-collection-timely failed");
    } else if (!authenticate(request, &user)) {
        refuse(reply, 401, "Unauthorized", "Unauthorized");
    } else if (strcmp(request->path, API) == 0) {
        reply_json(reply, json_pack("{ss ss ss s[{ss ss sb ss s[ss]} {ss ss sb ss s[ss]}]}", "kind", "APIResourceList",
                                    "apiVersion", "v1", "groupVersion", "metrics.k8s.io/v1beta1", "resources", "name",
                                    "nodes", "singularName", "", "namespaced", 0, "kind", "NodeMetrics", "verbs", "get",
                                    "list", "name", "pods", "singularName", "", "namespaced", 1, "kind", "PodMetrics",
                                    "verbs", "get", "list"));
    } else if (strncmp(request->path, API "/", strlen(API) + 1) == 0) {
        answer_resource(request, user, reply);
    } else {
        refuse(reply, 404, "NotFound", request->path);
    }
}

int main(int argc, char **argv)
{
    struct flag flags[] = {{"cert-dir", FLAG_FILE, true, NULL},
                           {"secure-port", FLAG_NUMBER, false, "443"},
                           {"kubelet-preferred-address-types", FLAG_TEXT, false, NULL},
                           {"kubelet-use-node-status-port", FLAG_SWITCH, false, "false"},
                           {"kubelet-insecure-tls", FLAG_SWITCH, false, "false"},
                           {"metric-resolution", FLAG_SECONDS, false, "60s"},
                           {"v", FLAG_NUMBER, false, "0"},
                           {NULL, FLAG_TEXT, false, NULL}};
    pthread_t thread;
    (void)argc;
    flags_parse(flags, argv);
    end_on_signals();
    if (access(flag_text(flags, "cert-dir"), W_OK) != 0) {
        fail("%s cannot be written", flag_text(flags, "cert-dir"));
    }
    use_status_port = flag_on(flags, "kubelet-use-node-status-port");
    any_certificate = flag_on(flags, "kubelet-insecure-tls");
    cluster_open();
    _cleanup_json_ json_t *delegation =
        cluster_get("/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication");
    const char *ca = text_at(delegation, "data requestheader-client-ca-file");
    if (ca[0] == '\0') {
        fail("cannot read the aggregator's CA: configmap extension-apiserver-authentication");
    }
    SSL_CTX *context = tls_server("metrics-server");
    tls_ask_client(context, ca);
    nodes = json_object();
    pods = json_object();
    http_serve((int)flag_number(flags, "secure-port"), context, answer, NULL);
    if (pthread_create(&thread, NULL, scrape_all, NULL) != 0) {
        fail("making a thread failed");
    }
    (void)pthread_join(thread, NULL);
    return 1;
}
