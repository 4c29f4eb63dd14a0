#include "lib/net/http.h"

#include <limits.h>
#include <string.h>

#include "lib/core/interrupt.h"
#include "lib/core/json.h"
#include "lib/net/curl.h"

#define DEFAULT_LIMIT ((size_t)16 << 20)
#define EXCERPT ((size_t)200)

struct http {
    CURLM *multi; /* unlike an easy handle alone, it can wait on the signal's descriptor too */
    CURL *easy;
    char *ca, *cert, *key;
    bool self_signed;
    char reason[CURL_ERROR_SIZE];
    const char *refused; /* the option that curl did not take, or NULL */
};

struct receiver {
    struct buffer *body; /* with LINE, the line that is not complete */
    size_t limit;
    bool too_long;
    bool enough; /* LINE wants no more */
    CURL *easy;
    const struct http_request *request;
};

int http_open(struct http **http, const struct http_tls *tls, struct error **err)
{
    if (curl_load(err) < 0) {
        return -1;
    }
    struct http *h = xcalloc(1, sizeof *h);
    h->multi = curl.multi_init();
    h->easy = curl.easy_init();
    if (h->multi == NULL || h->easy == NULL) {
        http_free(h);
        return error_new(err, STATUS_FAILED, "starting libcurl: no handle");
    }
    if (tls != NULL) {
        h->ca = xstrdup(tls->ca);
        h->cert = xstrdup(tls->cert);
        h->key = xstrdup(tls->key);
        h->self_signed = tls->self_signed;
    }
    *http = h;
    return 0;
}

void http_free(struct http *http)
{
    if (http == NULL) {
        return;
    }
    curl.easy_cleanup(http->easy);
    curl.multi_cleanup(http->multi);
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

static bool by_line(const struct receiver *receiver)
{
    long code = 0;
    curl.easy_getinfo(receiver->easy, CURLINFO_RESPONSE_CODE, &code);
    return receiver->request->line != NULL && code >= 200 && code < 300;
}

static void give_lines(struct receiver *receiver)
{
    struct buffer *body = receiver->body;
    char *start = body->data;
    for (char *end = strchr(start, '\n'); end != NULL && !receiver->enough; end = strchr(start, '\n')) {
        *end = '\0';
        receiver->enough = !receiver->request->line(receiver->request->line_context, start);
        start = end + 1;
    }
    body->len -= (size_t)(start - body->data);
    memmove(body->data, start, body->len + 1);
}

static size_t receive(char *data, size_t size, size_t count, void *context)
{
    struct receiver *receiver = context;
    size_t len = size * count;
    if (len > receiver->limit - receiver->body->len) {
        receiver->too_long = true;
        return 0;
    }
    buffer_append(receiver->body, data, len);
    if (by_line(receiver)) {
        give_lines(receiver);
    }
    return receiver->enough ? 0 : len;
}

/* Sets one option; what comes after a failure does nothing. */
#define SET(http, option, value)                                                                                       \
    do {                                                                                                               \
        if ((http)->refused == NULL && curl.easy_setopt((http)->easy, option, value) != CURLE_OK) {                    \
            (http)->refused = #option;                                                                                 \
        }                                                                                                              \
    } while (0)

static void set_method(struct http *http, const struct http_request *request)
{
    if (request->body != NULL) {
        SET(http, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
        SET(http, CURLOPT_POSTFIELDS, request->body);
    } else if (request->method != NULL && strcmp(request->method, "POST") == 0) {
        SET(http, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)0);
        SET(http, CURLOPT_POSTFIELDS, "");
    }
    if (request->method != NULL) {
        SET(http, CURLOPT_CUSTOMREQUEST, request->method);
    }
}

static void set_tls(struct http *http)
{
    SET(http, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (http->ca != NULL) {
        SET(http, CURLOPT_CAPATH, NULL);
        SET(http, CURLOPT_CAINFO, http->ca);
    }
    if (http->self_signed) {
        SET(http, CURLOPT_SSL_VERIFYPEER, 0L);
        SET(http, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (http->cert != NULL) {
        SET(http, CURLOPT_SSLCERT, http->cert);
        SET(http, CURLOPT_SSLKEY, http->key != NULL ? http->key : http->cert);
    }
}

static void free_header_list(struct curl_slist **list)
{
    curl.slist_free_all(*list);
}

static int header_list(const char *const *headers, struct curl_slist **list)
{
    /* An empty Expect keeps curl from waiting for "100 Continue" before a large body. */
    for (const char *header = "Expect:"; header != NULL; header = headers != NULL ? *headers++ : NULL) {
        struct curl_slist *longer = curl.slist_append(*list, header);
        if (longer == NULL) {
            return -1;
        }
        *list = longer;
    }
    return 0;
}

static int set_options(struct http *http, const char *name, const struct http_request *request,
                       const struct curl_slist *headers, struct receiver *receiver, struct error **err)
{
    curl.easy_reset(http->easy);
    http->reason[0] = '\0';
    http->refused = NULL;
    SET(http, CURLOPT_ERRORBUFFER, http->reason);
    SET(http, CURLOPT_URL, request->url);
    SET(http, CURLOPT_UNIX_SOCKET_PATH, request->socket);
    SET(http, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(http, CURLOPT_PROXY, ""); /* the environment's proxy is not for the cluster's own network */
    SET(http, CURLOPT_NOSIGNAL, 1L);
    SET(http, CURLOPT_USERAGENT, "k8s-hooks/" SUITE_VERSION);
    SET(http, CURLOPT_HTTPHEADER, headers);
    SET(http, CURLOPT_WRITEFUNCTION, receive);
    SET(http, CURLOPT_WRITEDATA, receiver);
    set_tls(http);
    set_method(http, request);
    return http->refused == NULL ? 0 : error_new(err, STATUS_FAILED, "%s: libcurl refuses %s", name, http->refused);
}

/* "GET http://10.0.0.2/self": a query may hold a signature. */
static char *request_name(const struct http_request *request)
{
    return xasprintf("%s %.*s", request->method != NULL ? request->method : "GET", (int)strcspn(request->url, "?"),
                     request->url);
}

static int timed_out(struct http *http, const char *name, int64_t started, struct error **err)
{
    curl_off_t connected = 0;
    curl.easy_getinfo(http->easy, CURLINFO_CONNECT_TIME_T, &connected);
    return error_new(err, STATUS_DEADLINE, "%s: %s within %lld ms", name,
                     connected > 0 ? "no complete answer" : "no connection", (long long)(clock_ms() - started));
}

/* Runs the transfer to its end; 0 with curl's own result in *result. */
static int perform(struct http *http, const char *name, struct deadline deadline, CURLcode *result, struct error **err)
{
    int64_t started = clock_ms();
    for (;;) {
        int running = 0;
        CURLMcode code = curl.multi_perform(http->multi, &running);
        if (code != CURLM_OK) {
            return error_new(err, STATUS_FAILED, "%s: %s", name, curl.multi_strerror(code));
        }
        int queued = 0;
        const CURLMsg *message = curl.multi_info_read(http->multi, &queued);
        if (message != NULL && message->msg == CURLMSG_DONE) {
            *result = message->data.result;
            return 0;
        }
        if (interrupt_check(err) < 0) {
            return error_wrap(err, "%s", name);
        }
        int64_t left = deadline_left(deadline);
        if (left == 0) {
            return timed_out(http, name, started, err);
        }
        struct curl_waitfd signal = {.fd = interrupt_fd(), .events = CURL_WAIT_POLLIN};
        code =
            curl.multi_poll(http->multi, &signal, signal.fd >= 0 ? 1 : 0, (int)(left < INT_MAX ? left : INT_MAX), NULL);
        if (code != CURLM_OK) {
            return error_new(err, STATUS_FAILED, "%s: %s", name, curl.multi_strerror(code));
        }
    }
}

static int transfer(struct http *http, const char *name, struct deadline deadline, CURLcode *result, struct error **err)
{
    CURLMcode code = curl.multi_add_handle(http->multi, http->easy);
    if (code != CURLM_OK) {
        return error_new(err, STATUS_FAILED, "%s: %s", name, curl.multi_strerror(code));
    }
    int r = perform(http, name, deadline, result, err);
    (void)curl.multi_remove_handle(http->multi, http->easy);
    return r;
}

static void take_answer(CURL *easy, struct http_answer *answer)
{
    const char *type = NULL;
    struct curl_header *version = NULL;
    curl.easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer->code);
    curl.easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
    answer->content_type = xstrdup(type);
    if (curl.easy_header(easy, "X-Metad-Version", 0, CURLH_HEADER, -1, &version) == CURLHE_OK) {
        answer->metad_version = xstrdup(version->value);
    }
}

int http_do(struct http *http, const struct http_request *request, struct deadline deadline, int failure,
            struct http_answer *answer, struct error **err)
{
    _cleanup_answer_ struct http_answer got = {0};
    buffer_append(&got.body, "", 0);
    _cleanup_free_ char *name = request_name(request);
    _cleanup_(free_header_list) struct curl_slist *headers = NULL;
    struct receiver receiver = {
        .body = &got.body,
        .limit = request->limit > 0 ? request->limit : DEFAULT_LIMIT,
        .easy = http->easy,
        .request = request,
    };
    if (header_list(request->headers, &headers) < 0) {
        return error_new(err, STATUS_FAILED, "%s: libcurl takes no headers", name);
    }
    CURLcode result = CURLE_OK;
    if (set_options(http, name, request, headers, &receiver, err) < 0 ||
        transfer(http, name, deadline, &result, err) < 0) {
        return -1;
    }
    if (receiver.too_long) {
        return error_new(err, failure, "%s: the answer is longer than %zu bytes", name, receiver.limit);
    }
    if (result != CURLE_OK && !receiver.enough) {
        const char *reason = http->reason[0] != '\0' ? http->reason : curl.easy_strerror(result);
        return error_new(err, failure, "%s: %s", name, reason);
    }
    if (by_line(&receiver) && !receiver.enough && got.body.len > 0) {
        (void)request->line(request->line_context, got.body.data);
    }
    take_answer(http->easy, &got);
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
