#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "lib/core/json.h"
#include "tests/lab/images/elasticsearch/cluster.h"
#include "tests/lab/images/elasticsearch/elasticsearch.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/program.h"

/* A copy is sent in pieces (indices.recovery: 512 KiB), each of which is soon written. */
enum { TRIES = 50, PAUSE_US = 200000, WRITE_S = 60, PIECE = 512 << 10 };

/* Of the store. Whoever has it calls no other node. */
static pthread_mutex_t store = PTHREAD_MUTEX_INITIALIZER;
/* Of the primaries here: what is written, and copied, in which order. Taken before STORE. */
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;

static const json_t *index_of(const json_t *state, const char *name)
{
    return json_object_get(json_object_get(state, "indices"), name);
}

static bool is_here(const json_t *state, const char *name)
{
    return json_object_get(json_object_get(index_of(state, name), "copies"), node.name) != NULL;
}

/* An index that was deleted, and a copy that another node has taken over; not one that this node may have to give back
 * to the others. */
static bool is_stale(const json_t *state, const char *name)
{
    const json_t *index = index_of(state, name);
    bool recovered = json_is_true(json_object_get(state, "recovered"));
    return recovered && (index == NULL || (json_object_get(json_object_get(index, "copies"), node.name) == NULL &&
                                           json_object_get(json_object_get(index, "in_sync"), node.name) == NULL));
}

void shards_follow(const json_t *state)
{
    const char *name;
    json_t *index;
    (void)pthread_mutex_lock(&store);
    for (size_t i = store_count(); i > 0; i--) {
        if (is_stale(state, store_at(i - 1)->name)) {
            store_delete(store_at(i - 1));
        }
    }
    json_object_foreach (json_object_get((json_t *)state, "indices"), name, index) {
        if (is_here(state, name) && store_find(name) == NULL) {
            (void)store_open(name);
        }
    }
    (void)pthread_mutex_unlock(&store);
}

static json_t *failed_item(int status, json_t *error)
{
    return json_pack("{si so*}", "status", status, "error", error);
}

/* One document of a primary that is here; LINES: {index: [line...]}, what its copies are to have too. */
static json_t *write_one(const json_t *state, const json_t *item, json_t *lines)
{
    const char *name = text_at(item, "index");
    const json_t *index = index_of(state, name);
    json_t *problem = NULL;
    if (index == NULL || strcmp(text_at(index, "primary"), node.name) != 0) {
        return failed_item(503, es_error("no_shard_available_action_exception", "[%s] is not here", name));
    }
    (void)pthread_mutex_lock(&store);
    struct index *local = store_find(name);
    local = local == NULL ? store_open(name) : local;
    _cleanup_free_ char *line = NULL;
    const struct document document = {json_text(item, "id"), strcmp(text_at(item, "verb"), "create") == 0,
                                      json_object_get(item, "source")};
    int status = store_put(local, json_object_get(index, "dynamic"), &document, &line, &problem);
    (void)pthread_mutex_unlock(&store);
    if (line != NULL) {
        if (json_object_get(lines, name) == NULL) {
            json_object_set_new(lines, name, json_array());
        }
        json_array_append_new(json_object_get(lines, name), json_string(line));
    }
    return failed_item(status, problem);
}

/* A copy that cannot be written to is none any more, before the document counts as written. */
static void write_copies(const json_t *state, const char *name, json_t *lines)
{
    const json_t *index = index_of(state, name);
    const json_t *copies = json_object_get(index, "copies");
    const char *other;
    json_t *value;
    json_object_foreach (json_object_get((json_t *)index, "in_sync"), other, value) {
        json_t *answer = NULL;
        if (strcmp(other, node.name) == 0) {
            continue;
        }
        if (json_object_get(copies, other) != NULL) {
            answer =
                transport_call(address_of(state, other), "/lines", json_pack("{ss sO}", "index", name, "lines", lines));
        }
        if (!json_is_true(json_object_get(answer, "taken"))) {
            json_decref(master_do("failed", json_pack("{ss ss}", "index", name, "name", other)));
        }
        json_decref(answer);
    }
}

static json_t *write_here(const json_t *items)
{
    _cleanup_json_ json_t *lines = json_object();
    json_t *results = json_array();
    size_t i;
    json_t *item;
    const char *name;
    json_t *added;
    (void)pthread_mutex_lock(&writing);
    _cleanup_json_ json_t *state = state_get();
    json_array_foreach (items, i, item) {
        json_array_append_new(results, write_one(state, item, lines));
    }
    json_object_foreach (lines, name, added) {
        write_copies(state, name, added);
    }
    (void)pthread_mutex_unlock(&writing);
    return results;
}

/* {node: [item...]}: those without a result, by where their primary is. */
static json_t *by_primary(const json_t *state, const json_t *items)
{
    json_t *groups = json_object();
    size_t i;
    json_t *item;
    json_array_foreach (items, i, item) {
        const char *primary = text_at(index_of(state, text_at(item, "index")), "primary");
        if (json_object_get(item, "status") != NULL) {
            continue;
        }
        if (json_object_get(groups, primary) == NULL) {
            json_object_set_new(groups, primary, json_array());
        }
        json_array_append(json_object_get(groups, primary), item);
    }
    return groups;
}

static void take_results(json_t *items, const json_t *results)
{
    size_t i;
    json_t *result;
    json_array_foreach (results, i, result) {
        if (json_integer_value(json_object_get(result, "status")) != 503) { /* the primary has moved: again */
            json_object_update(json_array_get(items, i), result);
        }
    }
}

void shards_write(json_t *items)
{
    long began = now_s();
    for (int tries = 0; tries < TRIES && now_s() - began < WRITE_S; tries++) {
        _cleanup_json_ json_t *state = state_get();
        _cleanup_json_ json_t *groups = by_primary(state, items);
        const char *primary;
        json_t *group;
        if (json_object_size(groups) == 0) {
            return;
        }
        if (tries > 0) {
            (void)usleep(PAUSE_US);
        }
        json_object_foreach (groups, primary, group) {
            _cleanup_json_ json_t *results =
                strcmp(primary, node.name) == 0
                    ? write_here(group)
                    : transport_call(address_of(state, primary), "/items", json_incref(group));
            take_results(group, results);
        }
    }
    size_t i;
    json_t *item;
    json_array_foreach (items, i, item) {
        if (json_object_get(item, "status") == NULL) {
            json_t *none = failed_item(503, es_error("unavailable_shards_exception",
                                                     "[%s][0] primary shard is not active", text_at(item, "index")));
            json_object_update(item, none);
            json_decref(none);
        }
    }
}

static json_t *take_lines(const json_t *body)
{
    (void)pthread_mutex_lock(&store);
    struct index *index = store_find(text_at(body, "index"));
    _cleanup_json_ json_t *state = state_get();
    size_t i;
    json_t *line;
    json_array_foreach (json_object_get(body, "lines"), i, line) {
        if (index != NULL) {
            store_add(index, json_object_get(index_of(state, index->name), "dynamic"), json_string_value(line));
        }
    }
    (void)pthread_mutex_unlock(&store);
    return json_pack("{sb}", "taken", index != NULL);
}

/* The first piece of a copy begins it anew; another, which may be of a try that was given up, fits only where it goes
 * on. A copy that is complete is not sent again. */
static json_t *take_copy(const json_t *body)
{
    const char *name = text_at(body, "index");
    unsigned long long from = (unsigned long long)json_integer_value(json_object_get(body, "from"));
    (void)pthread_mutex_lock(&store);
    _cleanup_json_ json_t *state = state_get();
    bool wanted = strcmp(text_at(json_object_get(index_of(state, name), "copies"), node.name), "initializing") == 0;
    struct index *index = wanted ? store_find(name) : NULL;
    if (wanted && from == 0) {
        if (index != NULL) {
            store_delete(index);
        }
        index = store_open(name);
    }
    bool fits = index != NULL && index->lines == from;
    size_t i;
    json_t *line;
    json_array_foreach (json_object_get(body, "lines"), i, line) {
        if (fits) {
            store_add(index, json_object_get(index_of(state, name), "dynamic"), json_string_value(line));
        }
    }
    (void)pthread_mutex_unlock(&store);
    return json_pack("{sb}", "taken", fits);
}

/* Those of LINES from *SENT on, as many as one request has. */
static bool send_piece(const json_t *state, const char *name, const char *to, const json_t *lines, size_t *sent)
{
    json_t *piece = json_array();
    json_int_t from = (json_int_t)*sent;
    for (size_t bytes = 0; *sent < json_array_size(lines) && bytes < PIECE; (*sent)++) {
        bytes += json_string_length(json_array_get(lines, *sent));
        json_array_append(piece, json_array_get(lines, *sent));
    }
    json_t *answer = transport_call(address_of(state, to), "/copy",
                                    json_pack("{ss sI so}", "index", name, "from", from, "lines", piece));
    bool taken = json_is_true(json_object_get(answer, "taken"));
    json_decref(answer);
    return taken;
}

/* What the index NAME has here from *SENT on, and that it has no more. */
static bool send_rest(const json_t *state, const char *name, const char *to, size_t *sent)
{
    (void)pthread_mutex_lock(&store);
    const struct index *index = store_find(name);
    json_t *lines = index == NULL ? NULL : store_lines(index);
    (void)pthread_mutex_unlock(&store);
    bool taken = lines != NULL && send_piece(state, name, to, lines, sent);
    while (taken && *sent < json_array_size(lines)) {
        taken = send_piece(state, name, to, lines, sent);
    }
    json_decref(lines);
    return taken;
}

/* Writing goes on but for what was written meanwhile. */
static void send_copy(const json_t *state, const char *name, const char *to)
{
    size_t sent = 0;
    if (!send_rest(state, name, to, &sent)) {
        return;
    }
    (void)pthread_mutex_lock(&writing);
    if (send_rest(state, name, to, &sent)) {
        json_decref(master_do("started", json_pack("{ss ss}", "index", name, "name", to)));
    }
    (void)pthread_mutex_unlock(&writing);
}

void shards_recover(void)
{
    _cleanup_json_ json_t *state = state_get();
    const char *name;
    json_t *index;
    json_object_foreach (json_object_get(state, "indices"), name, index) {
        const char *to;
        json_t *value;
        if (strcmp(text_at(index, "primary"), node.name) != 0 || text_at(state, "master")[0] == '\0') {
            continue;
        }
        json_object_foreach (json_object_get(index, "copies"), to, value) {
            if (strcmp(json_string_value(value), "initializing") == 0) {
                send_copy(state, name, to);
            }
        }
    }
}

/* {node: [index...]}: a node for each of NAMES that has a copy, this one where it can. */
static json_t *by_copy(const json_t *state, const json_t *names)
{
    json_t *groups = json_object();
    size_t i;
    json_t *name;
    json_array_foreach (names, i, name) {
        const json_t *index = index_of(state, json_string_value(name));
        const char *at = strcmp(text_at(json_object_get(index, "copies"), node.name), "started") == 0
                             ? node.name
                             : text_at(index, "primary");
        if (json_object_get(groups, at) == NULL) {
            json_object_set_new(groups, at, json_array());
        }
        json_array_append(json_object_get(groups, at), name);
    }
    return groups;
}

static json_t *count_here(const json_t *names)
{
    json_t *counts = json_object();
    size_t i;
    json_t *name;
    (void)pthread_mutex_lock(&store);
    json_array_foreach (names, i, name) {
        const struct index *index = store_find(json_string_value(name));
        json_object_set_new(counts, json_string_value(name),
                            json_integer(index == NULL ? 0 : (json_int_t)index->documents));
    }
    (void)pthread_mutex_unlock(&store);
    return counts;
}

json_t *shards_count(const json_t *names)
{
    _cleanup_json_ json_t *state = state_get();
    _cleanup_json_ json_t *groups = by_copy(state, names);
    json_t *all = json_object();
    const char *at;
    json_t *group;
    json_object_foreach (groups, at, group) {
        _cleanup_json_ json_t *counts = strcmp(at, node.name) == 0 ? count_here(group)
                                                                   : transport_call(address_of(state, at), "/count",
                                                                                    json_pack("{sO}", "names", group));
        json_object_update(all, counts);
    }
    return all;
}

static json_t *search_here(const json_t *query, const json_t *names)
{
    (void)pthread_mutex_lock(&store);
    json_t *found = search_store(query, names);
    (void)pthread_mutex_unlock(&store);
    return found;
}

json_t *shards_search(const json_t *query, const json_t *names)
{
    _cleanup_json_ json_t *state = state_get();
    _cleanup_json_ json_t *groups = by_copy(state, names);
    json_t *hits = json_array();
    json_int_t total = 0;
    const char *at;
    json_t *group;
    json_object_foreach (groups, at, group) {
        _cleanup_json_ json_t *found =
            strcmp(at, node.name) == 0 ? search_here(query, group)
                                       : transport_call(address_of(state, at), "/search",
                                                        json_pack("{sO sO}", "names", group, "query", (json_t *)query));
        total += json_integer_value(json_object_get(found, "total"));
        json_array_extend(hits, json_object_get(found, "hits"));
    }
    while ((json_int_t)json_array_size(hits) > json_integer_value(json_object_get(query, "size"))) {
        json_array_remove(hits, json_array_size(hits) - 1);
    }
    return json_pack("{sI so}", "total", total, "hits", hits);
}

json_t *shards_take(const char *path, const json_t *body)
{
    return strcmp(path, "/items") == 0    ? write_here(body)
           : strcmp(path, "/lines") == 0  ? take_lines(body)
           : strcmp(path, "/copy") == 0   ? take_copy(body)
           : strcmp(path, "/count") == 0  ? count_here(json_object_get(body, "names"))
           : strcmp(path, "/search") == 0 ? search_here(json_object_get(body, "query"), json_object_get(body, "names"))
                                          : NULL;
}
