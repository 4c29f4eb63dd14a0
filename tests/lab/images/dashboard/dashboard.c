/* Stands for the dashboard v2: its secrets and settings as its service account, TLS of its own, sign-in by token, and
 * what it shows read from the API as the user who signed in. */
#include <string.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/http.h"
#include "tests/lab/images/shared/program.h"

static bool https, skip_login, insecure_login;

/* As the real one: the key with which it seals tokens, and the key against forged requests, are in Secrets that every
 * replica shares; an empty one is filled. */
static void fill_secret(const char *namespace, const char *name, const char *key)
{
    unsigned char random[32];
    char text[65] = "";
    _cleanup_free_ char *path = xasprintf("/api/v1/namespaces/%s/secrets/%s", namespace, name);
    _cleanup_json_ json_t *secret = cluster_get(path);
    if (secret == NULL) {
        fail("cannot read secret %s/%s", namespace, name);
    }
    if (json_string_length(json_at(secret, key)) > 0) {
        return;
    }
    if (RAND_bytes(random, sizeof random) != 1) {
        fail("random generator failed");
    }
    for (size_t i = 0; i < sizeof random; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", random[i]);
    }
    json_object_set_new(secret, "stringData", json_pack("{ss}", strrchr(key, ' ') + 1, text));
    int status = cluster_call("PUT", path, secret, NULL);
    if (status != 200 && status != 409) {
        fail("cannot write secret %s/%s: status %d", namespace, name, status);
    }
}

static void read_settings(const char *namespace)
{
    _cleanup_free_ char *path = xasprintf("/api/v1/namespaces/%s/configmaps/kubernetes-dashboard-settings", namespace);
    _cleanup_json_ json_t *settings = cluster_get(path);
    if (settings == NULL) {
        say("no settings in %s: the defaults are used", path);
    }
}

/* What is behind the page comes from the API server, by the user's own token or, where sign-in may be skipped, ours. */
static void answer_from_api(const struct http_request *request, struct http_reply *reply, const char *what)
{
    _cleanup_free_ char *authorization = http_header(request, "Authorization");
    _cleanup_free_ char *path = xasprintf("/api/v1/%s", what);
    if (authorization == NULL && !skip_login) {
        reply->status = 401;
        buffer_puts(&reply->body, "MSG_LOGIN_UNAUTHORIZED_ERROR");
        return;
    }
    struct http_server api = {
        .host = must_env("KUBERNETES_SERVICE_HOST"), .port = 443, .secure = true, .ca = SERVICE_ACCOUNT "/ca.crt"};
    _cleanup_free_ char *token = must_read(SERVICE_ACCOUNT "/token");
    _cleanup_free_ char *headers = authorization != NULL ? xasprintf("Authorization: %s\r\n", authorization)
                                                         : xasprintf("Authorization: Bearer %s\r\n", token);
    struct http_call call = {.path = path, .headers = headers};
    struct http_answer answer;
    reply->status = http_call(&api, &call, &answer);
    reply->status = reply->status == 0 ? 500 : reply->status;
    buffer_append(&reply->body, answer.body.data, answer.body.len);
    buffer_free(&answer.body);
}

/* Over plain http only where it is allowed or on localhost (v2: the sign-in page is refused otherwise). */
static bool may_sign_in(const struct http_request *request)
{
    _cleanup_free_ char *host = http_header(request, "Host");
    return https || insecure_login || (host != NULL && strncmp(host, "localhost", 9) == 0);
}

static void answer(const struct http_request *request, struct http_reply *reply, void *data)
{
    (void)data;
    if (strcmp(request->path, "/") == 0) {
        reply->type = "text/html; charset=utf-8";
        buffer_puts(&reply->body, "<!doctype html><html><head><title>Kubernetes Dashboard</title><base href=\".\">"
                                  "</head><body><kd-root></kd-root></body></html>\n");
    } else if (strncmp(request->path, "/api/v1/csrftoken/", 18) == 0) {
        reply_json(reply, json_pack("{ss}", "token", "lab"));
    } else if (strcmp(request->path, "/api/v1/login/status") == 0) {
        _cleanup_free_ char *authorization = http_header(request, "Authorization");
        reply_json(reply, json_pack("{sb sb sb sb}", "tokenPresent", 0, "headerPresent", authorization != NULL,
                                    "httpsMode", may_sign_in(request), "impersonationPresent", 0));
    } else if (strcmp(request->path, "/api/v1/login/skippable") == 0) {
        reply_json(reply, json_pack("{sb}", "skippable", skip_login));
    } else if (strcmp(request->path, "/api/v1/namespace") == 0) {
        answer_from_api(request, reply, "namespaces");
    } else if (strcmp(request->path, "/api/v1/node") == 0) {
        answer_from_api(request, reply, "nodes");
    } else if (strcmp(request->path, "/api/v1/pod") == 0) {
        answer_from_api(request, reply, "pods");
    } else {
        reply->status = 404;
    }
}

int main(int argc, char **argv)
{
    struct flag flags[] = {{"insecure-bind-address", FLAG_TEXT, false, "127.0.0.1"},
                           {"bind-address", FLAG_TEXT, false, "0.0.0.0"},
                           {"port", FLAG_NUMBER, false, "8443"},
                           {"insecure-port", FLAG_NUMBER, false, "9090"},
                           {"auto-generate-certificates", FLAG_SWITCH, false, "false"},
                           {"default-cert-dir", FLAG_TEXT, false, "/certs"},
                           {"namespace", FLAG_TEXT, false, "kube-system"},
                           {"authentication-mode", FLAG_TEXT, false, "token"},
                           {"enable-skip-login", FLAG_SWITCH, false, "false"},
                           {"enable-insecure-login", FLAG_SWITCH, false, "false"},
                           {"disable-settings-authorizer", FLAG_SWITCH, false, "false"},
                           {"token-ttl", FLAG_NUMBER, false, "900"},
                           {"metrics-provider", FLAG_TEXT, false, "sidecar"},
                           {"sidecar-host", FLAG_TEXT, false, ""},
                           {"system-banner", FLAG_TEXT, false, ""},
                           {NULL, FLAG_TEXT, false, NULL}};
    (void)argc;
    flags_parse(flags, argv);
    end_on_signals();
    cluster_open();
    const char *namespace = flag_text(flags, "namespace");
    skip_login = flag_on(flags, "enable-skip-login");
    insecure_login = flag_on(flags, "enable-insecure-login");
    fill_secret(namespace, "kubernetes-dashboard-csrf", "data csrf");
    fill_secret(namespace, "kubernetes-dashboard-key-holder", "data priv");
    read_settings(namespace);
    if (flag_on(flags, "auto-generate-certificates")) {
        _cleanup_free_ char *probe = xasprintf("%s/.", flag_text(flags, "default-cert-dir"));
        if (access(probe, R_OK) != 0) {
            fail("%s: no directory for certificates", probe);
        }
        https = true;
        http_serve((int)flag_number(flags, "port"), tls_server("kubernetes-dashboard"), answer, NULL);
    } else {
        http_serve((int)flag_number(flags, "insecure-port"), NULL, answer, NULL);
    }
    for (;;) {
        (void)pause();
    }
}
