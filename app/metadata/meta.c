#include "app/metadata/meta.h"

#include <string.h>

#include "app/confd.h"
#include "app/metadata/meta_tree.h"
#include "lib/core/interrupt.h"
#include "lib/core/logger.h"
#include "lib/net/http.h"

#define DEFAULT_SERVER "http://metadata"
#define ANSWER_LIMIT ((size_t)64 << 20) /* 10,000 hosts are about 10 MiB */
#define FIRST_PAUSE_MS 200
#define LONGEST_PAUSE_MS 5000
#define LONG_POLL_MS 60000 /* a long poll's connection may die unseen: request again after this */

struct meta {
    char **servers; /* empty for a file */
    char *file;
    char *cache;
    int timeout_ms, deadline_ms;
    struct http *http;
    size_t current; /* the server that gave the last good answer */
    char *version;  /* its X-Metad-Version; NULL before the first answer, or without one */
    json_t *last;   /* that answer */
};

char **meta_servers(const struct conf *conf)
{
    char **servers = NULL;
    if (conf->metadata.servers == NULL || conf->metadata.servers[0] == NULL) {
        servers = confd_nodes(conf->metadata.confd_toml);
    } else {
        for (char **server = conf->metadata.servers; *server != NULL; server++) {
            strv_push(&servers, *server);
        }
    }
    if (servers[0] == NULL) {
        strv_push(&servers, DEFAULT_SERVER);
    }
    return servers;
}

static void strip_slashes(char **servers)
{
    for (; *servers != NULL; servers++) {
        for (size_t len = strlen(*servers); len > 0 && (*servers)[len - 1] == '/'; len--) {
            (*servers)[len - 1] = '\0';
        }
    }
}

int meta_open(struct meta **meta, const struct conf *conf, const char *source, struct error **err)
{
    _cleanup_(meta_freep) struct meta *m = xcalloc(1, sizeof *m);
    if (source == NULL) {
        m->servers = meta_servers(conf);
    } else if (str_starts(source, "http://") || str_starts(source, "https://")) {
        strv_push(&m->servers, source);
    } else {
        m->servers = xcalloc(1, sizeof *m->servers);
        m->file = xstrdup(source);
    }
    strip_slashes(m->servers);
    m->timeout_ms = conf->metadata.timeout_ms;
    m->deadline_ms = conf->metadata.deadline_ms;
    m->cache = source == NULL ? xstrdup(conf->metadata.cache) : NULL;
    if (m->file == NULL && http_open(&m->http, NULL, err) < 0) {
        return -1;
    }
    *meta = STEAL(m);
    return 0;
}

void meta_free(struct meta *meta)
{
    if (meta == NULL) {
        return;
    }
    strv_free(meta->servers);
    free(meta->file);
    free(meta->cache);
    http_free(meta->http);
    free(meta->version);
    json_decref(meta->last);
    free(meta);
}

void meta_freep(struct meta **meta)
{
    meta_free(*meta);
    *meta = NULL;
}

static int read_answer(const struct http_answer *answer, json_t **tree, struct error **err)
{
    if (answer->code != 200) {
        _cleanup_free_ char *reason = http_reason(answer);
        int status = answer->code == 404 ? STATUS_METADATA_UNKNOWN_HOST : STATUS_METADATA_UNREACHABLE;
        return error_new(err, status, "HTTP %ld \"%s\"", answer->code, reason);
    }
    return meta_tree_parse(answer->body.data, answer->body.len, tree, err);
}

/* One request to server number I. */
static int query(struct meta *meta, size_t i, const char *parameters, struct deadline deadline, json_t **tree,
                 struct error **err)
{
    static const char *const headers[] = {"Accept: application/json", NULL};
    _cleanup_free_ char *url = xasprintf("%s/self%s", meta->servers[i], parameters);
    struct http_request request = {.url = url, .headers = headers, .limit = ANSWER_LIMIT};
    _cleanup_answer_ struct http_answer answer = {0};
    if (http_do(meta->http, &request, deadline, STATUS_METADATA_UNREACHABLE, &answer, err) < 0) {
        return -1;
    }
    if (read_answer(&answer, tree, err) < 0) {
        return error_wrap(err, "GET %s/self", meta->servers[i]);
    }
    meta->current = i;
    free(meta->version);
    meta->version = STEAL(answer.metad_version);
    return 0;
}

/* What the servers answered in one round. */
struct complaints {
    struct buffer text;
    size_t count, invalid, unknown;
};

static void complain(struct complaints *complaints, const struct error *err)
{
    buffer_printf(&complaints->text, "%s%s", complaints->count > 0 ? "; " : "", err->message);
    complaints->count++;
    complaints->invalid += err->status == STATUS_METADATA_INVALID;
    complaints->unknown += err->status == STATUS_METADATA_UNKNOWN_HOST;
}

static void free_complaints(struct complaints *complaints)
{
    buffer_free(&complaints->text);
}

static int verdict(const struct complaints *complaints)
{
    if (complaints->invalid > 0) {
        return STATUS_METADATA_INVALID;
    }
    return complaints->unknown == complaints->count ? STATUS_METADATA_UNKNOWN_HOST : STATUS_METADATA_UNREACHABLE;
}

/* Each server once, beginning with the one that answered last. */
static int query_round(struct meta *meta, struct deadline deadline, json_t **tree, struct error **err)
{
    _cleanup_(free_complaints) struct complaints complaints = {0};
    size_t count = strv_length(meta->servers);
    size_t first = meta->current;
    for (size_t n = 0; n < count; n++) {
        _cleanup_error_ struct error *reason = NULL;
        struct deadline request = deadline_earlier(deadline, deadline_in(meta->timeout_ms));
        if (query(meta, (first + n) % count, "", request, tree, &reason) == 0) {
            return 0;
        }
        if (reason->status == STATUS_INTERRUPTED) {
            return error_move(err, &reason);
        }
        complain(&complaints, reason);
    }
    return error_new(err, verdict(&complaints), "%s", complaints.text.data);
}

/* Waits ROUND's share of the back-off, between half and the whole of it so that a cluster's machines do not request in
 * step. STATUS_INTERRUPTED. */
static int pause_after(unsigned round, struct deadline deadline, struct error **err)
{
    int64_t longest = round < 5 ? (int64_t)FIRST_PAUSE_MS << round : LONGEST_PAUSE_MS;
    int64_t pause = longest / 2 + arc4random_uniform((uint32_t)(longest / 2));
    return interrupt_sleep(pause, deadline, err);
}

static void remember(struct meta *meta, json_t *tree)
{
    json_decref(meta->last);
    meta->last = json_incref(tree);
}

void meta_keep(struct meta *meta, json_t *tree)
{
    _cleanup_error_ struct error *err = NULL;
    if (meta->cache != NULL && meta_tree_save_private(meta->cache, tree, &err) < 0) {
        log_warning("the metadata is not cached: %s", err->message);
    }
}

int meta_get(struct meta *meta, struct deadline deadline, json_t **tree, struct error **err)
{
    if (meta->file != NULL) {
        return meta_tree_load(meta->file, tree, err);
    }
    int64_t started = clock_ms();
    struct deadline end = deadline_earlier(deadline, deadline_in(meta->deadline_ms));
    _cleanup_error_ struct error *complaint = NULL; /* of the last round that was not cut short */
    for (unsigned round = 0;; round++) {
        _cleanup_error_ struct error *reason = NULL;
        if (query_round(meta, end, tree, &reason) == 0) {
            remember(meta, *tree);
            return 0;
        }
        if (reason->status == STATUS_INTERRUPTED) {
            return error_move(err, &reason);
        }
        log_debug("metadata, round %u: %s", round + 1, reason->message);
        if (complaint == NULL || deadline_left(end) > 0) {
            error_freep(&complaint);
            complaint = STEAL(reason);
        }
        if (pause_after(round, end, err) < 0) {
            return error_wrap(err, "requesting the metadata");
        }
        if (deadline_left(end) == 0) {
            return error_new(err, complaint->status, "no usable metadata in %lld ms: %s",
                             (long long)(clock_ms() - started), complaint->message);
        }
    }
}

/* One long poll of the server that answered last. */
static int long_poll(struct meta *meta, struct deadline deadline, json_t **tree, struct error **err)
{
    _cleanup_free_ char *version = http_escape(meta->version != NULL ? meta->version : "");
    _cleanup_free_ char *parameters = xasprintf("?wait=true%s%s", *version != '\0' ? "&prev_version=" : "", version);
    return query(meta, meta->current, parameters, deadline_earlier(deadline, deadline_in(LONG_POLL_MS)), tree, err);
}

/* A long poll, and where it brings nothing the tree from any server: the one that was polled may be gone, or be a new
 * one that counts its versions from 1 again. -1 without *err when DEADLINE passed during a poll. */
static int long_poll_or_get(struct meta *meta, struct deadline deadline, json_t **tree, struct error **err)
{
    _cleanup_error_ struct error *reason = NULL;
    if (long_poll(meta, deadline, tree, &reason) == 0) {
        return 0;
    }
    if (reason->status == STATUS_INTERRUPTED) {
        return error_move(err, &reason);
    }
    return deadline_left(deadline) > 0 ? query_round(meta, deadline, tree, err) : -1;
}

static int nothing_new(int64_t started, const struct error *trouble, struct error **err)
{
    return error_new(err, trouble != NULL ? trouble->status : STATUS_DEADLINE,
                     "nothing new in the metadata in %lld ms%s%s", (long long)(clock_ms() - started),
                     trouble != NULL ? ": " : "", trouble != NULL ? trouble->message : "");
}

int meta_wait(struct meta *meta, struct deadline deadline, json_t **tree, struct error **err)
{
    if (meta->file != NULL) {
        return error_new(err, STATUS_DEADLINE, "the metadata file %s does not change", meta->file);
    }
    if (meta->last == NULL) {
        return meta_get(meta, deadline, tree, err);
    }
    int64_t started = clock_ms();
    _cleanup_error_ struct error *trouble = NULL; /* of the last round, none when it brought an answer */
    for (unsigned idle = 0;; idle++) {
        _cleanup_free_ char *before = xstrdup(meta->version);
        _cleanup_error_ struct error *reason = NULL;
        _cleanup_json_ json_t *answer = NULL;
        int r = long_poll_or_get(meta, deadline, &answer, &reason);
        if (r == 0 && !json_equal(answer, meta->last)) {
            remember(meta, answer);
            *tree = STEAL(answer);
            return 0;
        }
        if (reason != NULL && reason->status == STATUS_INTERRUPTED) {
            return error_move(err, &reason);
        }
        if (r == 0 || reason != NULL) {
            error_freep(&trouble);
            trouble = STEAL(reason);
        }
        if (deadline_left(deadline) == 0) {
            return nothing_new(started, trouble, err);
        }
        /* A version that changed for another cluster does not lengthen the wait. */
        if (r == 0 && before != NULL && meta->version != NULL && strcmp(before, meta->version) != 0) {
            idle = 0;
        }
        if (pause_after(idle, deadline, err) < 0) {
            return error_wrap(err, "waiting for the metadata");
        }
    }
}

int meta_cached(struct meta *meta, json_t **tree, struct error **err)
{
    if (meta->cache == NULL) {
        return error_new(err, STATUS_METADATA_UNREACHABLE, "there is no cached metadata for this source");
    }
    return meta_tree_load_private(meta->cache, tree, err);
}

int meta_get_or_cached(struct meta *meta, struct deadline deadline, json_t **tree, struct error **err)
{
    _cleanup_error_ struct error *reason = NULL;
    if (meta_get(meta, deadline, tree, &reason) == 0) {
        return 0;
    }
    if (reason->status != STATUS_INTERRUPTED && meta_cached(meta, tree, NULL) == 0) {
        log_warning("using the cached metadata %s: %s", meta->cache, reason->message);
        return 0;
    }
    return error_move(err, &reason);
}

int meta_report(const char *url, const char *cluster, const char *role, const char *instance, const json_t *body,
                struct deadline deadline, struct error **err)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    _cleanup_free_ char *c = http_escape(cluster);
    _cleanup_free_ char *r = http_escape(role);
    _cleanup_free_ char *i = http_escape(instance);
    _cleanup_free_ char *where = xasprintf("%s/v1/data/clusters/%s/hosts/%s/%s/health", url, c, r, i);
    _cleanup_free_ char *text = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);
    const struct http_request request = {
        .method = "PUT", .url = where, .headers = headers, .body = text, .body_len = strlen(text)};
    return http_fetch(&request, deadline, STATUS_METADATA_UNREACHABLE, NULL, NULL, err);
}
