#include <stdio.h>
#include <string.h>

#include "lib/core/json.h"
#include "tests/lab/images/elasticsearch/elasticsearch.h"
#include "tests/lab/images/shared/cluster.h"

struct item {
    const char *verb; /* index, create, delete */
    const char *index, *id;
};

static void refuse(struct http_reply *reply, json_t *error)
{
    reply->status = 400;
    reply_json(reply, json_pack("{so si}", "error", error, "status", 400));
}

/* {"index":{"_index":...,"_id":...}} */
static json_t *read_action(const json_t *line, const char *url_index, struct item *item)
{
    static const char *const verbs[] = {"index", "create", "delete"};
    static const char *const keys[] = {"_index", "_type", "_id", "routing", "require_alias"};
    const char *key;
    json_t *value;
    *item = (struct item){0};
    for (size_t i = 0; i < ELEMENTS(verbs); i++) {
        if (json_object_get(line, verbs[i]) != NULL && json_object_size(line) == 1) {
            item->verb = verbs[i];
        }
    }
    if (item->verb == NULL) {
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

static int apply_item(const struct item *item, const char *source, json_t **problem)
{
    const char *wrong = index_name_problem(item->index);
    struct index *index = store_find(item->index);
    if (wrong != NULL) {
        *problem = es_error("invalid_index_name_exception", "Invalid index name [%s], %s", item->index, wrong);
        return 400;
    }
    if (item->verb == NULL || strcmp(item->verb, "delete") == 0) {
        return 404;
    }
    _cleanup_json_ json_t *document = json_loads(source, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(document)) {
        *problem = es_error("mapper_parsing_exception", "failed to parse");
        return 400;
    }
    index = index == NULL ? store_make(item->index) : index;
    return store_put(index, item->id, strcmp(item->verb, "create") == 0, document, problem);
}

void bulk(const char *url_index, const struct http_request *request, struct http_reply *reply)
{
    json_t *items = json_array();
    bool errors = false;
    char *rest = request->body;
    if (request->length == 0 || request->body[request->length - 1] != '\n') {
        json_decref(items);
        refuse(reply, es_error("illegal_argument_exception", "The bulk request must be terminated by a newline [\\n]"));
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
            json_decref(items);
            refuse(reply, problem);
            return;
        }
        bool deletes = item.verb != NULL && strcmp(item.verb, "delete") == 0;
        const char *source = deletes ? "" : strsep(&rest, "\n");
        int status = apply_item(&item, source == NULL ? "" : source, &problem);
        errors = errors || status >= 400;
        json_array_append_new(items, json_pack("{s{ss ss ss* si so*}}", item.verb, "_index", item.index, "_type",
                                               "_doc", "_id", item.id, "status", status, "error", problem));
    }
    reply_json(reply, json_pack("{si sb so}", "took", 1, "errors", errors, "items", items));
}
