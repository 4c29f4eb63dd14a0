#include <fnmatch.h>
#include <string.h>
#include <strings.h>

#include "lib/core/json.h"
#include "tests/lab/images/elasticsearch/cluster.h"
#include "tests/lab/images/elasticsearch/elasticsearch.h"
#include "tests/lab/images/shared/cluster.h"

bool name_in_list(const char *list, const char *name)
{
    _cleanup_free_ char *copy = xstrdup(list);
    char *rest = NULL;
    if (copy[0] == '\0' || strcmp(copy, "_all") == 0) {
        return true;
    }
    for (char *pattern = strtok_r(copy, ",", &rest); pattern != NULL; pattern = strtok_r(NULL, ",", &rest)) {
        if (fnmatch(pattern, name, 0) == 0) {
            return true;
        }
    }
    return false;
}

/* %XX undone, in place. */
static void decode(char *text)
{
    char *out = text;
    for (char *in = text; *in != '\0'; in++) {
        char digits[3] = "";
        if (*in == '%' && strlen(in) > 2) {
            memcpy(digits, in + 1, 2);
            *out++ = (char)strtoul(digits, NULL, 16);
            in += 2;
        } else {
            *out++ = *in;
        }
    }
    *out = '\0';
}

char *query_value(const struct http_request *request, const char *name)
{
    _cleanup_free_ char *copy = xstrdup(request->query == NULL ? "" : request->query);
    char *rest = NULL;
    for (char *pair = strtok_r(copy, "&", &rest); pair != NULL; pair = strtok_r(NULL, "&", &rest)) {
        size_t len = strcspn(pair, "=");
        if (strlen(name) == len && strncmp(name, pair, len) == 0) {
            char *value = xstrdup(pair[len] == '=' ? pair + len + 1 : "");
            decode(value);
            return value;
        }
    }
    return NULL;
}

void refuse(struct http_reply *reply, int status, json_t *error)
{
    reply->status = status;
    reply_json(reply, json_pack("{so si}", "error", error, "status", status));
}

void reply_acknowledged(struct http_reply *reply, json_t *problem)
{
    if (problem != NULL) {
        refuse(reply, 503, problem);
    } else {
        reply_json(reply, json_pack("{sb}", "acknowledged", 1));
    }
}

json_t *names_of(const char *list)
{
    _cleanup_json_ json_t *state = state_get();
    json_t *names = json_array();
    const char *name;
    json_t *index;
    json_object_foreach (json_object_get(state, "indices"), name, index) {
        if (name_in_list(list, name)) {
            json_array_append_new(names, json_string(name));
        }
    }
    return names;
}

static void get_count(const char *list, struct http_reply *reply)
{
    _cleanup_json_ json_t *names = names_of(list);
    _cleanup_json_ json_t *counts = shards_count(names);
    json_int_t sum = 0;
    const char *name;
    json_t *count;
    json_object_foreach (counts, name, count) {
        sum += json_integer_value(count);
    }
    json_int_t total = (json_int_t)json_array_size(names);
    json_int_t good = (json_int_t)json_object_size(counts);
    reply_json(reply, json_pack("{sI s{sI sI si sI}}", "count", sum, "_shards", "total", total, "successful", good,
                                "skipped", 0, "failed", total - good));
}

static void delete_indices(const char *list, struct http_reply *reply)
{
    json_t *names = names_of(list);
    if (json_array_size(names) == 0 && strpbrk(list, "*") == NULL) {
        json_decref(names);
        refuse(reply, 404, es_error("index_not_found_exception", "no such index [%s]", list));
    } else {
        reply_acknowledged(reply, master_do("delete-indices", json_pack("{so}", "names", names)));
    }
}

static void make_index(const char *name, struct http_reply *reply)
{
    const char *wrong = index_name_problem(name);
    _cleanup_json_ json_t *state = state_get();
    if (wrong != NULL) {
        refuse(reply, 400, es_error("invalid_index_name_exception", "Invalid index name [%s], %s", name, wrong));
    } else if (json_object_get(json_object_get(state, "indices"), name) != NULL) {
        refuse(reply, 400, es_error("resource_already_exists_exception", "index [%s] already exists", name));
    } else {
        json_t *problem = master_do("create-index", json_pack("{ss}", "name", name));
        if (problem != NULL) {
            refuse(reply, 503, problem);
            return;
        }
        reply_json(reply, json_pack("{sb sb ss}", "acknowledged", 1, "shards_acknowledged", 1, "index", name));
    }
}

static void put_document(const char *name, const char *id, const struct http_request *request, struct http_reply *reply)
{
    const char *wrong = index_name_problem(name);
    _cleanup_json_ json_t *document = json_loadb(request->body, request->length, 0, NULL);
    if (wrong != NULL || !json_is_object(document)) {
        refuse(reply, 400,
               wrong != NULL ? es_error("invalid_index_name_exception", "Invalid index name [%s], %s", name, wrong)
                             : es_error("mapper_parsing_exception", "failed to parse"));
        return;
    }
    _cleanup_json_ json_t *items =
        json_pack("[{ss ss ss* sO}]", "verb", "index", "index", name, "id", id, "source", document);
    make_indices(items);
    shards_write(items);
    json_t *item = json_array_get(items, 0);
    int status = (int)json_integer_value(json_object_get(item, "status"));
    if (status >= 300) {
        refuse(reply, status, json_incref(json_object_get(item, "error")));
        return;
    }
    reply->status = status;
    reply_json(reply, json_pack("{ss ss* ss}", "_index", name, "_id", id, "result", "created"));
}

/* {"index":{"number_of_replicas":1}} and {"index.number_of_replicas":1}: "index.number_of_replicas" */
static void flatten(const char *prefix, const json_t *object, json_t *flat)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)object, key, value) {
        _cleanup_free_ char *path = prefix[0] == '\0' ? xstrdup(key) : xasprintf("%s.%s", prefix, key);
        if (json_is_object(value)) {
            flatten(path, value, flat);
        } else if (json_is_null(value) || json_is_string(value)) {
            json_object_set(flat, path, value);
        } else {
            _cleanup_free_ char *text = json_dumps(value, JSON_ENCODE_ANY);
            json_object_set_new(flat, path, json_string(text));
        }
    }
}

static json_t *flattened(const json_t *object)
{
    json_t *flat = json_object();
    flatten("", object, flat);
    return flat;
}

static void put_index_settings(const struct http_request *request, const char *list, struct http_reply *reply)
{
    _cleanup_json_ json_t *body = json_loadb(request->body, request->length, 0, NULL);
    _cleanup_json_ json_t *flat = flattened(body);
    const char *key;
    json_t *value;
    json_object_foreach (flat, key, value) {
        if (strncmp(key, "index.", 6) != 0 || strcmp(key, "index.number_of_shards") == 0) {
            refuse(reply, 400, es_error("illegal_argument_exception", "Can't update non dynamic settings [[%s]]", key));
            return;
        }
    }
    reply_acknowledged(reply,
                       master_do("index-settings", json_pack("{so sO}", "names", names_of(list), "settings", flat)));
}

static void get_index_settings(const char *list, struct http_reply *reply)
{
    _cleanup_json_ json_t *state = state_get();
    json_t *all = json_object();
    const char *name;
    json_t *index;
    json_object_foreach (json_object_get(state, "indices"), name, index) {
        json_t *settings = json_deep_copy(json_object_get(index, "settings"));
        _cleanup_free_ char *replicas = xasprintf("%d", replicas_of(index));
        json_object_set_new(settings, "index.number_of_replicas", json_string(replicas));
        if (name_in_list(list, name)) {
            json_object_set_new(all, name, json_pack("{sO}", "settings", settings));
        }
        json_decref(settings);
    }
    reply_json(reply, all);
}

static void put_mapping(const struct http_request *request, const char *list, struct http_reply *reply)
{
    _cleanup_json_ json_t *body = json_loadb(request->body, request->length, 0, NULL);
    json_t *problem =
        json_is_object(body) ? mapping_problem(body) : es_error("parse_exception", "request body is required");
    if (problem != NULL) {
        refuse(reply, 400, problem);
        return;
    }
    json_t *dynamic = json_object_get(body, "dynamic_templates");
    reply_acknowledged(reply, master_do("mapping", json_pack("{so sO}", "names", names_of(list), "dynamic",
                                                             dynamic == NULL ? json_null() : dynamic)));
}

static void cluster_settings(const struct http_request *request, bool put, struct http_reply *reply)
{
    if (put) {
        _cleanup_json_ json_t *body = json_loadb(request->body, request->length, 0, NULL);
        json_t *problem =
            master_do("settings", json_pack("{so}", "settings", flattened(json_object_get(body, "persistent"))));
        if (problem != NULL) {
            refuse(reply, 503, problem);
            return;
        }
    }
    _cleanup_json_ json_t *state = state_get();
    reply_json(reply, json_pack("{sb sO s{}}", "acknowledged", 1, "persistent", json_object_get(state, "settings"),
                                "transient"));
}

static void get_aliases(struct http_reply *reply)
{
    _cleanup_json_ json_t *names = names_of("");
    json_t *all = json_object();
    size_t i;
    json_t *name;
    json_array_foreach (names, i, name) {
        json_object_set_new(all, json_string_value(name), json_pack("{s{}}", "aliases"));
    }
    reply_json(reply, all);
}

/* This node's part of GET /_nodes/jvm. */
static void get_jvm(struct http_reply *reply)
{
    const json_int_t heap = node.heap;
    reply_json(reply, json_pack("{s{s{ss s{s{sI sI}}}}}", "nodes", node.id, "name", node.name, "jvm", "mem",
                                "heap_init_in_bytes", heap, "heap_max_in_bytes", heap));
}

static bool answer_cluster(const struct http_request *request, const char *method, const char *first,
                           const char *second, struct http_reply *reply)
{
    bool get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    bool put = strcmp(method, "PUT") == 0;
    bool cluster = strcmp(first, "_cluster") == 0;
    if (get && first[0] == '\0') {
        reply_json(reply,
                   json_pack("{ss ss s{ss ss} ss}", "name", node.name, "cluster_name", "kubernetes-logging", "version",
                             "number", VERSION, "build_flavor", "oss", "tagline", "You Know, for Search"));
    } else if (get && strcmp(first, "_cat") == 0) {
        get_cat(request, second, reply);
    } else if (get && strcmp(first, "_nodes") == 0 && strcmp(second, "_local/jvm") == 0) {
        get_jvm(reply);
    } else if (strcmp(first, "_template") == 0) {
        templates_answer(request, second, reply);
    } else if (get && strcmp(first, "_alias") == 0) {
        get_aliases(reply);
    } else if (get && cluster && strcmp(second, "health") == 0) {
        get_health(request, reply);
    } else if (get && cluster && strcmp(second, "stats") == 0) {
        _cleanup_json_ json_t *state = state_get();
        reply_json(reply, json_pack("{s{s[s] s{sI}}}", "nodes", "versions", VERSION, "count", "total",
                                    (json_int_t)json_object_size(json_object_get(state, "nodes"))));
    } else if ((get || put) && cluster && strcmp(second, "settings") == 0) {
        cluster_settings(request, put, reply);
    } else {
        return false;
    }
    return true;
}

static void answer_index(const struct http_request *request, const char *first, const char *second,
                         struct http_reply *reply)
{
    const char *method = request->method;
    const char *index = first[0] == '_' && strcmp(first, "_all") != 0 ? "" : first;
    const char *verb = index[0] == '\0' ? first : second;
    bool post = strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0;
    if (strcmp(verb, "_count") == 0) {
        get_count(index, reply);
    } else if (strcmp(verb, "_search") == 0) {
        search(index, request, reply);
    } else if (post && strcmp(verb, "_bulk") == 0) {
        bulk(index, request, reply);
    } else if (strcmp(verb, "_refresh") == 0) {
        reply_json(reply, json_object());
    } else if (strcmp(verb, "_settings") == 0 && strcmp(method, "PUT") == 0) {
        put_index_settings(request, index, reply);
    } else if (strcmp(verb, "_settings") == 0) {
        get_index_settings(index, reply);
    } else if (strcmp(method, "PUT") == 0 && index[0] != '\0' && strcmp(verb, "_mapping") == 0) {
        put_mapping(request, index, reply);
    } else if (post && index[0] != '\0' && strncmp(second, "_doc", 4) == 0) {
        put_document(index, second[4] == '/' ? second + 5 : NULL, request, reply);
    } else if (strcmp(method, "PUT") == 0 && index[0] != '\0' && second[0] == '\0') {
        make_index(index, reply);
    } else if (strcmp(method, "DELETE") == 0 && index[0] != '\0' && second[0] == '\0') {
        delete_indices(index, reply);
    } else {
        refuse(reply, 400,
               es_error("illegal_argument_exception", "no handler found for uri [%s] and method [%s]", request->path,
                        method));
    }
}

/* The real one takes no body of another type (406). */
static bool type_is_known(const struct http_request *request)
{
    _cleanup_free_ char *type = http_header(request, "Content-Type");
    return request->length == 0 || (type != NULL && (strncasecmp(type, "application/json", 16) == 0 ||
                                                     strncasecmp(type, "application/x-ndjson", 20) == 0));
}

/* Without a master nothing changes, and before the state is recovered nothing is read either. */
static bool is_blocked(const struct http_request *request, const char *first, const char *second,
                       struct http_reply *reply)
{
    _cleanup_json_ json_t *state = state_get();
    bool master = text_at(state, "master")[0] != '\0';
    bool recovered = json_is_true(json_object_get(state, "recovered"));
    bool get = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
    bool bodied = strcmp(first, "_search") == 0 || strcmp(second, "_search") == 0;
    if (first[0] == '\0' || (strcmp(first, "_cluster") == 0 && strcmp(second, "health") == 0)) {
        return false;
    }
    if (master && recovered) {
        return false;
    }
    if (!recovered) {
        refuse(reply, 503,
               es_error("cluster_block_exception",
                        "blocked by: [SERVICE_UNAVAILABLE/1/state not recovered / initialized];"));
        return true;
    }
    if (get || bodied) {
        return false;
    }
    refuse(reply, 503, es_error("cluster_block_exception", "blocked by: [SERVICE_UNAVAILABLE/2/no master];"));
    return true;
}

void es_answer(const struct http_request *request, struct http_reply *reply, void *data)
{
    _cleanup_free_ char *path = xstrdup(request->path + 1);
    (void)data;
    decode(path);
    char *second = strchr(path, '/');
    static char none[] = "";
    if (second != NULL) {
        *second++ = '\0';
    } else {
        second = none;
    }
    if (!type_is_known(request)) {
        refuse(reply, 406, es_error("media_type_header_exception", "Content-Type header is not supported"));
    } else if (is_blocked(request, path, second, reply)) {
        return;
    } else if (strcmp(path, "_cluster") == 0 && strncmp(second, "voting_config_exclusions", 24) == 0) {
        voting_exclusions(request, reply);
    } else if (!answer_cluster(request, request->method, path, second, reply)) {
        answer_index(request, path, second, reply);
    }
}
