#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "lib/core/json.h"
#include "tests/lab/images/elasticsearch/cluster.h"
#include "tests/lab/images/elasticsearch/elasticsearch.h"
#include "tests/lab/images/shared/cluster.h"

struct found {
    const char *field; /* "": everything */
    const char *value;
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
    struct found *found = data;
    bool all = found->field[0] == '\0';
    const json_t *source = json_object_get(document, "_source");
    const json_t *value = all ? NULL : field_of(source, found->field);
    if (all || (value != NULL && matches(value, found->value))) {
        found->total++;
        if ((json_int_t)json_array_size(found->hits) < found->size) {
            json_array_append_new(found->hits, json_pack("{ss ss* sO}", "_index", found->index->name, "_id",
                                                         json_text(document, "_id"), "_source", source));
        }
    }
    return true;
}

json_t *search_store(const json_t *query, const json_t *names)
{
    struct found found = {.field = text_at(query, "field"),
                          .value = text_at(query, "value"),
                          .size = json_integer_value(json_object_get(query, "size")),
                          .hits = json_array()};
    size_t i;
    json_t *name;
    json_array_foreach (names, i, name) {
        found.index = store_find(json_string_value(name));
        if (found.index != NULL) {
            store_each(found.index, take, &found);
        }
    }
    return json_pack("{sI so}", "total", found.total, "hits", found.hits);
}

static void set_field(json_t *query, const char *field, const char *value)
{
    const char *suffix = strstr(field, ".keyword");
    size_t len = suffix == NULL ? strlen(field) : (size_t)(suffix - field);
    json_object_set_new(query, "field", json_stringn(field, len));
    json_object_set_new(query, "value", json_string(value));
}

/* QUERY is {"field", "value", "size"}. */
static bool read_body(const json_t *body, json_t *query)
{
    static const char *const kinds[] = {"match", "match_phrase", "term"};
    const json_t *clause = json_object_get(body, "query");
    json_t *size = json_object_get(body, "size");
    if (size != NULL) {
        json_object_set(query, "size", size);
    }
    if (clause == NULL || json_object_get(clause, "match_all") != NULL) {
        return true;
    }
    for (size_t i = 0; i < ELEMENTS(kinds); i++) {
        const char *key;
        json_t *value;
        json_object_foreach (json_object_get(clause, kinds[i]), key, value) {
            json_t *plain = json_is_object(value) ? json_object_get(value, "query") : value;
            _cleanup_free_ char *text =
                json_is_string(plain) ? xstrdup(json_string_value(plain)) : json_dumps(plain, JSON_ENCODE_ANY);
            set_field(query, key, text);
        }
    }
    return json_object_get(query, "field") != NULL;
}

static json_t *read_query(const struct http_request *request)
{
    _cleanup_free_ char *q = query_value(request, "q");
    _cleanup_free_ char *size = query_value(request, "size");
    char *colon = q == NULL ? NULL : strchr(q, ':');
    json_t *query = json_pack("{sI}", "size", size == NULL ? (json_int_t)10 : (json_int_t)strtoll(size, NULL, 10));
    if (colon != NULL) {
        char *value = colon + 1;
        size_t len = strlen(value);
        *colon = '\0';
        if (value[0] == '"' && len > 1) {
            value[len - 1] = '\0';
            value++;
        }
        set_field(query, q, value);
    }
    return query;
}

void search(const char *indices, const struct http_request *request, struct http_reply *reply)
{
    _cleanup_json_ json_t *query = read_query(request);
    _cleanup_json_ json_t *body = request->length > 0 ? json_loadb(request->body, request->length, 0, NULL) : NULL;
    if ((request->length > 0 && body == NULL) || !read_body(body, query)) {
        refuse(reply, 400, es_error("parsing_exception", "this query is not known here"));
        return;
    }
    _cleanup_json_ json_t *names = names_of(indices);
    _cleanup_json_ json_t *found = shards_search(query, names);
    reply_json(reply,
               json_pack("{si sb s{s{sO ss} sO}}", "took", 1, "timed_out", 0, "hits", "total", "value",
                         json_object_get(found, "total"), "relation", "eq", "hits", json_object_get(found, "hits")));
}
