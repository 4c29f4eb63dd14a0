#include <stdio.h>
#include <string.h>

#include "lib/core/json.h"
#include "tests/lab/images/elasticsearch/cluster.h"
#include "tests/lab/images/elasticsearch/elasticsearch.h"
#include "tests/lab/images/shared/cluster.h"

struct item {
    const char *verb; /* index, create, delete */
    const char *index, *id;
};

/* {"index":{"_index":...,"_id":...}} */
static json_t *read_action(const json_t *line, const char *url_index, struct item *item)
{
    static const char *const verbs[] = {"index", "create", "delete"};
    static const char *const keys[] = {"_index", "_type", "_id", "routing", "require_alias"};
    const char *key;
    json_t *value;
    *item = (struct item){.verb = ""};
    for (size_t i = 0; i < ELEMENTS(verbs); i++) {
        if (json_object_get(line, verbs[i]) != NULL && json_object_size(line) == 1) {
            item->verb = verbs[i];
        }
    }
    if (item->verb[0] == '\0') {
        return es_error("illegal_argument_exception", "Malformed action/metadata line, expected an action");
    }
    json_object_foreach (json_object_get(line, item->verb), key, value) {
        bool known = false;
        for (size_t i = 0; i < ELEMENTS(keys); i++) {
            known = known || strcmp(keys[i], key) == 0;
        }
        if (!known) {
            return es_error("illegal_argument_exception", "Action/metadata line contains an unknown parameter [%s]",
                            key);
        }
    }
    const json_t *about = json_object_get(line, item->verb);
    item->index = json_object_get(about, "_index") == NULL ? url_index : text_at(about, "_index");
    item->id = json_text(about, "_id");
    return NULL;
}

/* With its status where it goes nowhere. */
static json_t *make_item(const struct item *item, const char *source)
{
    const char *wrong = index_name_problem(item->index);
    json_t *made = json_pack("{ss ss ss*}", "verb", item->verb, "index", item->index, "id", item->id);
    json_t *problem = NULL;
    int status = 0;
    json_t *document = source == NULL ? NULL : json_loads(source, JSON_REJECT_DUPLICATES, NULL);
    if (wrong != NULL) {
        problem = es_error("invalid_index_name_exception", "Invalid index name [%s], %s", item->index, wrong);
        status = 400;
    } else if (strcmp(item->verb, "delete") == 0) {
        status = 404;
    } else if (!json_is_object(document)) {
        problem = es_error("mapper_parsing_exception", "failed to parse");
        status = 400;
    }
    json_object_set_new(made, "source", document);
    if (status != 0) {
        json_object_set_new(made, "status", json_integer(status));
        json_object_set_new(made, "error", problem);
    }
    return made;
}

void make_indices(const json_t *items)
{
    _cleanup_json_ json_t *state = state_get();
    _cleanup_json_ json_t *made = json_object();
    size_t i;
    json_t *item;
    json_array_foreach (items, i, item) {
        const char *name = text_at(item, "index");
        if (json_object_get(item, "status") == NULL && json_object_get(made, name) == NULL &&
            json_object_get(json_object_get(state, "indices"), name) == NULL) {
            json_decref(master_do("create-index", json_pack("{ss}", "name", name)));
            json_object_set_new(made, name, json_true());
        }
    }
}

static void reply_items(struct http_reply *reply, const json_t *items)
{
    json_t *all = json_array();
    bool errors = false;
    size_t i;
    json_t *item;
    json_array_foreach (items, i, item) {
        json_t *status = json_object_get(item, "status");
        errors = errors || json_integer_value(status) >= 400;
        json_array_append_new(all, json_pack("{s{ss ss ss* sO sO*}}", text_at(item, "verb"), "_index",
                                             text_at(item, "index"), "_type", "_doc", "_id", json_text(item, "id"),
                                             "status", status, "error", json_object_get(item, "error")));
    }
    reply_json(reply, json_pack("{si sb so}", "took", 1, "errors", errors, "items", all));
}

void bulk(const char *url_index, const struct http_request *request, struct http_reply *reply)
{
    _cleanup_json_ json_t *items = json_array();
    char *rest = request->body;
    if (request->length == 0 || request->body[request->length - 1] != '\n') {
        refuse(reply, 400,
               es_error("illegal_argument_exception", "The bulk request must be terminated by a newline [\\n]"));
        return;
    }
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        struct item item;
        if (line[0] == '\0') {
            continue;
        }
        _cleanup_json_ json_t *action = json_loads(line, 0, NULL);
        json_t *problem = read_action(action, url_index, &item);
        if (problem != NULL) {
            refuse(reply, 400, problem);
            return;
        }
        bool deletes = strcmp(item.verb, "delete") == 0;
        json_array_append_new(items, make_item(&item, deletes ? NULL : strsep(&rest, "\n")));
    }
    make_indices(items);
    shards_write(items);
    reply_items(reply, items);
}
