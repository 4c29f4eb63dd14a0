#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/core/json.h"
#include "tests/lab/images/elasticsearch/elasticsearch.h"
#include "tests/lab/images/shared/cluster.h"

struct query {
    char *field; /* NULL: everything */
    char *value;
    json_int_t size;
    json_int_t total;
    json_t *hits;
    const struct index *index;
};

/* FIELD may go through objects, or be a name that has dots itself. */
static const json_t *field_of(const json_t *object, const char *field)
{
    const json_t *direct = json_object_get(object, field);
    if (direct != NULL) {
        return direct;
    }
    for (const char *dot = strchr(field, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
        _cleanup_free_ char *first = xstrndup(field, (size_t)(dot - field));
        const json_t *below = json_object_get(object, first);
        const json_t *found = json_is_object(below) ? field_of(below, dot + 1) : NULL;
        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

/* A text is found by itself or by any word of it. */
static bool matches(const json_t *value, const char *wanted)
{
    const char *text = json_string_value(value);
    if (text == NULL) {
        _cleanup_free_ char *scalar = json_dumps(value, JSON_ENCODE_ANY);
        return scalar != NULL && strcmp(scalar, wanted) == 0;
    }
    size_t len = strlen(wanted);
    if (strcmp(text, wanted) == 0 || strcmp(wanted, "*") == 0) {
        return true;
    }
    for (const char *at = strcasestr(text, wanted); at != NULL; at = strcasestr(at + 1, wanted)) {
        if ((at == text || !isalnum((unsigned char)at[-1])) && !isalnum((unsigned char)at[len])) {
            return true;
        }
    }
    return false;
}

static bool take(const json_t *document, void *data)
{
    struct query *query = data;
    const json_t *source = json_object_get(document, "_source");
    const json_t *value = query->field == NULL ? NULL : field_of(source, query->field);
    if (query->field == NULL || (value != NULL && matches(value, query->value))) {
        query->total++;
        if ((json_int_t)json_array_size(query->hits) < query->size) {
            json_array_append_new(query->hits, json_pack("{ss ss* sO}", "_index", query->index->name, "_id",
                                                         json_text(document, "_id"), "_source", source));
        }
    }
    return true;
}

static bool read_body(const json_t *body, struct query *query)
{
    static const char *const kinds[] = {"match", "match_phrase", "term"};
    const json_t *clause = json_object_get(body, "query");
    const json_t *size = json_object_get(body, "size");
    query->size = size == NULL ? query->size : json_integer_value(size);
    if (clause == NULL || json_object_get(clause, "match_all") != NULL) {
        return true;
    }
    for (size_t i = 0; i < ELEMENTS(kinds); i++) {
        const char *key;
        json_t *value;
        json_object_foreach (json_object_get(clause, kinds[i]), key, value) {
            query->field = xstrdup(key);
            const json_t *plain = json_is_object(value) ? json_object_get(value, "query") : value;
            query->value =
                json_is_string(plain) ? xstrdup(json_string_value(plain)) : json_dumps(plain, JSON_ENCODE_ANY);
        }
    }
    return query->field != NULL;
}

void search(const char *indices, const struct http_request *request, struct http_reply *reply)
{
    struct query query = {.size = 10, .hits = json_array()};
    _cleanup_free_ char *q = query_value(request, "q");
    _cleanup_free_ char *size = query_value(request, "size");
    char *colon = q == NULL ? NULL : strchr(q, ':');
    _cleanup_json_ json_t *body = request->length > 0 ? json_loadb(request->body, request->length, 0, NULL) : NULL;
    query.size = size == NULL ? query.size : strtoll(size, NULL, 10);
    if (colon != NULL) {
        char *value = colon + 1;
        size_t len = strlen(value);
        query.field = xstrndup(q, (size_t)(colon - q));
        query.value = value[0] == '"' && len > 1 ? xstrndup(value + 1, len - 2) : xstrdup(value);
    }
    if ((request->length > 0 && body == NULL) || !read_body(body, &query)) {
        json_decref(query.hits);
        reply->status = 400;
        reply_json(reply, json_pack("{so si}", "error", es_error("parsing_exception", "this query is not known here"),
                                    "status", 400));
        return;
    }
    char *suffix = query.field == NULL ? NULL : strstr(query.field, ".keyword");
    if (suffix != NULL) {
        *suffix = '\0';
    }
    for (size_t i = 0; i < store_count(); i++) {
        query.index = store_at(i);
        if (name_in_list(indices, query.index->name)) {
            store_each(query.index, take, &query);
        }
    }
    reply_json(reply, json_pack("{si sb s{s{sI ss} so}}", "took", 1, "timed_out", 0, "hits", "total", "value",
                                query.total, "relation", "eq", "hits", query.hits));
    free(query.field);
    free(query.value);
}
