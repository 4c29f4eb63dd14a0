#include <fnmatch.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/core/json.h"
#include "tests/lab/images/elasticsearch/elasticsearch.h"
#include "tests/lab/images/shared/cluster.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

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

static void refuse(struct http_reply *reply, int status, json_t *error)
{
    reply->status = status;
    reply_json(reply, json_pack("{so si}", "error", error, "status", status));
}

static size_t shards(void)
{
    size_t n = 0;
    for (size_t i = 0; i < store_count(); i++) {
        n += strcmp(store_replicas(store_at(i)), "0") == 0 ? 1 : 2;
    }
    return n;
}

static void get_health(struct http_reply *reply)
{
    reply_json(reply, json_pack("{ss ss sb si si sI sI si si si si si sf}", "cluster_name", "kubernetes-logging",
                                "status", "green", "timed_out", 0, "number_of_nodes", node.nodes,
                                "number_of_data_nodes", node.nodes, "active_primary_shards", (json_int_t)store_count(),
                                "active_shards", (json_int_t)shards(), "relocating_shards", 0, "initializing_shards", 0,
                                "unassigned_shards", 0, "delayed_unassigned_shards", 0, "number_of_pending_tasks", 0,
                                "active_shards_percent_as_number", 100.0));
}

static json_t *index_row(const struct index *index)
{
    _cleanup_free_ char *count = xasprintf("%llu", index->documents);
    return json_pack("{ss ss ss ss ss ss ss}", "health", "green", "status", "open", "index", index->name, "pri",
                     text_at(index->settings, "index.number_of_shards"), "rep", store_replicas(index), "docs.count",
                     count, "sth", "false");
}

static json_t *member_rows(void)
{
    json_t *rows = json_array();
    size_t i;
    json_t *member;
    json_array_foreach (node.members, i, member) {
        const char *name = json_string_value(member);
        const char *excluded = text_at(node.settings, "cluster.routing.allocation.exclude._name");
        bool empty = excluded[0] != '\0' && name_in_list(excluded, name);
        _cleanup_free_ char *count = xasprintf("%zu", empty ? 0 : (shards() + i) / json_array_size(node.members));
        json_array_append_new(rows, json_pack("{ss ss ss ss ss ss}", "node", name, "name", name, "shards", count,
                                              "disk.indices", "1048576", "disk.avail", "34359738368", "disk.total",
                                              "68719476736"));
    }
    return rows;
}

/* Rows as JSON, or as text of the columns that were asked for. */
static void reply_table(const struct http_request *request, struct http_reply *reply, json_t *rows)
{
    _cleanup_free_ char *format = query_value(request, "format");
    _cleanup_free_ char *columns = query_value(request, "h");
    size_t i;
    json_t *row;
    if (format != NULL && strcmp(format, "json") == 0) {
        reply_json(reply, rows);
        return;
    }
    reply->type = "text/plain";
    json_array_foreach (rows, i, row) {
        _cleanup_free_ char *wanted = xstrdup(columns == NULL ? "health,status,index,pri,rep,docs.count" : columns);
        char *rest = NULL;
        for (char *name = strtok_r(wanted, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest)) {
            buffer_printf(&reply->body, "%s ", json_text(row, name));
        }
        buffer_puts(&reply->body, "\n");
    }
    json_decref(rows);
}

static void get_cat(const struct http_request *request, const char *what, struct http_reply *reply)
{
    json_t *rows = NULL;
    if (strcmp(what, "indices") == 0) {
        rows = json_array();
        for (size_t i = 0; i < store_count(); i++) {
            json_array_append_new(rows, index_row(store_at(i)));
        }
    } else if (strcmp(what, "allocation") == 0 || strcmp(what, "nodes") == 0) {
        rows = member_rows();
    }
    if (rows == NULL) {
        refuse(reply, 400, es_error("illegal_argument_exception", "no _cat/%s here", what));
    } else {
        reply_table(request, reply, rows);
    }
}

static void get_count(const char *list, struct http_reply *reply)
{
    json_int_t sum = 0;
    for (size_t i = 0; i < store_count(); i++) {
        sum += name_in_list(list, store_at(i)->name) ? (json_int_t)store_at(i)->documents : 0;
    }
    reply_json(reply, json_pack("{sI s{sI sI si si}}", "count", sum, "_shards", "total", (json_int_t)store_count(),
                                "successful", (json_int_t)store_count(), "skipped", 0, "failed", 0));
}

static void delete_indices(const char *list, struct http_reply *reply)
{
    size_t before = store_count();
    for (size_t i = store_count(); i > 0; i--) {
        if (name_in_list(list, store_at(i - 1)->name)) {
            store_delete(store_at(i - 1));
        }
    }
    if (store_count() == before && strpbrk(list, "*") == NULL) {
        refuse(reply, 404, es_error("index_not_found_exception", "no such index [%s]", list));
    } else {
        reply_json(reply, json_pack("{sb}", "acknowledged", 1));
    }
}

static void make_index(const char *name, struct http_reply *reply)
{
    const char *wrong = index_name_problem(name);
    if (wrong != NULL) {
        refuse(reply, 400, es_error("invalid_index_name_exception", "Invalid index name [%s], %s", name, wrong));
    } else if (store_find(name) != NULL) {
        refuse(reply, 400, es_error("resource_already_exists_exception", "index [%s] already exists", name));
    } else {
        (void)store_make(name);
        reply_json(reply, json_pack("{sb sb ss}", "acknowledged", 1, "shards_acknowledged", 1, "index", name));
    }
}

static void put_document(const char *name, const char *id, const struct http_request *request, struct http_reply *reply)
{
    json_t *problem = NULL;
    const char *wrong = index_name_problem(name);
    _cleanup_json_ json_t *document = json_loadb(request->body, request->length, 0, NULL);
    if (wrong != NULL || !json_is_object(document)) {
        refuse(reply, 400,
               wrong != NULL ? es_error("invalid_index_name_exception", "Invalid index name [%s], %s", name, wrong)
                             : es_error("mapper_parsing_exception", "failed to parse"));
        return;
    }
    struct index *index = store_find(name);
    index = index == NULL ? store_make(name) : index;
    int status = store_put(index, id, false, document, &problem);
    if (problem != NULL) {
        refuse(reply, status, problem);
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
        } else if (json_is_null(value)) {
            json_object_del(flat, path);
        } else if (json_is_string(value)) {
            json_object_set(flat, path, value);
        } else {
            _cleanup_free_ char *text = json_dumps(value, JSON_ENCODE_ANY);
            json_object_set_new(flat, path, json_string(text));
        }
    }
}

static void index_settings(const struct http_request *request, const char *list, bool put, struct http_reply *reply)
{
    _cleanup_json_ json_t *body = put ? json_loadb(request->body, request->length, 0, NULL) : NULL;
    json_t *all = json_object();
    for (size_t i = 0; i < store_count(); i++) {
        struct index *index = store_at(i);
        if (!name_in_list(list, index->name)) {
            continue;
        }
        flatten("", body, index->settings);
        json_object_set_new(all, index->name, json_pack("{sO}", "settings", index->settings));
    }
    if (put) {
        json_decref(all);
        reply_json(reply, json_pack("{sb}", "acknowledged", 1));
    } else {
        reply_json(reply, all);
    }
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
    for (size_t i = 0; i < store_count(); i++) {
        if (name_in_list(list, store_at(i)->name)) {
            store_set_dynamic(store_at(i), json_object_get(body, "dynamic_templates"));
        }
    }
    reply_json(reply, json_pack("{sb}", "acknowledged", 1));
}

static void cluster_settings(const struct http_request *request, bool put, struct http_reply *reply)
{
    if (put) {
        _cleanup_json_ json_t *body = json_loadb(request->body, request->length, 0, NULL);
        flatten("", json_object_get(body, "persistent"), node.settings);
    }
    reply_json(reply, json_pack("{sb sO s{}}", "acknowledged", 1, "persistent", node.settings, "transient"));
}

static void get_aliases(struct http_reply *reply)
{
    json_t *all = json_object();
    for (size_t i = 0; i < store_count(); i++) {
        json_object_set_new(all, store_at(i)->name, json_pack("{s{}}", "aliases"));
    }
    reply_json(reply, all);
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
    } else if (strcmp(first, "_template") == 0) {
        templates_answer(request, second, reply);
    } else if (get && strcmp(first, "_alias") == 0) {
        get_aliases(reply);
    } else if (get && cluster && strcmp(second, "health") == 0) {
        get_health(reply);
    } else if (get && cluster && strcmp(second, "stats") == 0) {
        reply_json(reply, json_pack("{ss s{s[s] s{si}}}", "status", "green", "nodes", "versions", VERSION, "count",
                                    "total", node.nodes));
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
    } else if (strcmp(verb, "_settings") == 0) {
        index_settings(request, index, strcmp(method, "PUT") == 0, reply);
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
        return;
    }
    (void)pthread_mutex_lock(&lock);
    bool exclusions = strcmp(path, "_cluster") == 0 && strncmp(second, "voting_config_exclusions", 24) == 0;
    if (exclusions) {
        reply->type = "text/plain"; /* nothing but that it was taken */
    } else if (!answer_cluster(request, request->method, path, second, reply)) {
        answer_index(request, path, second, reply);
    }
    (void)pthread_mutex_unlock(&lock);
}
