#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "tests/lab/shared/half_body.h"
#include "tests/lab/shared/metad_private.h"
#include "tests/lab/shared/tree.h"

/* Sends BODY, which is freed. */
static enum MHD_Result respond(struct metad_request *request, unsigned code, const char *type, char *body)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(strlen(body), body, MHD_RESPMEM_MUST_FREE);
    _cleanup_free_ char *version = xasprintf("%llu", (unsigned long long)request->metad->version);
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "X-Metad-Version", version);
    enum MHD_Result result = MHD_queue_response(request->connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result respond_text(struct metad_request *request, unsigned code, const char *text)
{
    return respond(request, code, "text/plain; charset=utf-8", xstrdup(text));
}

static bool wants_json(struct metad_request *request)
{
    const char *accept = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Accept");
    return accept != NULL && strstr(accept, "json") != NULL;
}

static const char *query(struct metad_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

static enum MHD_Result close_half_way(struct metad_request *request, char *body)
{
    struct MHD_Response *response = MHD_create_response_from_callback(strlen(body), 4096, half_body, body, free);
    MHD_add_response_header(response, "Content-Type", "application/json");
    enum MHD_Result result = MHD_queue_response(request->connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

static char *caller(struct metad_request *request)
{
    const struct sockaddr *address =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    char text[INET_ADDRSTRLEN] = "";
    if (address->sa_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr, text, sizeof text);
    }
    return xstrdup(text);
}

/* What the caller sees at URL; a new reference, or NULL. */
static json_t *view(struct metad_request *request, const char *url)
{
    struct metad *metad = request->metad;
    _cleanup_free_ char *ip = caller(request);
    const json_t *mapping = json_object_get(metad->mapping, ip);
    _cleanup_json_ json_t *self = mapping == NULL ? NULL : tree_compose(metad->data, mapping);
    if (self == NULL) {
        return NULL;
    }
    _cleanup_json_ json_t *root = json_pack("{s:O}", "self", self);
    return json_incref(tree_at(root, url));
}

static enum MHD_Result answer_value(struct metad_request *request, json_t *value)
{
    if (value == NULL) {
        return respond_text(request, MHD_HTTP_NOT_FOUND, "Not found");
    }
    if (!wants_json(request)) {
        return respond(request, MHD_HTTP_OK, "text/plain; charset=utf-8", tree_text(value));
    }
    size_t flags =
        JSON_ENCODE_ANY | JSON_SORT_KEYS | (query(request, "pretty") != NULL ? JSON_INDENT(2) : JSON_COMPACT);
    char *body = json_dumps(value, flags);
    if (request->fault.kind == METAD_CLOSE) {
        return close_half_way(request, body);
    }
    if (request->fault.kind == METAD_HALF) {
        body[strlen(body) / 2] = '\0';
    }
    return respond(request, MHD_HTTP_OK, "application/json", body);
}

static void begin(struct metad_request *request)
{
    struct metad *metad = request->metad;
    const char *wait = query(request, "wait");
    const char *version = query(request, "prev_version");
    request->started = true;
    request->waits = wait != NULL && strcasecmp(wait, "true") == 0;
    request->past_version = version != NULL ? strtoull(version, NULL, 10) : metad->version;
    request->fault = metad->fault;
    request->fault.body = xstrdup(metad->fault.body);
    request->not_before = clock_ms() + request->fault.delay_ms;
    if (metad->fault.count > 0 && --metad->fault.count == 0) {
        metad->fault.kind = METAD_GOOD;
    }
    metad->requests++;
}

static enum MHD_Result answer_or_hold(struct metad_request *request, const char *url)
{
    struct metad *metad = request->metad;
    if (!request->started) {
        begin(request);
    }
    if (metad_must_hold(request)) {
        request->held = true;
        request->next_held = metad->held;
        metad->held = request;
        MHD_suspend_connection(request->connection);
        pthread_cond_broadcast(&metad->changed);
        return MHD_YES;
    }
    if (metad->stopping || request->fault.kind == METAD_HANG) {
        return MHD_NO;
    }
    if (request->fault.kind == METAD_BODY) {
        return respond_text(request, request->fault.code, request->fault.body);
    }
    _cleanup_json_ json_t *value = view(request, url);
    return answer_value(request, value);
}

/* False while the request's body is still coming in. */
static bool take_body(struct metad *metad, struct MHD_Connection *connection, const char *data, size_t *len,
                      void **request)
{
    struct metad_request *r = *request;
    if (r == NULL) {
        r = xcalloc(1, sizeof *r);
        r->metad = metad;
        r->connection = connection;
        *request = r;
        return false;
    }
    if (*len > 0) {
        buffer_append(&r->body, data, *len);
        *len = 0;
        return false;
    }
    return true;
}

enum MHD_Result metad_answer_client(void *context, struct MHD_Connection *connection, const char *url,
                                    const char *method, const char *http_version, const char *upload_data,
                                    size_t *upload_size, void **request)
{
    (void)http_version;
    struct metad *metad = context;
    if (!take_body(metad, connection, upload_data, upload_size, request)) {
        return MHD_YES;
    }
    struct metad_request *r = *request;
    pthread_mutex_lock(&metad->lock);
    enum MHD_Result result = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0
                                 ? answer_or_hold(r, url)
                                 : respond_text(r, MHD_HTTP_METHOD_NOT_ALLOWED, "Method not allowed");
    pthread_mutex_unlock(&metad->lock);
    return result;
}

/* A change of several requests: ?quiet=true makes no new version, and so answers no long poll; the last one does.
 * Not of the platform's server. */
static void changed(struct metad_request *request)
{
    if (query(request, "quiet") == NULL) {
        metad_changed(request->metad);
    }
}

static enum MHD_Result update(struct metad_request *request, json_t *root, const char *path, bool replace)
{
    json_error_t reason;
    const char *body = request->body.data != NULL ? request->body.data : "";
    _cleanup_json_ json_t *value = json_loadb(body, request->body.len, JSON_DECODE_ANY, &reason);
    if (value == NULL) {
        _cleanup_free_ char *text = xasprintf("invalid json format, error:%s", reason.text);
        return respond_text(request, MHD_HTTP_BAD_REQUEST, text);
    }
    if (!tree_put(root, path, value, replace)) {
        return respond_text(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "the root must be an object");
    }
    changed(request);
    return respond_text(request, MHD_HTTP_OK, "OK");
}

static enum MHD_Result manage(struct metad_request *request, json_t *root, const char *path, const char *method)
{
    if (strcmp(method, "GET") == 0) {
        return answer_value(request, tree_at(root, path));
    }
    if (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
        return update(request, root, path, strcmp(method, "POST") == 0);
    }
    if (strcmp(method, "DELETE") == 0) {
        tree_delete(root, path, query(request, "subs"));
        changed(request);
        return respond_text(request, MHD_HTTP_OK, "OK");
    }
    return respond_text(request, MHD_HTTP_METHOD_NOT_ALLOWED, "Method not allowed");
}

/* The part of URL behind PREFIX; NULL when URL is not at or below it. */
static const char *below(const char *url, const char *prefix)
{
    size_t len = strlen(prefix);
    if (strncmp(url, prefix, len) != 0 || (url[len] != '\0' && url[len] != '/')) {
        return NULL;
    }
    return url + len;
}

/* What PUT /v1/fault gives; false where it has no known kind. */
static bool parse_fault(const json_t *value, struct metad_fault *fault)
{
    static const char *const kinds[] = {[METAD_DELAY] = "delay",
                                        [METAD_HANG] = "hang",
                                        [METAD_CLOSE] = "close",
                                        [METAD_HALF] = "half",
                                        [METAD_BODY] = "body"};
    const char *kind = json_string_value(json_object_get(value, "kind"));
    const char *body = json_string_value(json_object_get(value, "body"));
    *fault = (struct metad_fault){.body = body == NULL ? "" : body,
                                  .delay_ms = (int)json_integer_value(json_object_get(value, "delay_ms")),
                                  .code = (unsigned)json_integer_value(json_object_get(value, "code")),
                                  .count = (unsigned)json_integer_value(json_object_get(value, "count"))};
    for (size_t i = METAD_DELAY; kind != NULL && i < ELEMENTS(kinds); i++) {
        if (strcmp(kinds[i], kind) == 0) {
            fault->kind = (enum metad_fault_kind)i;
        }
    }
    return fault->kind != METAD_GOOD;
}

static enum MHD_Result manage_fault(struct metad_request *request, const char *method)
{
    struct metad_fault fault = {.kind = METAD_GOOD};
    if (strcmp(method, "DELETE") == 0) {
        metad_set_fault(request->metad, &fault);
        return respond_text(request, MHD_HTTP_OK, "OK");
    }
    const char *body = request->body.data != NULL ? request->body.data : "";
    _cleanup_json_ json_t *value = json_loadb(body, request->body.len, 0, NULL);
    if (strcmp(method, "PUT") != 0 || !parse_fault(value, &fault)) {
        return respond_text(request, MHD_HTTP_BAD_REQUEST, "PUT with a known kind, or DELETE");
    }
    metad_set_fault(request->metad, &fault);
    return respond_text(request, MHD_HTTP_OK, "OK");
}

enum MHD_Result metad_answer_manager(void *context, struct MHD_Connection *connection, const char *url,
                                     const char *method, const char *http_version, const char *upload_data,
                                     size_t *upload_size, void **request)
{
    (void)http_version;
    struct metad *metad = context;
    if (!take_body(metad, connection, upload_data, upload_size, request)) {
        return MHD_YES;
    }
    const struct {
        const char *prefix;
        json_t *root;
    } roots[] = {{"/v1/data", metad->data}, {"/v1/mapping", metad->mapping}, {"/v1/rule", metad->rules}};
    pthread_mutex_lock(&metad->lock);
    enum MHD_Result result = MHD_NO;
    size_t i = 0;
    while (i < ELEMENTS(roots) && below(url, roots[i].prefix) == NULL) {
        i++;
    }
    if (i < ELEMENTS(roots)) {
        result = manage(*request, roots[i].root, below(url, roots[i].prefix), method);
    } else if (strcmp(url, "/v1/fault") == 0) {
        result = manage_fault(*request, method);
    } else {
        result = respond_text(*request, MHD_HTTP_NOT_FOUND, "Not found");
    }
    pthread_mutex_unlock(&metad->lock);
    return result;
}

void metad_request_done(void *context, struct MHD_Connection *connection, void **request,
                        enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)connection;
    (void)code;
    struct metad_request *r = *request;
    if (r == NULL) {
        return;
    }
    pthread_mutex_lock(&r->metad->lock);
    for (struct metad_request **at = &r->metad->held; *at != NULL; at = &(*at)->next_held) {
        if (*at == r) {
            *at = r->next_held;
            break;
        }
    }
    pthread_mutex_unlock(&r->metad->lock);
    buffer_free(&r->body);
    free((char *)r->fault.body);
    free(r);
    *request = NULL;
}
