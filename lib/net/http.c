#include "lib/net/http.h"

#include <string.h>
#include <strings.h>

#include <http_parser.h>

#include "lib/core/json.h"
#include "lib/net/connection.h"

#define DEFAULT_LIMIT ((size_t)16 << 20)
#define EXCERPT ((size_t)200)

struct http {
    char *ca, *cert, *key;
    bool self_signed;
    struct connection *connection; /* of the last request, when the server keeps it; else NULL */
    char *peer;                    /* the server, as peer_of names it */
};

/* The parts of a request's URL. */
struct url {
    bool encrypted;
    char *host, *port;
    char *authority; /* for the header Host */
    char *target;    /* path and query */
};

/* An answer on its way. */
struct receiver {
    const struct http_request *request;
    struct http_answer *answer; /* with LINE, its body is the line that is not complete */
    size_t limit;
    struct buffer field, value; /* of the header that is being read */
    bool in_value;
    bool begun; /* a byte has come */
    bool too_long;
    bool enough; /* LINE wants no more */
    bool complete;
    bool kept; /* the server keeps the connection */
};

int http_open(struct http **http, const struct http_tls *tls, struct error **err)
{
    (void)err;
    struct http *h = xcalloc(1, sizeof *h);
    if (tls != NULL) {
        h->ca = xstrdup(tls->ca);
        h->cert = xstrdup(tls->cert);
        h->key = xstrdup(tls->key);
        h->self_signed = tls->self_signed;
    }
    *http = h;
    return 0;
}

static void disconnect(struct http *http)
{
    connection_free(STEAL(http->connection));
    free(STEAL(http->peer));
}

void http_free(struct http *http)
{
    if (http == NULL) {
        return;
    }
    disconnect(http);
    free(http->ca);
    free(http->cert);
    free(http->key);
    free(http);
}

void http_freep(struct http **http)
{
    http_free(*http);
    *http = NULL;
}

void http_answer_free(struct http_answer *answer)
{
    buffer_free(&answer->body);
    free(answer->content_type);
    free(answer->metad_version);
    *answer = (struct http_answer){0};
}

static void free_url(struct url *url)
{
    free(url->host);
    free(url->port);
    free(url->authority);
    free(url->target);
}

static void free_receiver(struct receiver *receiver)
{
    buffer_free(&receiver->field);
    buffer_free(&receiver->value);
}

/* ": " and controls end a request's line or a header, and would begin another. */
static bool printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

static char *url_part(const char *text, const struct http_parser_url *parts, enum http_parser_url_fields field)
{
    return (parts->field_set & (1U << field)) == 0
               ? NULL
               : xstrndup(text + parts->field_data[field].off, parts->field_data[field].len);
}

static bool parse_url(const char *text, struct url *url)
{
    struct http_parser_url parts;
    http_parser_url_init(&parts);
    if (!printable(text) || strchr(text, ' ') != NULL || http_parser_parse_url(text, strlen(text), 0, &parts) != 0) {
        return false;
    }
    _cleanup_free_ char *scheme = url_part(text, &parts, UF_SCHEMA);
    _cleanup_free_ char *path = url_part(text, &parts, UF_PATH);
    _cleanup_free_ char *query = url_part(text, &parts, UF_QUERY);
    url->encrypted = scheme != NULL && strcasecmp(scheme, "https") == 0;
    url->host = url_part(text, &parts, UF_HOST);
    if ((!url->encrypted && (scheme == NULL || strcasecmp(scheme, "http") != 0)) || url->host == NULL ||
        url->host[0] == '\0' || (parts.field_set & (1U << UF_USERINFO)) != 0) {
        return false;
    }
    const char *usual = url->encrypted ? "443" : "80";
    char *given = url_part(text, &parts, UF_PORT);
    url->port = given != NULL ? given : xstrdup(usual);
    bool colons = strchr(url->host, ':') != NULL; /* an IPv6 address */
    url->authority = xasprintf("%s%s%s%s%s", colons ? "[" : "", url->host, colons ? "]" : "", given != NULL ? ":" : "",
                               given != NULL ? given : "");
    url->target = xasprintf("%s%s%s", path != NULL ? path : "/", query != NULL ? "?" : "", query != NULL ? query : "");
    return true;
}

/* "GET http://10.0.0.2/self": a query may hold a signature. */
static char *request_name(const struct http_request *request)
{
    return xasprintf("%s %.*s", request->method != NULL ? request->method : "GET", (int)strcspn(request->url, "?"),
                     request->url);
}

static bool has_header(const char *const *headers, const char *name)
{
    size_t len = strlen(name);
    for (; headers != NULL && *headers != NULL; headers++) {
        if (strncasecmp(*headers, name, len) == 0 && (*headers)[len] == ':') {
            return true;
        }
    }
    return false;
}

/* The request without its body. False: a header cannot be sent. */
static bool write_head(const struct http_request *request, const struct url *url, const char *method,
                       struct buffer *head)
{
    buffer_printf(head, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: k8s-hooks/" SUITE_VERSION "\r\n", method,
                  url->target, url->authority);
    if (!has_header(request->headers, "Accept")) {
        buffer_puts(head, "Accept: */*\r\n");
    }
    for (const char *const *header = request->headers; header != NULL && *header != NULL; header++) {
        if (!printable(*header)) {
            return false;
        }
        buffer_printf(head, "%s\r\n", *header);
    }
    if (request->body != NULL || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
        buffer_printf(head, "Content-Length: %zu\r\n", request->body != NULL ? request->body_len : 0);
    }
    buffer_puts(head, "\r\n");
    return true;
}

static bool by_line(const struct receiver *receiver)
{
    return receiver->request->line != NULL && receiver->answer->code >= 200 && receiver->answer->code < 300;
}

static void give_lines(struct receiver *receiver)
{
    struct buffer *body = &receiver->answer->body;
    char *start = body->data;
    char *const behind = body->data + body->len;
    /* not strchr: a NUL byte ends what LINE sees of its line, but no line after it */
    for (char *end = NULL; !receiver->enough && (end = memchr(start, '\n', (size_t)(behind - start))) != NULL;) {
        *end = '\0';
        receiver->enough = !receiver->request->line(receiver->request->line_context, start);
        start = end + 1;
    }
    body->len = (size_t)(behind - start);
    memmove(body->data, start, body->len + 1);
}

/* What follows is called by the parser; not 0 stops it. */

static void keep_header(struct receiver *receiver)
{
    struct http_answer *answer = receiver->answer;
    if (receiver->in_value && strcasecmp(receiver->field.data, "Content-Type") == 0) {
        free(answer->content_type);
        answer->content_type = xstrdup(receiver->value.data);
    } else if (receiver->in_value && strcasecmp(receiver->field.data, "X-Metad-Version") == 0) {
        free(answer->metad_version);
        answer->metad_version = xstrdup(receiver->value.data);
    }
    receiver->in_value = false;
    receiver->field.len = 0;
    receiver->value.len = 0;
}

static int on_field(http_parser *parser, const char *text, size_t len)
{
    struct receiver *receiver = parser->data;
    if (receiver->in_value) {
        keep_header(receiver);
    }
    buffer_append(&receiver->field, text, len);
    return 0;
}

static int on_value(http_parser *parser, const char *text, size_t len)
{
    struct receiver *receiver = parser->data;
    receiver->in_value = true;
    buffer_append(&receiver->field, "", 0);
    buffer_append(&receiver->value, text, len);
    return 0;
}

static int on_headers(http_parser *parser)
{
    struct receiver *receiver = parser->data;
    keep_header(receiver);
    receiver->answer->code = parser->status_code;
    const char *method = receiver->request->method;
    unsigned code = parser->status_code;
    /* RFC 9110: whatever its Content-Length says, no body comes then */
    return code < 200 || code == 204 || code == 304 || (method != NULL && strcmp(method, "HEAD") == 0);
}

static int on_body(http_parser *parser, const char *data, size_t len)
{
    struct receiver *receiver = parser->data;
    struct buffer *body = &receiver->answer->body;
    if (len > receiver->limit - body->len) {
        receiver->too_long = true;
        return 1;
    }
    buffer_append(body, data, len);
    if (by_line(receiver)) {
        give_lines(receiver);
    }
    return receiver->enough;
}

static int on_complete(http_parser *parser)
{
    struct receiver *receiver = parser->data;
    if (parser->status_code < 200 && parser->status_code != 101) {
        return 0; /* "100 Continue" and its like come before the answer */
    }
    receiver->complete = true;
    receiver->kept = http_should_keep_alive(parser) != 0;
    http_parser_pause(parser, 1);
    return 0;
}

static int receive(struct connection *connection, struct receiver *receiver, struct deadline deadline, int failure,
                   struct error **err)
{
    static const http_parser_settings settings = {
        .on_header_field = on_field,
        .on_header_value = on_value,
        .on_headers_complete = on_headers,
        .on_body = on_body,
        .on_message_complete = on_complete,
    };
    http_parser parser;
    http_parser_init(&parser, HTTP_RESPONSE);
    parser.data = receiver;
    while (!receiver->complete && !receiver->enough) {
        char data[16384];
        ssize_t n = connection_read(connection, data, sizeof data, deadline, failure, err);
        if (n < 0) {
            return -1;
        }
        receiver->begun = receiver->begun || n > 0;
        size_t parsed = http_parser_execute(&parser, &settings, data, (size_t)n);
        if (receiver->too_long) {
            return error_new(err, failure, "the answer is longer than %zu bytes", receiver->limit);
        }
        if (receiver->complete) {
            receiver->kept = receiver->kept && parsed == (size_t)n;
        } else if (n == 0) {
            return error_new(err, failure, "the server closed the connection before the end of its answer");
        } else if (!receiver->enough && HTTP_PARSER_ERRNO(&parser) != HPE_OK) {
            return error_new(err, failure, "not an HTTP answer: %s",
                             http_errno_description(HTTP_PARSER_ERRNO(&parser)));
        }
    }
    return 0;
}

/* The server of a connection: another one needs a new connection. */
static char *peer_of(const struct http_request *request, const struct url *url)
{
    return request->socket != NULL ? xstrdup(request->socket)
                                   : xasprintf("%s//%s:%s", url->encrypted ? "https" : "http", url->host, url->port);
}

static int connect_again(struct http *http, const struct http_request *request, const struct url *url,
                         struct deadline deadline, int failure, struct error **err)
{
    const struct http_tls tls = {http->ca, http->cert, http->key, http->self_signed};
    const struct endpoint endpoint = {
        .socket = request->socket, .host = url->host, .port = url->port, .encrypted = url->encrypted, .tls = &tls};
    disconnect(http);
    if (connection_open(&http->connection, &endpoint, deadline, failure, err) < 0) {
        return -1;
    }
    http->peer = peer_of(request, url);
    return 0;
}

/* One request over the connection there is, or a new one. */
static int exchange(struct http *http, const struct http_request *request, const struct url *url,
                    struct receiver *receiver, struct deadline deadline, int failure, struct error **err)
{
    const char *method = request->method != NULL ? request->method : (request->body != NULL ? "POST" : "GET");
    _cleanup_(buffer_wipe) struct buffer head = {0};
    if (!printable(method) || !write_head(request, url, method, &head)) {
        return error_new(err, failure, "a header holds a control character");
    }
    if (http->connection == NULL && connect_again(http, request, url, deadline, failure, err) < 0) {
        return -1;
    }
    struct connection *connection = http->connection;
    if (connection_write(connection, head.data, head.len, deadline, failure, err) < 0 ||
        (request->body != NULL &&
         connection_write(connection, request->body, request->body_len, deadline, failure, err) < 0)) {
        return -1;
    }
    return receive(connection, receiver, deadline, failure, err);
}

/* A server may close an idle connection in the very moment of a request: which has then done nothing. Only GET, so that
 * nothing is done twice even so. */
static bool lost_race(bool reused, const struct http_request *request, const struct receiver *receiver, int failure,
                      const struct error *reason)
{
    return reused && !receiver->begun && reason->status == failure &&
           (request->method == NULL ? request->body == NULL : strcmp(request->method, "GET") == 0);
}

static int explain(const char *name, const struct error *reason, int64_t started, struct error **err)
{
    if (reason->status != STATUS_DEADLINE) {
        return error_new(err, reason->status, "%s: %s", name, reason->message);
    }
    return error_new(err, STATUS_DEADLINE, "%s: %s within %lld ms", name, reason->message,
                     (long long)(clock_ms() - started));
}

int http_do(struct http *http, const struct http_request *request, struct deadline deadline, int failure,
            struct http_answer *answer, struct error **err)
{
    int64_t started = clock_ms();
    _cleanup_answer_ struct http_answer got = {0};
    _cleanup_free_ char *name = request_name(request);
    _cleanup_(free_url) struct url url = {0};
    _cleanup_(free_receiver) struct receiver receiver = {
        .request = request,
        .answer = &got,
        .limit = request->limit > 0 ? request->limit : DEFAULT_LIMIT,
    };
    _cleanup_error_ struct error *reason = NULL;
    buffer_append(&got.body, "", 0);
    if (!parse_url(request->url, &url)) {
        return error_new(err, failure, "%s: not an http or https URL", name);
    }
    _cleanup_free_ char *peer = peer_of(request, &url);
    if (http->connection != NULL && (strcmp(http->peer, peer) != 0 || !connection_usable(http->connection))) {
        disconnect(http);
    }
    bool reused = http->connection != NULL;
    int r = exchange(http, request, &url, &receiver, deadline, failure, &reason);
    if (r < 0 && lost_race(reused, request, &receiver, failure, reason)) {
        error_freep(&reason);
        reason = NULL;
        disconnect(http);
        r = exchange(http, request, &url, &receiver, deadline, failure, &reason);
    }
    if (r < 0 || !receiver.complete || !receiver.kept) {
        disconnect(http);
    }
    if (r < 0) {
        return explain(name, reason, started, err);
    }
    if (by_line(&receiver) && !receiver.enough && got.body.len > 0) {
        (void)request->line(request->line_context, got.body.data);
    }
    *answer = got;
    got = (struct http_answer){0};
    return 0;
}

static char *excerpt(const struct buffer *body)
{
    char *text = xstrndup(body->data == NULL ? "" : body->data, body->len < EXCERPT ? body->len : EXCERPT);
    for (char *c = text; *c != '\0'; c++) {
        if (*c < ' ' || *c > '~') {
            *c = ' ';
        }
    }
    return text;
}

char *http_reason(const struct http_answer *answer)
{
    static const char *const keys[] = {"message", "error"};
    _cleanup_json_ json_t *body =
        json_loadb(answer->body.data == NULL ? "" : answer->body.data, answer->body.len, 0, NULL);
    for (size_t i = 0; i < ELEMENTS(keys); i++) {
        const char *text = json_text(body, keys[i]);
        if (!str_empty(text)) {
            return xstrdup(text);
        }
    }
    return excerpt(&answer->body);
}

int http_fetch(const struct http_request *request, struct deadline deadline, int failure, long *code,
               struct http_answer *answer, struct error **err)
{
    _cleanup_(http_freep) struct http *http = NULL;
    _cleanup_answer_ struct http_answer got = {0};
    if (code != NULL) {
        *code = 0;
    }
    if (http_open(&http, NULL, err) < 0 || http_do(http, request, deadline, failure, &got, err) < 0) {
        return -1;
    }
    if (code != NULL) {
        *code = got.code;
    }
    if (got.code < 200 || got.code > 299) {
        _cleanup_free_ char *name = request_name(request);
        _cleanup_free_ char *reason = http_reason(&got);
        return error_new(err, failure, "%s: HTTP %ld \"%s\"", name, got.code, reason);
    }
    if (answer != NULL) {
        *answer = got;
        got = (struct http_answer){0};
    }
    return 0;
}

int http_json(const struct http_request *request, struct deadline deadline, int failure, long *code, json_t **value,
              struct error **err)
{
    _cleanup_answer_ struct http_answer answer = {0};
    if (http_fetch(request, deadline, failure, code, &answer, err) < 0) {
        return -1;
    }
    json_error_t why;
    json_t *parsed = json_loadb(answer.body.data, answer.body.len, JSON_DECODE_ANY, &why);
    if (parsed == NULL) {
        _cleanup_free_ char *name = request_name(request);
        return error_new(err, failure, "%s: the answer is not JSON: %s", name, why.text);
    }
    *value = parsed;
    return 0;
}

char *http_escape(const char *text)
{
    static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    struct buffer escaped = {0};
    buffer_puts(&escaped, "");
    for (; *text != '\0'; text++) {
        buffer_printf(&escaped, strchr(unreserved, *text) != NULL ? "%c" : "%%%02X", (unsigned char)*text);
    }
    return escaped.data;
}
