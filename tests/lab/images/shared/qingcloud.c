#include "tests/lab/images/shared/qingcloud.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "lib/core/util.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/http.h"
#include "tests/lab/images/shared/program.h"
#include "tests/lab/images/shared/yaml.h"

enum { CALL_S = 30, JOB_S = 180 };

static struct http_server server = {.seconds = CALL_S, .ca = "/etc/ssl/certs/ca-certificates.crt"};
static json_t *conf;

void qingcloud_open(const char *path)
{
    static const char *const texts[] = {"qy_access_key_id", "qy_secret_access_key", "zone", "host", "protocol", "uri"};
    conf = yaml_read(path);
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        if (text_at(conf, texts[i])[0] == '\0') {
            fail("%s: '%s' is missing", path, texts[i]);
        }
    }
    server.host = text_at(conf, "host");
    server.port = (int)json_integer_value(json_object_get(conf, "port"));
    server.secure = strcmp(text_at(conf, "protocol"), "https") == 0;
    if (server.port <= 0 || (!server.secure && strcmp(text_at(conf, "protocol"), "http") != 0)) {
        fail("%s: 'port' or 'protocol' is not one", path);
    }
}

const char *qingcloud_zone(void)
{
    return text_at(conf, "zone");
}

const char *qingcloud_key(void)
{
    return text_at(conf, "qy_access_key_id");
}

struct pair {
    char *name, *value;
};

struct query {
    struct pair *pairs;
    size_t count;
};

static void query_free(struct query *query)
{
    for (size_t i = 0; i < query->count; i++) {
        free(query->pairs[i].name);
        free(query->pairs[i].value);
    }
    free(query->pairs);
}

static void put(struct query *query, char *name, const json_t *value)
{
    query->pairs = xrealloc(query->pairs, (query->count + 1) * sizeof *query->pairs);
    query->pairs[query->count++] =
        (struct pair){name, json_is_string(value) ? xstrdup(json_string_value(value))
                                                  : xasprintf("%lld", (long long)json_integer_value(value))};
}

static void put_text(struct query *query, const char *name, const char *value)
{
    _cleanup_json_ json_t *text = json_string(value);
    put(query, xstrdup(name), text);
}

static void put_parameters(struct query *query, json_t *parameters)
{
    const char *name;
    const char *member;
    json_t *value;
    json_t *item;
    json_t *field;
    size_t i;
    json_object_foreach (parameters, name, value) {
        if (!json_is_array(value) && !json_is_null(value)) {
            put(query, xstrdup(name), value);
        }
        json_array_foreach (value, i, item) {
            if (!json_is_object(item)) {
                put(query, xasprintf("%s.%zu", name, i + 1), item);
            }
            json_object_foreach (item, member, field) {
                if (!json_is_null(field)) {
                    put(query, xasprintf("%s.%zu.%s", name, i + 1, member), field);
                }
            }
        }
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct pair *)a)->name, ((const struct pair *)b)->name);
}

static void escape(struct buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~", *text) != NULL) {
            buffer_append(out, text, 1);
        } else {
            buffer_printf(out, "%%%02X", (unsigned char)*text);
        }
    }
}

/* The path with the whole query, signed. */
static char *request_path(const char *action, json_t *parameters)
{
    _cleanup_(query_free) struct query query = {0};
    _cleanup_buffer_ struct buffer text = {0};
    _cleanup_buffer_ struct buffer to_sign = {0};
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned char base64[EVP_MAX_MD_SIZE * 2];
    unsigned length = 0;
    char now[32];
    struct tm utc;
    time_t seconds = time(NULL);
    (void)strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &utc));
    put_parameters(&query, parameters);
    put_text(&query, "action", action);
    put_text(&query, "access_key_id", qingcloud_key());
    put_text(&query, "signature_method", "HmacSHA256");
    put_text(&query, "signature_version", "1");
    put_text(&query, "time_stamp", now);
    if (json_object_get(parameters, "zone") == NULL) {
        put_text(&query, "zone", qingcloud_zone());
    }
    qsort(query.pairs, query.count, sizeof *query.pairs, by_name);
    for (size_t i = 0; i < query.count; i++) {
        buffer_printf(&text, "%s%s=", i == 0 ? "" : "&", query.pairs[i].name);
        escape(&text, query.pairs[i].value);
    }
    const char *secret = text_at(conf, "qy_secret_access_key");
    buffer_printf(&to_sign, "GET\n%s\n%s", text_at(conf, "uri"), text.data);
    HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)to_sign.data, to_sign.len, mac, &length);
    EVP_EncodeBlock(base64, mac, (int)length);
    buffer_puts(&text, "&signature=");
    escape(&text, (const char *)base64);
    return xasprintf("%s?%s", text_at(conf, "uri"), text.data);
}

json_t *qingcloud_call(const char *action, json_t *parameters, char **why)
{
    _cleanup_json_ json_t *taken = parameters;
    _cleanup_free_ char *path = request_path(action, taken);
    const struct http_call call = {.path = path};
    struct http_answer got;
    int status = http_call(&server, &call, &got);
    json_t *answer = status == 200 ? json_loadb(got.body.data, got.body.len, 0, NULL) : NULL;
    _cleanup_free_ char *said = taken == NULL ? xstrdup("") : json_dumps(taken, JSON_COMPACT);
    buffer_free(&got.body);
    *why = NULL;
    if (answer == NULL) {
        *why = status == 0 ? xasprintf("%s: no answer from %s:%d", action, server.host, server.port)
                           : xasprintf("Response StatusCode: %d", status);
    } else if (json_integer_value(json_object_get(answer, "ret_code")) != 0) {
        *why =
            xasprintf("QingCloud Error: Code (%lld), Message (%s)",
                      (long long)json_integer_value(json_object_get(answer, "ret_code")), text_at(answer, "message"));
        json_decref(answer);
        answer = NULL;
    }
    if (strcmp(action, "DescribeJobs") != 0 || *why != NULL) {
        bool of_key = strcmp(action, "DescribeAccessKeys") == 0; /* the logs of pods hold no part of the key */
        say("%s %s: %s", action, of_key ? "" : said, *why == NULL ? "done" : *why);
    }
    return answer;
}

bool qingcloud_wait(const char *job, char **why)
{
    for (long end = now_s() + JOB_S; now_s() < end;) {
        (void)sleep(1);
        _cleanup_free_ char *unheard = NULL; /* a failed question is no failed job */
        _cleanup_json_ json_t *answer = qingcloud_call("DescribeJobs", json_pack("{s[s]}", "jobs", job), &unheard);
        const json_t *set = json_object_get(answer, "job_set");
        const char *status = text_at(json_array_get(set, 0), "status");
        if (strcmp(status, "successful") == 0) {
            return true;
        }
        if (strcmp(status, "failed") == 0 || (answer != NULL && json_array_size(set) == 0)) {
            *why = xasprintf(status[0] != '\0' ? "Job [%s] failed" : "Can not find job [%s]", job);
            return false;
        }
    }
    *why = xasprintf("Wait timeout [%ds]", JOB_S);
    return false;
}
