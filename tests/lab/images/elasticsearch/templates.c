#include <string.h>

#include "lib/core/json.h"
#include "tests/lab/images/elasticsearch/cluster.h"
#include "tests/lab/images/elasticsearch/elasticsearch.h"

static bool one_of(const char *text, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (text != NULL && strcmp(text, *list) == 0) {
            return true;
        }
    }
    return false;
}

static json_t *dynamic_problem(const char *name, const json_t *template)
{
    static const char *const looks[] = {"object", "string", "long", "double", "boolean", "date", "binary", "*", NULL};
    static const char *const known[] = {
        "match", "unmatch", "path_match", "path_unmatch", "match_pattern", "match_mapping_type", "mapping", NULL};
    static const char *const types[] = {"text", "keyword", "long", "double", "float", "boolean", "date", NULL};
    const json_t *mapping = json_object_get(template, "mapping");
    const char *look = json_text(template, "match_mapping_type");
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)template, key, value) {
        if (!one_of(key, known)) {
            return es_error("mapper_parsing_exception", "Illegal dynamic template parameter: [%s]", key);
        }
    }
    if (look != NULL && !one_of(look, looks)) {
        return es_error("mapper_parsing_exception", "No field type matched on [%s]", look);
    }
    if (!json_is_object(mapping) || !one_of(json_text(mapping, "type"), types)) {
        return es_error("mapper_parsing_exception", "template [%s] has no mapping of a type known here", name);
    }
    return NULL;
}

json_t *mapping_problem(const json_t *mapping)
{
    const char *key;
    json_t *value;
    size_t i;
    json_object_foreach ((json_t *)mapping, key, value) {
        if (strcmp(key, "dynamic_templates") != 0 || !json_is_array(value)) {
            return es_error("mapper_parsing_exception", "Root mapping definition has unsupported parameters:  [%s]",
                            key);
        }
        json_t *named;
        json_array_foreach (value, i, named) {
            void *first = json_object_iter(named);
            json_t *problem =
                json_object_size(named) != 1
                    ? es_error("mapper_parsing_exception", "A dynamic template must be defined with a name")
                    : dynamic_problem(json_object_iter_key(first), json_object_iter_value(first));
            if (problem != NULL) {
                return problem;
            }
        }
    }
    return NULL;
}

static json_t *template_problem(const json_t *template)
{
    static const char *const known[] = {"order", "version", "index_patterns", "settings", "mappings", "aliases", NULL};
    const char *key;
    json_t *value;
    if (!json_is_object(template)) {
        return es_error("parse_exception", "request body is required");
    }
    json_object_foreach ((json_t *)template, key, value) {
        if (!one_of(key, known)) {
            return es_error("parse_exception", "unknown key [%s] in the template ", key);
        }
    }
    if (json_array_size(json_object_get(template, "index_patterns")) == 0) {
        return es_error("action_request_validation_exception", "Validation Failed: 1: index patterns are missing;");
    }
    return mapping_problem(json_object_get(template, "mappings"));
}

static void put_template(const struct http_request *request, const char *name, struct http_reply *reply)
{
    json_t *template = json_loadb(request->body, request->length, 0, NULL);
    json_t *problem = template_problem(template);
    if (problem != NULL) {
        json_decref(template);
        refuse(reply, 400, problem);
        return;
    }
    reply_acknowledged(reply, master_do("template", json_pack("{ss so}", "name", name, "template", template)));
}

void templates_answer(const struct http_request *request, const char *name, struct http_reply *reply)
{
    _cleanup_json_ json_t *state = state_get();
    json_t *templates = json_object_get(state, "templates");
    bool get = strcmp(request->method, "GET") == 0;
    json_t *one = name[0] == '\0' ? NULL : json_object_get(templates, name);
    if (strcmp(request->method, "PUT") == 0 && name[0] != '\0') {
        put_template(request, name, reply);
    } else if (get && name[0] == '\0') {
        reply_json(reply, json_deep_copy(templates)); /* filter_path: more than was asked for does no harm */
    } else if (get) {
        reply->status = one == NULL ? 404 : 200;
        reply_json(reply, one == NULL ? json_object() : json_pack("{sO}", name, one));
    } else if (strcmp(request->method, "DELETE") == 0 && one != NULL) {
        reply_acknowledged(reply, master_do("delete-template", json_pack("{ss}", "name", name)));
    } else {
        refuse(reply, 404, es_error("index_template_missing_exception", "index_template [%s] missing", name));
    }
}

/* Those of one template alone are enough here: templates that match the same index are merged by the real one. */
json_t *templates_dynamic(const json_t *state, const char *name)
{
    const char *key;
    json_t *template;
    size_t i;
    json_t *pattern;
    json_object_foreach (json_object_get((json_t *)state, "templates"), key, template) {
        json_array_foreach (json_object_get(template, "index_patterns"), i, pattern) {
            json_t *dynamic = json_object_get(json_object_get(template, "mappings"), "dynamic_templates");
            if (dynamic != NULL && name_in_list(json_string_value(pattern), name)) {
                return json_deep_copy(dynamic);
            }
        }
    }
    return json_array();
}
