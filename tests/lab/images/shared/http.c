#include "tests/lab/images/shared/http.h"

#include <string.h>
#include <strings.h>

#include "tests/lab/images/shared/program.h"

#define MAX_LINE ((size_t)16 << 20)
#define MAX_ANSWER ((size_t)256 << 20)

struct reader {
    struct stream *stream;
    char data[16384];
    size_t at, end;
};

static bool refill(struct reader *r)
{
    ssize_t n = stream_read(r->stream, r->data, sizeof r->data);
    r->at = 0;
    r->end = n > 0 ? (size_t)n : 0;
    return n > 0;
}

/* A line without its end; false at the end of the stream. */
static bool read_line(struct reader *r, struct buffer *line)
{
    line->len = 0;
    buffer_append(line, "", 0);
    for (;;) {
        if (r->at == r->end && !refill(r)) {
            return false;
        }
        const char *newline = memchr(r->data + r->at, '\n', r->end - r->at);
        size_t n = newline != NULL ? (size_t)(newline - (r->data + r->at)) : r->end - r->at;
        buffer_append(line, r->data + r->at, n);
        r->at += n + (newline != NULL);
        if (newline != NULL) {
            if (line->len > 0 && line->data[line->len - 1] == '\r') {
                line->data[--line->len] = '\0';
            }
            return true;
        }
        if (line->len > MAX_LINE) {
            return false;
        }
    }
}

static bool read_bytes(struct reader *r, size_t n, bool (*take)(void *data, const char *bytes, size_t n), void *data)
{
    while (n > 0) {
        if (r->at == r->end && !refill(r)) {
            return false;
        }
        size_t piece = r->end - r->at < n ? r->end - r->at : n;
        if (!take(data, r->data + r->at, piece)) {
            return false;
        }
        r->at += piece;
        n -= piece;
    }
    return true;
}

struct head {
    int status;
    bool chunked;
    long length; /* -1: until the end */
};

static bool read_head(struct reader *r, struct head *head)
{
    _cleanup_buffer_ struct buffer line = {0};
    *head = (struct head){.length = -1};
    if (!read_line(r, &line) || strncmp(line.data, "HTTP/1.", 7) != 0 || strchr(line.data, ' ') == NULL) {
        return false;
    }
    head->status = number_of(strchr(line.data, ' ') + 1);
    while (read_line(r, &line)) {
        if (line.len == 0) {
            return true;
        }
        if (strncasecmp(line.data, "content-length:", 15) == 0) {
            head->length = strtol(line.data + 15, NULL, 10);
        } else if (strncasecmp(line.data, "transfer-encoding:", 18) == 0) {
            head->chunked = strstr(line.data, "chunked") != NULL;
        }
    }
    return false;
}

static bool read_chunks(struct reader *r, bool (*take)(void *data, const char *bytes, size_t n), void *data)
{
    _cleanup_buffer_ struct buffer line = {0};
    while (read_line(r, &line)) {
        size_t n = strtoul(line.data, NULL, 16);
        if (n == 0) {
            return true;
        }
        if (!read_bytes(r, n, take, data) || !read_line(r, &line)) {
            return false;
        }
    }
    return false;
}

static bool read_rest(struct reader *r, bool (*take)(void *data, const char *bytes, size_t n), void *data)
{
    while (r->at < r->end || refill(r)) {
        size_t piece = r->end - r->at;
        if (!take(data, r->data + r->at, piece)) {
            return false;
        }
        r->at += piece;
    }
    return true;
}

static bool send_call(struct stream *s, const struct http_server *server, const struct http_call *call)
{
    _cleanup_buffer_ struct buffer head = {0};
    buffer_printf(&head, "%s %s HTTP/1.1\r\nHost: %s:%d\r\nConnection: close\r\nAccept: application/json\r\n%s",
                  call->method == NULL ? "GET" : call->method, call->path, server->host, server->port,
                  call->headers == NULL ? "" : call->headers);
    if (call->body != NULL) {
        buffer_printf(&head, "Content-Type: %s\r\nContent-Length: %zu\r\n", call->type, call->length);
    }
    buffer_puts(&head, "\r\n");
    return stream_write(s, head.data, head.len) && (call->body == NULL || stream_write(s, call->body, call->length));
}

/* The status; 0 when there is no whole answer. */
static int run_call(const struct http_server *server, const struct http_call *call,
                    bool (*take)(void *data, const char *bytes, size_t n), void *data)
{
    struct stream *s = stream_connect(server->host, server->port, server->secure, server->ca,
                                      server->seconds == 0 ? 10 : server->seconds);
    if (s == NULL) {
        return 0;
    }
    struct reader *r = xcalloc(1, sizeof *r);
    struct head head = {0};
    r->stream = s;
    bool whole = send_call(s, server, call) && read_head(r, &head);
    if (!whole) {
        say("%s:%d%s: no answer", server->host, server->port, call->path);
        head.status = 0;
    } else if (head.chunked) {
        (void)read_chunks(r, take, data);
    } else if (head.length >= 0) {
        (void)read_bytes(r, (size_t)head.length, take, data);
    } else {
        (void)read_rest(r, take, data);
    }
    free(r);
    stream_close(s);
    return head.status;
}

static bool take_body(void *data, const char *bytes, size_t n)
{
    struct buffer *body = data;
    buffer_append(body, bytes, n);
    return body->len < MAX_ANSWER;
}

int http_call(const struct http_server *server, const struct http_call *call, struct http_answer *answer)
{
    *answer = (struct http_answer){0};
    buffer_append(&answer->body, "", 0);
    answer->status = run_call(server, call, take_body, &answer->body);
    return answer->status;
}

struct lines {
    struct buffer part;
    bool (*line)(char *text, void *data);
    void *data;
};

static bool take_lines(void *data, const char *bytes, size_t n)
{
    struct lines *lines = data;
    while (n > 0) {
        const char *newline = memchr(bytes, '\n', n);
        size_t piece = newline != NULL ? (size_t)(newline - bytes) : n;
        buffer_append(&lines->part, bytes, piece);
        if (lines->part.len > MAX_LINE) {
            return false;
        }
        if (newline != NULL) {
            bool more = lines->line(lines->part.data, lines->data);
            lines->part.len = 0;
            if (!more) {
                return false;
            }
            piece++;
        }
        bytes += piece;
        n -= piece;
    }
    return true;
}

int http_lines(const struct http_server *server, const struct http_call *call, bool (*line)(char *text, void *data),
               void *data)
{
    struct lines lines = {.line = line, .data = data};
    int status = run_call(server, call, take_lines, &lines);
    buffer_free(&lines.part);
    return status;
}

bool http_url(const char *url, char **host, int *port, bool *secure, char **path)
{
    *secure = strncmp(url, "https://", 8) == 0;
    if (!*secure && strncmp(url, "http://", 7) != 0) {
        return false;
    }
    const char *at = strstr(url, "://") + 3;
    size_t len = strcspn(at, ":/");
    *host = xstrndup(at, len);
    at += len;
    *port = *secure ? 443 : 80;
    if (*at == ':') {
        char *end;
        *port = (int)strtol(at + 1, &end, 10);
        at = end;
    }
    *path = xstrdup(*at == '\0' ? "/" : at);
    return len > 0 && *port > 0 && *port < 65536 && (*at == '\0' || *at == '/');
}
