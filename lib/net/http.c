#include "lib/net/http.h"

#include <limits.h>
#include <string.h>

#include "lib/core/interrupt.h"
#include "lib/net/curl.h"

#define DEFAULT_LIMIT ((size_t)16 << 20)

struct http {
    CURLM *multi; /* unlike an easy handle alone, it can wait on the signal's descriptor too */
    CURL *easy;
    char *ca, *cert, *key;
    char reason[CURL_ERROR_SIZE];
};

struct receiver {
    struct buffer *body; /* with LINE, the line that has not ended */
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

static void set_method(CURL *easy, const struct http_request *request)
{
    if (request->body != NULL) {
        curl.easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
        curl.easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
    } else if (request->method != NULL && strcmp(request->method, "POST") == 0) {
        curl.easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)0);
        curl.easy_setopt(easy, CURLOPT_POSTFIELDS, "");
    }
    if (request->method != NULL) {
        curl.easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    }
}

static void set_tls(struct http *http)
{
    CURL *easy = http->easy;
    curl.easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (http->ca != NULL) {
        curl.easy_setopt(easy, CURLOPT_CAPATH, NULL);
        curl.easy_setopt(easy, CURLOPT_CAINFO, http->ca);
    }
    if (http->cert != NULL) {
        curl.easy_setopt(easy, CURLOPT_SSLCERT, http->cert);
        curl.easy_setopt(easy, CURLOPT_SSLKEY, http->key != NULL ? http->key : http->cert);
    }
}

static struct curl_slist *header_list(const char *const *headers)
{
    /* An empty Expect keeps curl from waiting for "100 Continue" before a large body. */
    struct curl_slist *list = curl.slist_append(NULL, "Expect:");
    for (; headers != NULL && *headers != NULL; headers++) {
        list = curl.slist_append(list, *headers);
    }
    return list;
}

static void free_header_list(struct curl_slist **list)
{
    curl.slist_free_all(*list);
}

static void set_options(struct http *http, const struct http_request *request, const struct curl_slist *headers,
                        struct receiver *receiver)
{
    CURL *easy = http->easy;
    curl.easy_reset(easy);
    http->reason[0] = '\0';
    curl.easy_setopt(easy, CURLOPT_URL, request->url);
    curl.easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, request->socket);
    curl.easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl.easy_setopt(easy, CURLOPT_PROXY, ""); /* what the environment says is not for the cluster's own network */
    curl.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl.easy_setopt(easy, CURLOPT_ERRORBUFFER, http->reason);
    curl.easy_setopt(easy, CURLOPT_USERAGENT, "k8s-hooks/" SUITE_VERSION);
    curl.easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive);
    curl.easy_setopt(easy, CURLOPT_WRITEDATA, receiver);
    set_tls(http);
    set_method(easy, request);
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
    *answer = (struct http_answer){0};
    buffer_append(&answer->body, "", 0);
    _cleanup_free_ char *name = request_name(request);
    _cleanup_(free_header_list) struct curl_slist *headers = header_list(request->headers);
    struct receiver receiver = {
        .body = &answer->body,
        .limit = request->limit > 0 ? request->limit : DEFAULT_LIMIT,
        .easy = http->easy,
        .request = request,
    };
    set_options(http, request, headers, &receiver);

    CURLcode result = CURLE_OK;
    curl.multi_add_handle(http->multi, http->easy);
    int r = perform(http, name, deadline, &result, err);
    curl.multi_remove_handle(http->multi, http->easy);
    if (r == 0 && receiver.too_long) {
        r = error_new(err, failure, "%s: the answer is longer than %zu bytes", name, receiver.limit);
    } else if (r == 0 && result != CURLE_OK && !receiver.enough) {
        const char *reason = http->reason[0] != '\0' ? http->reason : curl.easy_strerror(result);
        r = error_new(err, failure, "%s: %s", name, reason);
    }
    if (r < 0) {
        http_answer_free(answer);
        return -1;
    }
    if (by_line(&receiver) && !receiver.enough && answer->body.len > 0) {
        (void)request->line(request->line_context, answer->body.data);
    }
    take_answer(http->easy, answer);
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
