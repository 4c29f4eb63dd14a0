#include <ctype.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/core/json.h"
#include "tests/lab/images/elasticsearch/elasticsearch.h"

#define FIELD_LIMIT 1000 /* index.mapping.total_fields.limit */

json_t *es_error(const char *type, const char *format, ...)
{
    char *reason = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&reason, format, args);
    va_end(args);
    json_t *error = json_pack("{ss ss}", "type", type, "reason", n < 0 ? "" : reason);
    free(reason);
    return error;
}

static bool digits(const char *s, int n)
{
    for (int i = 0; i < n; i++) {
        if (!isdigit((unsigned char)s[i])) {
            return false;
        }
    }
    return true;
}

/* strict_date_optional_time, and yyyy/MM/dd: what date detection makes a date of. */
static bool is_date(const char *s)
{
    size_t len = strlen(s);
    if (len < 10 || !digits(s, 4) || (s[4] != '-' && s[4] != '/') || !digits(s + 5, 2) || s[7] != s[4] ||
        !digits(s + 8, 2)) {
        return false;
    }
    if (len == 10) {
        return true;
    }
    if (s[4] != '-' || s[10] != 'T' || len < 13 || !digits(s + 11, 2)) {
        return false;
    }
    return strspn(s + 13, "0123456789:.,+-Z") == len - 13;
}

static bool is_number(const char *s)
{
    char *end;
    (void)strtod(s, &end);
    return *s != '\0' && *end == '\0';
}

static const char *type_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "object";
    case JSON_STRING:
        return is_date(json_string_value(value)) ? "date" : "text";
    case JSON_INTEGER:
        return "long";
    case JSON_REAL:
        return "float";
    case JSON_TRUE:
    case JSON_FALSE:
        return "boolean";
    default:
        return NULL;
    }
}

/* The name of a type as a template has it when it has ignore_malformed: what does not fit is not indexed. */
#define LENIENT " ignore_malformed"

/* Whether a field of TYPE takes the scalar VALUE. */
static bool scalar_fits(const char *type, const json_t *value)
{
    const char *text = json_string_value(value);
    if (strcmp(type, "text") == 0 || strcmp(type, "keyword") == 0 || strstr(type, LENIENT) != NULL) {
        return true;
    }
    if (strcmp(type, "long") == 0 || strcmp(type, "float") == 0 || strcmp(type, "double") == 0) {
        return json_is_number(value) || (text != NULL && is_number(text));
    }
    if (strcmp(type, "boolean") == 0) {
        return json_is_boolean(value) ||
               (text != NULL && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0 || *text == '\0'));
    }
    return json_is_integer(value) || (text != NULL && is_date(text));
}

struct walk {
    const json_t *mapping;
    const json_t *dynamic;
    json_t *learnt;
};

static json_t *take_value(struct walk *w, const char *path, const json_t *value);

static const char *known_type(const struct walk *w, const char *path)
{
    const char *type = json_text(w->mapping, path);
    return type != NULL ? type : json_text(w->learnt, path);
}

static json_t *learn(struct walk *w, const char *path, const char *type)
{
    json_object_set_new(w->learnt, path, json_string(type));
    if (json_object_size(w->mapping) + json_object_size(w->learnt) > FIELD_LIMIT) {
        return es_error("illegal_argument_exception", "Limit of total fields [%d] in index has been exceeded",
                        FIELD_LIMIT);
    }
    return NULL;
}

/* FOUND, or what the first dynamic template says that matches the path and what the value looks like. The caller
 * frees. */
static char *templated(const struct walk *w, const char *path, const char *found)
{
    const char *looks = strcmp(found, "text") == 0 ? "string" : strcmp(found, "float") == 0 ? "double" : found;
    size_t i;
    json_t *named;
    json_array_foreach ((json_t *)w->dynamic, i, named) {
        const json_t *template = json_object_iter_value(json_object_iter(named));
        const char *match = json_text(template, "match_mapping_type");
        const char *paths = json_text(template, "path_match");
        if ((match == NULL || strcmp(match, looks) == 0) && (paths == NULL || fnmatch(paths, path, 0) == 0)) {
            const json_t *mapping = json_object_get(template, "mapping");
            const char *type = json_text(mapping, "type");
            return xasprintf("%s%s", type == NULL ? found : type,
                             json_is_true(json_object_get(mapping, "ignore_malformed")) ? LENIENT : "");
        }
    }
    return xstrdup(found);
}

/* The objects above a field whose name has dots. */
static json_t *take_parents(struct walk *w, const char *path, size_t from)
{
    for (const char *dot = strchr(path + from, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
        _cleanup_free_ char *parent = xstrndup(path, (size_t)(dot - path));
        const char *type = known_type(w, parent);
        json_t *problem = type == NULL ? learn(w, parent, "object") : NULL;
        if (problem != NULL) {
            return problem;
        }
        if (type != NULL && strcmp(type, "object") != 0) {
            return es_error("mapper_parsing_exception",
                            "Could not dynamically add mapping for field [%s]. Existing mapping for [%s] must be of "
                            "type object but found [%s].",
                            path, parent, type);
        }
    }
    return NULL;
}

static json_t *take_object(struct walk *w, const char *prefix, const json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)object, key, value) {
        if (key[0] == '\0' || key[0] == '.' || key[strlen(key) - 1] == '.' || strstr(key, "..") != NULL) {
            return es_error("mapper_parsing_exception", "failed to parse: field name [%s] cannot have empty parts",
                            key);
        }
        _cleanup_free_ char *path = prefix[0] == '\0' ? xstrdup(key) : xasprintf("%s.%s", prefix, key);
        json_t *problem = take_parents(w, path, prefix[0] == '\0' ? 0 : strlen(prefix) + 1);
        problem = problem == NULL ? take_value(w, path, value) : problem;
        if (problem != NULL) {
            return problem;
        }
    }
    return NULL;
}

static json_t *take_value(struct walk *w, const char *path, const json_t *value)
{
    size_t i;
    json_t *item;
    if (json_is_array(value)) {
        json_array_foreach (value, i, item) {
            json_t *problem = take_value(w, path, item);
            if (problem != NULL) {
                return problem;
            }
        }
        return NULL;
    }
    const char *found = type_of(value);
    const char *type = known_type(w, path);
    if (found == NULL) {
        return NULL; /* null */
    }
    if (type == NULL) {
        _cleanup_free_ char *made = templated(w, path, found);
        json_t *problem = learn(w, path, made);
        return problem != NULL ? problem : json_is_object(value) ? take_object(w, path, value) : NULL;
    }
    bool object = strcmp(type, "object") == 0;
    if (object && !json_is_object(value)) {
        return es_error("mapper_parsing_exception",
                        "object mapping for [%s] tried to parse field [%s] as object, but found a concrete value", path,
                        path);
    }
    if (!object && (json_is_object(value) || !scalar_fits(type, value))) {
        return es_error("mapper_parsing_exception", "failed to parse field [%s] of type [%s]", path, type);
    }
    return object ? take_object(w, path, value) : NULL;
}

json_t *mapping_take(json_t *mapping, const json_t *dynamic, const json_t *document)
{
    static const char *const metadata[] = {"_id", "_index", "_type", "_source", "_routing", "_seq_no", "_version"};
    _cleanup_json_ json_t *learnt = json_object();
    for (size_t i = 0; i < ELEMENTS(metadata); i++) {
        if (json_object_get(document, metadata[i]) != NULL) {
            return es_error("mapper_parsing_exception",
                            "Field [%s] is a metadata field and cannot be added inside a document", metadata[i]);
        }
    }
    struct walk w = {mapping, dynamic, learnt};
    json_t *problem = take_object(&w, "", document);
    if (problem == NULL) {
        json_object_update(mapping, learnt);
    }
    return problem;
}
