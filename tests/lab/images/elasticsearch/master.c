#include <pthread.h>
#include <string.h>

#include "lib/core/json.h"
#include "tests/lab/images/elasticsearch/cluster.h"
#include "tests/lab/images/elasticsearch/elasticsearch.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/program.h"

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP; /* one change at a time */

static bool has(const json_t *list, const char *name)
{
    size_t i;
    json_t *one;
    json_array_foreach (list, i, one) {
        if (strcmp(json_string_value(one), name) == 0) {
            return true;
        }
    }
    return false;
}

static void add_some(json_t *list, const json_t *from, size_t most, bool (*fits)(const json_t *state, const char *name),
                     const json_t *state)
{
    size_t i;
    json_t *one;
    json_array_foreach (from, i, one) {
        const char *name = json_string_value(one);
        if (json_array_size(list) < most && !has(list, name) && fits(state, name)) {
            json_array_append(list, one);
        }
    }
}

static bool lives_and_may(const json_t *state, const char *name)
{
    return json_object_get(json_object_get(state, "nodes"), name) != NULL &&
           !has(json_object_get(state, "exclusions"), name);
}

static bool may(const json_t *state, const char *name)
{
    return !has(json_object_get(state, "exclusions"), name);
}

static size_t count_of(const json_t *list, bool (*fits)(const json_t *state, const char *name), const json_t *state)
{
    size_t i;
    json_t *one;
    size_t n = 0;
    json_array_foreach (list, i, one) {
        n += fits(state, json_string_value(one));
    }
    return n;
}

/* Who votes: an odd number of those that are there, no fewer than three by itself, and nobody that is excluded
 * (cluster/coordination/Reconfigurator). */
static void reconfigure(json_t *state)
{
    json_t *names = json_pack("[s]", node.name);
    json_t *next = json_array();
    const json_t *former = json_object_get(state, "voting");
    const char *name;
    json_t *about;
    json_object_foreach (json_object_get(state, "nodes"), name, about) {
        if (strcmp(name, node.name) != 0) {
            json_array_append_new(names, json_string(name));
        }
    }
    size_t living = count_of(names, lives_and_may, state);
    size_t kept = count_of(former, may, state);
    size_t most = living >= 3 ? (living - 1) / 2 * 2 + 1 : kept < 3 ? 1 : 3;
    if (has(former, node.name) && may(state, node.name)) {
        json_array_append_new(next, json_string(node.name));
    }
    add_some(next, former, most, lives_and_may, state);
    add_some(next, names, most, lives_and_may, state);
    add_some(next, former, most, may, state);
    if (is_quorum(next, json_object_get(state, "nodes"))) {
        json_object_set(state, "voting", next);
    }
    json_decref(next);
    json_decref(names);
}

static void join(json_t *state, const json_t *peer)
{
    json_t *nodes = json_object_get(state, "nodes");
    const char *name = text_at(peer, "name");
    if (strcmp(text_at(json_object_get(nodes, name), "id"), text_at(peer, "id")) != 0) {
        json_object_del(nodes, name); /* what it had in its former life is given up first */
        allocate(state);
    }
    json_object_set_new(nodes, name,
                        json_pack("{ss ss}", "address", text_at(peer, "address"), "id", text_at(peer, "id")));
}

static void make_index(json_t *state, const char *name)
{
    if (json_object_get(json_object_get(state, "indices"), name) == NULL) {
        json_object_set_new(json_object_get(state, "indices"), name,
                            json_pack("{s{ss} so ss s{} s{} s{}}", "settings", "index.number_of_shards", "1", "dynamic",
                                      templates_dynamic(state, name), "primary", "", "copies", "moving", "in_sync"));
    }
}

static void start_copy(json_t *index, const char *name)
{
    json_t *moving = json_object_get(index, "moving");
    const char *from;
    json_t *to;
    void *next;
    if (json_object_get(json_object_get(index, "copies"), name) == NULL) {
        return;
    }
    json_object_set_new(json_object_get(index, "copies"), name, json_string("started"));
    json_object_set_new(json_object_get(index, "in_sync"), name, json_true());
    json_object_foreach_safe(moving, next, from, to)
    {
        if (strcmp(json_string_value(to), name) == 0) {
            if (strcmp(text_at(index, "primary"), from) == 0) {
                json_object_set_new(index, "primary", json_string(name));
            }
            json_object_del(json_object_get(index, "copies"), from);
            json_object_del(json_object_get(index, "in_sync"), from);
            json_object_del(moving, from);
        }
    }
}

static void fail_copy(json_t *index, const char *name)
{
    json_object_del(json_object_get(index, "in_sync"), name);
    json_object_del(json_object_get(index, "copies"), name);
    json_object_del(json_object_get(index, "moving"), name);
}

/* null takes a setting away */
static void change_settings(json_t *settings, const json_t *flat)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)flat, key, value) {
        if (json_is_null(value)) {
            json_object_del(settings, key);
        } else {
            json_object_set(settings, key, value);
        }
    }
}

static void change_indices(json_t *state, const char *operation, const json_t *arguments)
{
    json_t *indices = json_object_get(state, "indices");
    size_t i;
    json_t *name;
    json_array_foreach (json_object_get(arguments, "names"), i, name) {
        json_t *index = json_object_get(indices, json_string_value(name));
        if (strcmp(operation, "delete-indices") == 0) {
            json_object_del(indices, json_string_value(name));
        } else if (strcmp(operation, "index-settings") == 0 && index != NULL) {
            change_settings(json_object_get(index, "settings"), json_object_get(arguments, "settings"));
        } else if (strcmp(operation, "mapping") == 0 && index != NULL) {
            json_object_set(index, "dynamic", json_object_get(arguments, "dynamic"));
        }
    }
}

static void change(json_t *state, const char *operation, const json_t *arguments)
{
    const char *name = text_at(arguments, "name");
    json_t *index = json_object_get(json_object_get(state, "indices"), text_at(arguments, "index"));
    json_t *templates = json_object_get(state, "templates");
    if (strcmp(operation, "join") == 0) {
        join(state, arguments);
    } else if (strcmp(operation, "leave") == 0) {
        json_object_del(json_object_get(state, "nodes"), name);
    } else if (strcmp(operation, "recover") == 0) {
        json_object_set_new(state, "recovered", json_true());
    } else if (strcmp(operation, "create-index") == 0) {
        make_index(state, name);
    } else if (strcmp(operation, "template") == 0) {
        json_object_set(templates, name, json_object_get(arguments, "template"));
    } else if (strcmp(operation, "delete-template") == 0) {
        json_object_del(templates, name);
    } else if (strcmp(operation, "settings") == 0) {
        change_settings(json_object_get(state, "settings"), json_object_get(arguments, "settings"));
    } else if (strcmp(operation, "exclusions") == 0) {
        json_object_set(state, "exclusions", json_object_get(arguments, "names"));
    } else if (strcmp(operation, "started") == 0 && index != NULL) {
        start_copy(index, name);
    } else if (strcmp(operation, "failed") == 0 && index != NULL) {
        fail_copy(index, name);
    } else {
        change_indices(state, operation, arguments);
    }
}

/* A master that may not vote any more leaves it to one that may. */
static void step_down(void)
{
    (void)pthread_mutex_lock(&lock);
    json_t *state = state_get();
    if (state_is_mine(state) && !has(json_object_get(state, "voting"), node.name)) {
        json_t *left = json_deep_copy(state);
        say("abdicating: not in the voting configuration");
        json_object_set_new(left, "master", json_string(""));
        (void)master_publish(left);
        json_decref(left);
    }
    json_decref(state);
    (void)pthread_mutex_unlock(&lock);
}

bool master_apply(const char *operation, const json_t *arguments, json_t **problem)
{
    (void)pthread_mutex_lock(&lock);
    json_t *state = state_get();
    json_t *next = json_deep_copy(state);
    bool done = state_is_mine(state);
    json_decref(state);
    if (done) {
        change(next, operation, arguments);
        allocate(next);
        reconfigure(next);
        done = master_publish(next);
    }
    json_decref(next);
    (void)pthread_mutex_unlock(&lock);
    if (!done) {
        *problem = es_error("master_not_discovered_exception", "no master for %s", operation);
    } else if (strcmp(operation, "exclusions") == 0) {
        step_down();
    }
    return done;
}

bool master_publish(json_t *state)
{
    (void)pthread_mutex_lock(&lock);
    json_t *took = json_pack("{sb}", node.name, 1);
    const char *name;
    json_t *about;
    json_t *before = state_get();
    json_object_set_new(state, "version", json_integer(json_integer_value(json_object_get(state, "version")) + 1));
    json_object_foreach (json_object_get(state, "nodes"), name, about) {
        if (strcmp(name, node.name) != 0) {
            json_t *answer = transport_call(text_at(about, "address"), "/publish", json_incref(state));
            if (json_is_true(json_object_get(answer, "taken"))) {
                json_object_set_new(took, name, json_true());
            }
            json_decref(answer);
        }
    }
    const json_t *voting = json_object_get(before, "voting");
    bool good =
        is_quorum(json_object_get(state, "voting"), took) && (json_array_size(voting) == 0 || is_quorum(voting, took));
    if (good) {
        state_set(state);
        shards_follow(state);
    } else {
        json_t *lost = json_deep_copy(before);
        say("publication of version %lld failed: too few nodes took it",
            (long long)json_integer_value(json_object_get(state, "version")));
        json_object_set_new(lost, "master", json_string(""));
        state_set(lost);
        json_decref(lost);
    }
    json_decref(before);
    json_decref(took);
    (void)pthread_mutex_unlock(&lock);
    return good;
}

json_t *master_do(const char *operation, json_t *arguments)
{
    _cleanup_json_ json_t *owned = arguments;
    _cleanup_json_ json_t *state = state_get();
    json_t *problem = NULL;
    if (state_is_mine(state)) {
        (void)master_apply(operation, arguments, &problem);
        return problem;
    }
    json_t *answer = transport_call(address_of(state, text_at(state, "master")), "/master",
                                    json_pack("{ss sO}", "operation", operation, "arguments", arguments));
    if (answer == NULL || json_object_get(answer, "error") != NULL) {
        problem = es_error("master_not_discovered_exception", "no master for %s", operation);
    }
    json_decref(answer);
    return problem;
}
