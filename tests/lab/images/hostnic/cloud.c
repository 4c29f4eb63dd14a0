/* Calls of the cloud's API, as github.com/yunify/qingcloud-sdk-go makes them: the path that is signed is the one of the
 * configuration, parameters are sorted and escaped, a list is NAME.1, NAME.2. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "lib/core/util.h"
#include "tests/lab/images/hostnic/hostnic.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/http.h"
#include "tests/lab/images/shared/yaml.h"

#define INSTANCE_FILE "/etc/qingcloud/instance-id"
#define CONF_FILE "/root/.qingcloud/config.yaml"

enum { RESERVED = 12, TRIES = 4 };

static struct {
    char *instance;
    json_t *conf;
    char *path; /* "/iaas" */
} cloud;

struct parameter {
    char *name, *value;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct parameter *)a)->name, ((const struct parameter *)b)->name);
}

static void escape(struct buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        bool plain = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                     (*text >= '0' && *text <= '9') || strchr("-_.~", *text) != NULL;
        buffer_printf(out, plain ? "%c" : "%%%02X", (unsigned char)*text);
    }
}

static char *query_of(const char *action, const char *const *given)
{
    char stamp[32];
    time_t now = time(NULL);
    struct tm utc;
    struct parameter all[64] = {{"access_key_id", xstrdup(text_at(cloud.conf, "qy_access_key_id"))},
                                {"action", xstrdup(action)},
                                {"signature_method", xstrdup("HmacSHA256")},
                                {"signature_version", xstrdup("1")},
                                {"version", xstrdup("1")},
                                {"zone", xstrdup(text_at(cloud.conf, "zone"))}};
    size_t n = 6;
    (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    all[n++] = (struct parameter){"time_stamp", xstrdup(stamp)};
    for (; given != NULL && *given != NULL && n < ELEMENTS(all); given += 2) {
        all[n++] = (struct parameter){(char *)given[0], xstrdup(given[1])};
    }
    qsort(all, n, sizeof *all, by_name);
    struct buffer query = {0};
    for (size_t i = 0; i < n; i++) {
        buffer_printf(&query, "%s%s=", i == 0 ? "" : "&", all[i].name);
        escape(&query, all[i].value);
        free(all[i].value);
    }
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned char text[EVP_MAX_MD_SIZE * 2];
    unsigned length = 0;
    const char *secret = text_at(cloud.conf, "qy_secret_access_key");
    _cleanup_free_ char *sign = xasprintf("GET\n%s\n%s", cloud.path, query.data);
    HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)sign, strlen(sign), mac, &length);
    (void)EVP_EncodeBlock(text, mac, (int)length);
    buffer_puts(&query, "&signature=");
    escape(&query, (const char *)text);
    return query.data;
}

static void tell(char **why, const char *action, const char *text)
{
    _cleanup_free_ char *all = xasprintf("%s: %s", action, text);
    note("failed to %s", all);
    if (why != NULL) {
        *why = STEAL(all);
    }
}

json_t *cloud_call(const char *action, const char *const *parameters, char **why)
{
    const struct http_server server = {.host = text_at(cloud.conf, "host"),
                                       .port = (int)json_integer_value(json_at(cloud.conf, "port")),
                                       .secure = strcmp(text_at(cloud.conf, "protocol"), "https") == 0,
                                       .seconds = 30};
    struct http_answer got = {0};
    for (int i = 0; i < TRIES && got.status == 0; i++) {
        _cleanup_free_ char *query = query_of(action, parameters);
        _cleanup_free_ char *path = xasprintf("%s?%s", cloud.path, query);
        const struct http_call call = {.path = path};
        if (i > 0) {
            (void)sleep(1);
        }
        buffer_free(&got.body);
        got = (struct http_answer){0};
        (void)http_call(&server, &call, &got);
    }
    _cleanup_json_ json_t *body = json_loadb(got.body.data, got.body.len, 0, NULL);
    buffer_free(&got.body);
    const json_t *code = json_object_get(body, "ret_code");
    if (got.status != 200 || !json_is_integer(code)) {
        _cleanup_free_ char *text = xasprintf("Response StatusCode: %d", got.status);
        tell(why, action, text);
        return NULL;
    }
    if (json_integer_value(code) != 0) {
        _cleanup_free_ char *text = xasprintf("QingCloud Error: Code (%lld), Message (%s)",
                                              (long long)json_integer_value(code), text_at(body, "message"));
        tell(why, action, text);
        return NULL;
    }
    return STEAL(body);
}

static void check_conf(void)
{
    static const char *const known[] = {"qy_access_key_id",
                                        "qy_secret_access_key",
                                        "host",
                                        "port",
                                        "protocol",
                                        "uri",
                                        "connection_retries",
                                        "connection_timeout",
                                        "log_level",
                                        "zone",
                                        "credential_proxy_protocol",
                                        "credential_proxy_host",
                                        "credential_proxy_port",
                                        "credential_proxy_uri",
                                        NULL};
    static const char *const levels[] = {"debug", "info", "warn", "error", "fatal"};
    check_keys(cloud.conf, known, CONF_FILE);
    const char *level = text_at(cloud.conf, "log_level");
    bool good = false;
    for (size_t i = 0; i < ELEMENTS(levels); i++) {
        good = good || strcmp(level, levels[i]) == 0;
    }
    if (!good) {
        fail(CONF_FILE ": log_level '%s'", level);
    }
    for (size_t i = 0; i < 2; i++) {
        if (text_at(cloud.conf, known[i])[0] == '\0') {
            fail("access key not provided: " CONF_FILE);
        }
    }
}

/* The original logs all of its configuration, the secret included; so does this, or nothing would show who collects
 * it. */
static void log_conf(void)
{
    note("qsdkconfig inited: &{%s %s %s %lld %s %s}", text_at(cloud.conf, "qy_access_key_id"),
         text_at(cloud.conf, "qy_secret_access_key"), text_at(cloud.conf, "host"),
         (long long)json_integer_value(json_at(cloud.conf, "port")), text_at(cloud.conf, "protocol"), cloud.path);
}

void cloud_setup(void)
{
    cloud.instance = must_read(INSTANCE_FILE);
    cloud.conf = yaml_read(CONF_FILE);
    check_conf();
    cloud.path = xstrdup(text_at(cloud.conf, "uri"));
    log_conf();
    const char *const parameters[] = {"access_keys.1", text_at(cloud.conf, "qy_access_key_id"), NULL};
    _cleanup_json_ json_t *keys = cloud_call("DescribeAccessKeys", parameters, NULL);
    if (keys == NULL || text_at(json_array_get(json_at(keys, "access_key_set"), 0), "owner")[0] == '\0') {
        fail("failed to DescribeAccessKeys");
    }
}

const char *cloud_instance(void)
{
    return cloud.instance;
}

const char *cloud_zone(void)
{
    return text_at(cloud.conf, "zone");
}

static char *before(const char *address, unsigned count)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr in;
    if (inet_pton(AF_INET, address, &in) != 1) {
        return NULL;
    }
    in.s_addr = htonl(ntohl(in.s_addr) - count);
    return xstrdup(inet_ntop(AF_INET, &in, text, sizeof text));
}

/* A vxnet of the user's, else a public one. */
static json_t *describe_vxnet(const char *id, bool public, char **why)
{
    const char *const parameters[] = {
        "vxnets.1", id, "limit", "63", "offset", "0", "verbose", "0", public ? "vxnet_type" : NULL, "2", NULL};
    _cleanup_json_ json_t *answer = cloud_call("DescribeVxnets", parameters, why);
    return answer == NULL ? NULL : json_incref(json_array_get(json_at(answer, "vxnet_set"), 0));
}

json_t *cloud_vxnet(const char *id, char **why)
{
    _cleanup_json_ json_t *found = describe_vxnet(id, false, why);
    if (found == NULL && (why == NULL || *why == NULL)) {
        found = describe_vxnet(id, true, why);
    }
    const json_t *router = json_at(found, "router");
    const char *first = text_at(router, "dyn_ip_start");
    _cleanup_free_ char *last = before(text_at(router, "dyn_ip_end"), RESERVED);
    if (found == NULL || !json_is_object(router) || first[0] == '\0' || last == NULL) {
        const char *what = found == NULL             ? "not found"
                           : !json_is_object(router) ? "should bind to vpc"
                                                     : "should open DHCP";
        if (why != NULL && *why == NULL) {
            *why = xasprintf("vxnet %s %s", id, what);
        }
        return NULL;
    }
    return json_pack("{ss ss ss ss ss}", "ID", id, "Gateway", text_at(router, "manager_ip"), "Network",
                     text_at(router, "ip_network"), "IPStart", first, "IPEnd", last);
}
