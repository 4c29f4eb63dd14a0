#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "tests/lab/images/fluent-bit/fluent_bit.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/http.h"
#include "tests/lab/images/shared/program.h"

#define CHUNK ((size_t)2 << 20)
#define MAX_CHUNKS 2048 /* as many tasks as there are; further ones wait */

/* Records on their way: a bulk request. */
struct chunk {
    struct buffer body;
    unsigned long records;
    uint64_t last; /* number of its last record, as emitted() counts */
    int tries;
    long next; /* when it is tried again */
    struct chunk *after;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct section *es;
static size_t es_index;
static struct chunk *chunks, **chunks_end = &chunks;
static uint64_t taken;
static atomic_ullong n_settled;

uint64_t settled(void)
{
    return es == NULL ? emitted() : n_settled;
}

static json_t *dotless(const json_t *value)
{
    const char *key;
    json_t *member;
    if (!json_is_object(value)) {
        return json_incref((json_t *)value);
    }
    json_t *object = json_object();
    json_object_foreach ((json_t *)value, key, member) {
        _cleanup_free_ char *name = xstrdup(key);
        replace_char(name, '.', '_');
        json_object_set_new(object, name, dotless(member));
    }
    return object;
}

static char *document_of(struct timespec when, const json_t *record)
{
    char second[32];
    struct tm utc;
    (void)strftime(second, sizeof second, "%Y-%m-%dT%H:%M:%S", gmtime_r(&when.tv_sec, &utc));
    _cleanup_free_ char *stamp = xasprintf("%s.%03ldZ", second, when.tv_nsec / 1000000);
    _cleanup_json_ json_t *document = json_pack("{ss}", conf_text(es, "time_key", "@timestamp"), stamp);
    _cleanup_json_ json_t *fields =
        conf_on(es, "replace_dots", false) ? dotless(record) : json_incref((json_t *)record);
    json_object_update_missing(document, fields);
    return json_dumps(document, JSON_COMPACT);
}

static char *index_of(struct timespec when)
{
    char date[64];
    struct tm utc;
    if (!conf_on(es, "logstash_format", false)) {
        return xstrdup(conf_text(es, "index", "fluent-bit"));
    }
    (void)strftime(date, sizeof date, "%Y.%m.%d", gmtime_r(&when.tv_sec, &utc));
    return xasprintf("%s-%s", conf_text(es, "logstash_prefix", "logstash"), date);
}

static void put_action(struct buffer *body, const char *index, const char *tag, const char *document)
{
    _cleanup_json_ json_t *about = json_pack("{ss}", "_index", index);
    const char *operation = conf_text(es, "write_operation", "create");
    if (!conf_on(es, "suppress_type_name", false)) {
        json_object_set_new(about, "_type", json_string(conf_text(es, "type", "_doc")));
    }
    if (conf_on(es, "generate_id", false)) {
        unsigned char hash[SHA256_DIGEST_LENGTH];
        char id[33];
        _cleanup_free_ char *all = xasprintf("%s\n%s", tag, document);
        (void)SHA256((const unsigned char *)all, strlen(all), hash);
        for (size_t i = 0; i < 16; i++) {
            (void)snprintf(id + 2 * i, 3, "%02x", hash[i]);
        }
        json_object_set_new(about, "_id", json_string(id));
    }
    _cleanup_json_ json_t *action = json_pack("{sO}", operation, about);
    _cleanup_free_ char *text = json_dumps(action, JSON_COMPACT);
    buffer_printf(body, "%s\n", text);
    buffer_puts(body, document);
    buffer_puts(body, "\n");
}

void es_take(const char *tag, struct timespec when, const json_t *record)
{
    (void)pthread_mutex_lock(&lock);
    if (es != NULL && matches(conf_text(es, "match", NULL), tag)) {
        _cleanup_free_ char *document = document_of(when, record);
        _cleanup_free_ char *index = index_of(when);
        struct chunk *last =
            chunks == NULL ? NULL : (struct chunk *)((char *)chunks_end - offsetof(struct chunk, after));
        if (last == NULL || last->tries > 0 || last->next != 0 || last->body.len > CHUNK) {
            last = xcalloc(1, sizeof *last);
            *chunks_end = last;
            chunks_end = &last->after;
        }
        put_action(&last->body, index, tag, document);
        last->records++;
        last->last = taken + 1;
    }
    taken++;
    (void)pthread_mutex_unlock(&lock);
}

/* Taken as sent: every document is there now or was before. Anything else is tried again whole, as there. */
static bool answer_is_good(const struct http_answer *answer)
{
    _cleanup_json_ json_t *json = json_loadb(answer->body.data, answer->body.len, 0, NULL);
    size_t limit = conf_size(es, "buffer_size", 512000);
    size_t i;
    json_t *item;
    if (answer->status < 200 || answer->status > 205) {
        say("[output:es] HTTP status=%d %.300s", answer->status, answer->body.data == NULL ? "" : answer->body.data);
        return false;
    }
    if (json == NULL || answer->body.len > limit) {
        say("[output:es] the answer of %zu bytes cannot be read", answer->body.len);
        return false;
    }
    if (!json_is_true(json_object_get(json, "errors"))) {
        return true;
    }
    json_array_foreach (json_object_get(json, "items"), i, item) {
        const json_t *result = json_object_iter_value(json_object_iter(item));
        json_int_t status = json_integer_value(json_object_get(result, "status"));
        if (status != 409 && (status < 200 || status > 299)) {
            say("[output:es] a document is refused: %s", text_at(result, "error reason"));
            return false;
        }
    }
    return true;
}

static bool send_chunk(const struct chunk *chunk)
{
    const char *path = conf_text(es, "path", "");
    _cleanup_free_ char *target = xasprintf("%s/_bulk", path);
    struct http_server server = {.host = conf_text(es, "host", "127.0.0.1"),
                                 .port = number_of(conf_text(es, "port", "9200")),
                                 .secure = conf_on(es, "tls", false)};
    struct http_call call = {"POST",           target,         "User-Agent: Fluent-Bit\r\n", "application/x-ndjson",
                             chunk->body.data, chunk->body.len};
    struct http_answer answer;
    (void)http_call(&server, &call, &answer);
    bool good = answer_is_good(&answer);
    buffer_free(&answer.body);
    return good;
}

/* What was sent or given up for good, in the order it came. */
static void settle(void)
{
    struct chunk *first = chunks;
    n_settled = first == NULL ? taken : first->last - first->records;
}

static void drop(struct chunk *chunk)
{
    for (struct chunk **at = &chunks; *at != NULL; at = &(*at)->after) {
        if (*at == chunk) {
            *at = chunk->after;
            if (chunks_end == &chunk->after) {
                chunks_end = at;
            }
            break;
        }
    }
    buffer_free(&chunk->body);
    free(chunk);
    settle();
}

static struct chunk *next_chunk(void)
{
    for (struct chunk *chunk = chunks; chunk != NULL; chunk = chunk->after) {
        if (chunk->next <= now_s()) {
            chunk->next = 1; /* closed: nothing more is put into it */
            return chunk;
        }
    }
    return NULL;
}

static void finish(struct chunk *chunk, bool good)
{
    struct counters *count = &counters[es_index];
    long limit = conf_retry_limit(es);
    chunk->tries++;
    if (good) {
        count->sent += chunk->records;
        drop(chunk);
    } else if (limit >= 0 && chunk->tries > limit) {
        say("[output:es] chunk cannot be retried: %lu records are given up", chunk->records);
        count->errors++;
        count->failed++;
        count->dropped += chunk->records;
        drop(chunk);
    } else {
        count->errors++;
        count->retries++;
        chunk->next = now_s() + conf_retry_wait(chunk->tries);
    }
}

static void *flush_all(void *data)
{
    double interval = strtod(conf_text(conf_service(), "flush", "5"), NULL);
    (void)data;
    for (;;) {
        (void)usleep((useconds_t)(interval * 1e6));
        for (int n = 0; n < MAX_CHUNKS; n++) {
            (void)pthread_mutex_lock(&lock);
            settle();
            struct chunk *chunk = next_chunk();
            (void)pthread_mutex_unlock(&lock);
            if (chunk == NULL) {
                break;
            }
            bool good = send_chunk(chunk);
            (void)pthread_mutex_lock(&lock);
            finish(chunk, good);
            (void)pthread_mutex_unlock(&lock);
        }
    }
    return NULL;
}

void es_start(void)
{
    pthread_t thread;
    for (size_t i = 0; i < n_sections; i++) {
        if (strcmp(sections[i].kind, "OUTPUT") == 0 && strcasecmp(sections[i].name, "es") == 0) {
            es = &sections[i];
            es_index = i;
        }
    }
    if (es == NULL) {
        return;
    }
    if (pthread_create(&thread, NULL, flush_all, NULL) != 0) {
        fail("making a thread failed");
    }
    (void)pthread_detach(thread);
}
