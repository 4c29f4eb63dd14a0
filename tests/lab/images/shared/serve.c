#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lab/images/shared/http.h"
#include "tests/lab/images/shared/program.h"

#define MAX_HEAD 65536
#define MAX_BODY ((size_t)64 << 20)
#define WAIT_S 60

struct server {
    int listener;
    SSL_CTX *context;
    http_handler *handler;
    void *data;
};

struct connection {
    const struct server *server;
    int fd;
};

static bool name_matches(const char *line, const char *name)
{
    return strncasecmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':';
}

char *http_header(const struct http_request *request, const char *name)
{
    for (const char *line = request->headers; line != NULL && *line != '\0';) {
        const char *end = strstr(line, "\r\n");
        if (name_matches(line, name)) {
            const char *value = line + strlen(name) + 1;
            value += strspn(value, " \t");
            return end == NULL ? xstrdup(value) : xstrndup(value, (size_t)(end - value));
        }
        line = end == NULL ? NULL : end + 2;
    }
    return NULL;
}

/* What was read beyond the head is the start of the body. */
static char *read_head(struct stream *s, struct buffer *all)
{
    char chunk[4096];
    char *end = NULL;
    while (end == NULL && all->len < MAX_HEAD) {
        ssize_t n = stream_read(s, chunk, sizeof chunk);
        if (n <= 0) {
            return NULL;
        }
        buffer_append(all, chunk, (size_t)n);
        end = strstr(all->data, "\r\n\r\n");
    }
    return end;
}

static bool split_first_line(char *line, struct http_request *request)
{
    char *rest = NULL;
    char *method = strtok_r(line, " ", &rest);
    char *target = method == NULL ? NULL : strtok_r(NULL, " ", &rest);
    if (target == NULL || target[0] != '/') {
        return false;
    }
    char *query = strchr(target, '?');
    if (query != NULL) {
        *query++ = '\0';
    }
    request->method = xstrdup(method);
    request->path = xstrdup(target);
    request->query = xstrdup(query);
    return true;
}

static bool read_request(struct stream *s, struct http_request *request)
{
    _cleanup_buffer_ struct buffer all = {0};
    char *end = read_head(s, &all);
    if (end == NULL) {
        return false;
    }
    size_t head = (size_t)(end - all.data) + 4;
    *end = '\0';
    char *line_end = strstr(all.data, "\r\n");
    request->headers = xstrdup(line_end == NULL ? "" : line_end + 2);
    if (line_end != NULL) {
        *line_end = '\0';
    }
    if (!split_first_line(all.data, request)) {
        return false;
    }
    _cleanup_free_ char *length = http_header(request, "content-length");
    size_t wanted = length == NULL ? 0 : strtoul(length, NULL, 10);
    if (wanted > MAX_BODY) {
        return false;
    }
    struct buffer body = {0};
    buffer_append(&body, all.data + head, all.len - head);
    while (body.len < wanted) {
        char chunk[16384];
        ssize_t n = stream_read(s, chunk, sizeof chunk);
        if (n <= 0) {
            buffer_free(&body);
            return false;
        }
        buffer_append(&body, chunk, (size_t)n);
    }
    request->body = body.data;
    request->length = body.len;
    return true;
}

static const char *reason(int status)
{
    return status < 300 ? "OK" : status < 400 ? "Found" : status < 500 ? "Bad Request" : "Error";
}

static void answer(struct stream *s, const struct server *server)
{
    struct http_request request = {0};
    struct http_reply reply = {.status = 200, .type = "application/json"};
    request.peer = stream_peer(s);
    if (read_request(s, &request)) {
        server->handler(&request, &reply, server->data);
        _cleanup_buffer_ struct buffer head = {0};
        buffer_printf(&head, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n",
                      reply.status, reason(reply.status), reply.type, reply.body.len);
        if (reply.location != NULL) {
            buffer_printf(&head, "Location: %s\r\n", reply.location);
        }
        buffer_puts(&head, "\r\n");
        if (stream_write(s, head.data, head.len) && reply.body.len > 0 && strcmp(request.method, "HEAD") != 0) {
            (void)stream_write(s, reply.body.data, reply.body.len);
        }
    }
    free(request.method);
    free(request.path);
    free(request.query);
    free(request.headers);
    free(request.peer);
    free(request.body);
    free(reply.location);
    buffer_free(&reply.body);
}

static void *serve_one(void *data)
{
    struct connection *connection = data;
    struct stream *s = stream_accept(connection->fd, connection->server->context, WAIT_S);
    if (s != NULL) {
        answer(s, connection->server);
        if (s->tls != NULL) {
            (void)SSL_shutdown(s->tls);
        }
        stream_close(s);
    }
    free(connection);
    return NULL;
}

static void start_thread(void *(*run)(void *), void *data)
{
    pthread_t thread;
    int r = pthread_create(&thread, NULL, run, data);
    if (r != 0) {
        fail("making a thread: %s", strerror(r));
    }
    (void)pthread_detach(thread);
}

static void *accept_all(void *data)
{
    struct server *server = data;
    for (;;) {
        int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE) {
                (void)usleep(100000);
            }
            continue;
        }
        struct connection *connection = xcalloc(1, sizeof *connection);
        *connection = (struct connection){server, fd};
        start_thread(serve_one, connection);
    }
    return NULL;
}

void http_serve(int port, SSL_CTX *context, http_handler *handler, void *data)
{
    struct server *server = xcalloc(1, sizeof *server);
    *server = (struct server){listen_tcp(port), context, handler, data};
    start_thread(accept_all, server);
}

void reply_json(struct http_reply *reply, json_t *json)
{
    _cleanup_free_ char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    buffer_puts(&reply->body, text == NULL ? "null" : text);
    json_decref(json);
}
