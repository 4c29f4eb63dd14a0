#include <string.h>

#include "tests/lab/images/elasticsearch/cluster.h"
#include "tests/lab/images/elasticsearch/elasticsearch.h"
#include "tests/lab/images/shared/cluster.h"

#define EXCLUDE "cluster.routing.allocation.exclude._name"

bool is_excluded(const json_t *state, const char *name)
{
    const json_t *value = json_object_get(json_object_get(state, "settings"), EXCLUDE);
    const char *excluded = json_is_string(value) ? json_string_value(value) : "";
    return excluded[0] != '\0' && name_in_list(excluded, name);
}

int replicas_of(const json_t *index)
{
    const json_t *set = json_object_get(json_object_get(index, "settings"), "index.number_of_replicas");
    return json_is_string(set) ? (int)strtol(json_string_value(set), NULL, 10) : 1;
}

static bool started(const json_t *copies, const char *name)
{
    return strcmp(text_at(copies, name), "started") == 0;
}

static size_t copies_on(const json_t *state, const char *name)
{
    const char *key;
    json_t *index;
    size_t n = 0;
    json_object_foreach (json_object_get(state, "indices"), key, index) {
        n += json_object_get(json_object_get(index, "copies"), name) != NULL;
    }
    return n;
}

/* The node with the fewest copies that may have one of INDEX, or NULL. */
static const char *place_for(const json_t *state, const json_t *index)
{
    const char *best = NULL;
    const char *name;
    json_t *about;
    json_object_foreach (json_object_get(state, "nodes"), name, about) {
        if (json_object_get(json_object_get(index, "copies"), name) == NULL && !is_excluded(state, name) &&
            (best == NULL || copies_on(state, name) < copies_on(state, best))) {
            best = name;
        }
    }
    return best;
}

static const char *any_started(const json_t *index)
{
    const char *name;
    json_t *value;
    json_object_foreach (json_object_get(index, "copies"), name, value) {
        if (strcmp(json_string_value(value), "started") == 0) {
            return name;
        }
    }
    return "";
}

/* What lies on nodes that are gone; a copy takes over from a primary that is lost. */
static void give_up_gone(const json_t *state, json_t *index)
{
    json_t *copies = json_object_get(index, "copies");
    json_t *moving = json_object_get(index, "moving");
    const json_t *nodes = json_object_get(state, "nodes");
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(copies, next, name, value)
    {
        if (json_object_get(nodes, name) == NULL) {
            json_object_del(moving, name);
            json_object_del(copies, name);
        }
    }
    json_object_foreach_safe(moving, next, name, value)
    {
        if (json_object_get(copies, json_string_value(value)) == NULL || json_object_get(copies, name) == NULL) {
            json_object_del(moving, name);
        }
    }
    if (!started(copies, text_at(index, "primary"))) {
        json_object_set_new(index, "primary", json_string(any_started(index)));
    }
}

/* Nodes of the cluster whose copy is as good as the primary's was: it is again, once they are back. */
static void take_back(const json_t *state, json_t *index)
{
    const char *name;
    json_t *value;
    json_object_foreach (json_object_get(index, "in_sync"), name, value) {
        if (text_at(index, "primary")[0] == '\0' && json_object_get(json_object_get(state, "nodes"), name) != NULL) {
            json_object_set_new(index, "primary", json_string(name));
            json_object_set_new(json_object_get(index, "copies"), name, json_string("started"));
        }
    }
}

static bool is_target(const json_t *index, const char *name)
{
    const char *from;
    json_t *to;
    json_object_foreach (json_object_get((json_t *)index, "moving"), from, to) {
        if (strcmp(json_string_value(to), name) == 0) {
            return true;
        }
    }
    return false;
}

static void place_missing(const json_t *state, json_t *index)
{
    json_t *copies = json_object_get(index, "copies");
    const char *name;
    json_t *value;
    void *next;
    if (json_object_size(json_object_get(index, "in_sync")) == 0 && text_at(index, "primary")[0] == '\0') {
        const char *first = place_for(state, index); /* a new index */
        if (first != NULL) {
            json_object_set_new(index, "primary", json_string(first));
            json_object_set_new(copies, first, json_string("started"));
            json_object_set_new(json_object_get(index, "in_sync"), first, json_true());
        }
    }
    size_t wanted = (size_t)replicas_of(index) + 1;
    size_t there = json_object_size(copies) - json_object_size(json_object_get(index, "moving"));
    const char *place = place_for(state, index);
    for (; text_at(index, "primary")[0] != '\0' && there < wanted && place != NULL; place = place_for(state, index)) {
        json_object_set_new(copies, place, json_string("initializing"));
        there++;
    }
    json_object_foreach_safe(copies, next, name, value)
    {
        if (there > wanted && strcmp(name, text_at(index, "primary")) != 0 && !is_target(index, name) &&
            json_object_get(json_object_get(index, "moving"), name) == NULL) {
            json_object_del(json_object_get(index, "in_sync"), name);
            json_object_del(copies, name);
            there--;
        }
    }
}

static void move(json_t *index, const char *from, const char *to)
{
    json_object_set_new(json_object_get(index, "moving"), from, json_string(to));
    json_object_set_new(json_object_get(index, "copies"), to, json_string("initializing"));
}

static void move_excluded(const json_t *state, json_t *index)
{
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(json_object_get(index, "copies"), next, name, value)
    {
        const char *place = place_for(state, index);
        if (is_excluded(state, name) && place != NULL && strcmp(json_string_value(value), "started") == 0 &&
            json_object_get(json_object_get(index, "moving"), name) == NULL) {
            move(index, name, place);
            return; /* the object has changed; the others follow when this one is there */
        }
    }
}

/* One copy at a time, from the node with the most to the one with the fewest, where that makes a difference. */
static void balance(const json_t *state)
{
    const char *key;
    json_t *index;
    json_object_foreach (json_object_get(state, "indices"), key, index) {
        const char *place = place_for(state, index);
        const char *name;
        json_t *value;
        if (place == NULL || json_object_size(json_object_get(index, "moving")) > 0) {
            continue;
        }
        json_object_foreach (json_object_get(index, "copies"), name, value) {
            if (strcmp(json_string_value(value), "started") == 0 &&
                copies_on(state, name) > copies_on(state, place) + 1) {
                move(index, name, place);
                return;
            }
        }
    }
}

void allocate(json_t *state)
{
    const char *key;
    json_t *index;
    if (!json_is_true(json_object_get(state, "recovered"))) {
        return;
    }
    json_object_foreach (json_object_get(state, "indices"), key, index) {
        give_up_gone(state, index);
        take_back(state, index);
        place_missing(state, index);
        move_excluded(state, index);
    }
    if (shards_of(state).initializing == 0 && shards_of(state).relocating == 0) {
        balance(state);
    }
}

struct shards shards_of(const json_t *state)
{
    struct shards shards = {0};
    const char *key;
    json_t *index;
    json_object_foreach (json_object_get((json_t *)state, "indices"), key, index) {
        const char *name;
        json_t *value;
        int moving = (int)json_object_size(json_object_get(index, "moving"));
        int copies = (int)json_object_size(json_object_get(index, "copies"));
        int active = 0;
        json_object_foreach (json_object_get(index, "copies"), name, value) {
            active += strcmp(json_string_value(value), "started") == 0;
        }
        bool lost = text_at(index, "primary")[0] == '\0';
        shards.red = shards.red || lost;
        shards.primaries += !lost;
        shards.active += active;
        shards.relocating += moving;
        shards.initializing += copies - active - moving;
        shards.unassigned += replicas_of(index) + 1 - (copies - moving);
    }
    return shards;
}
