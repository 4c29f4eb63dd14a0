#include "tests/lab/images/shared/grpc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <nghttp2/nghttp2.h>

#include "tests/lab/images/shared/program.h"

#define CALL_S 90 /* the release's --timeout */

struct call {
    char *method;
    struct buffer in; /* with gRPC's five bytes before the message */
    struct buffer out;
    size_t sent;
    int status; /* of a client's call, from the trailers */
    char *why;
};

struct session {
    nghttp2_session *h2;
    int fd;
    grpc_handler *handler;
    void *data;
    struct call *one; /* of a client */
    bool done;
};

static ssize_t on_send(nghttp2_session *h2, const uint8_t *data, size_t length, int flags, void *user)
{
    const struct session *s = user;
    (void)h2;
    (void)flags;
    ssize_t n = send(s->fd, data, length, MSG_NOSIGNAL);
    return n < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : n;
}

static void frame_message(struct buffer *out, const struct buffer *message)
{
    const uint32_t length = htonl((uint32_t)message->len);
    buffer_append(out, "\0", 1); /* not compressed */
    buffer_append(out, &length, sizeof length);
    buffer_append(out, message->data == NULL ? "" : message->data, message->len);
}

static struct buffer framed(const struct buffer *in)
{
    if (in->len < 5) {
        return (struct buffer){0};
    }
    return (struct buffer){.data = in->data + 5, .len = in->len - 5};
}

static nghttp2_nv header(const char *name, const char *value)
{
    return (nghttp2_nv){
        .name = (uint8_t *)name, .value = (uint8_t *)value, .namelen = strlen(name), .valuelen = strlen(value)};
}

/* The message; a server's is followed by its trailers. */
static ssize_t on_read(nghttp2_session *h2, int32_t id, uint8_t *data, size_t length, uint32_t *flags,
                       nghttp2_data_source *source, void *user)
{
    struct call *call = source->ptr;
    const struct session *s = user;
    size_t n = call->out.len - call->sent < length ? call->out.len - call->sent : length;
    memcpy(data, call->out.data + call->sent, n);
    call->sent += n;
    if (call->sent == call->out.len) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (s->handler != NULL) {
            const nghttp2_nv trailer = header("grpc-status", "0");
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            (void)nghttp2_submit_trailer(h2, id, &trailer, 1);
        }
    }
    return (ssize_t)n;
}

static void reply(struct session *s, int32_t id, struct call *call)
{
    _cleanup_buffer_ struct buffer message = {0};
    struct buffer request = framed(&call->in);
    int status = s->handler(call->method == NULL ? "" : call->method, &request, &message, &call->why, s->data);
    if (status == GRPC_OK) {
        const nghttp2_nv headers[] = {header(":status", "200"), header("content-type", "application/grpc")};
        nghttp2_data_provider provider = {.source = {.ptr = call}, .read_callback = on_read};
        frame_message(&call->out, &message);
        (void)nghttp2_submit_response(s->h2, id, headers, 2, &provider);
        return;
    }
    _cleanup_free_ char *number = xasprintf("%d", status);
    say("%s: status %d: %s", call->method, status, call->why == NULL ? "" : call->why);
    const nghttp2_nv headers[] = {header(":status", "200"), header("content-type", "application/grpc"),
                                  header("grpc-status", number),
                                  header("grpc-message", call->why == NULL ? "failed" : call->why)};
    (void)nghttp2_submit_response(s->h2, id, headers, 4, NULL);
}

static struct call *call_of(nghttp2_session *h2, struct session *s, int32_t id)
{
    return s->one != NULL ? s->one : nghttp2_session_get_stream_user_data(h2, id);
}

static int on_begin(nghttp2_session *h2, const nghttp2_frame *frame, void *user)
{
    const struct session *s = user;
    if (s->one == NULL && frame->hd.type == NGHTTP2_HEADERS) {
        (void)nghttp2_session_set_stream_user_data(h2, frame->hd.stream_id, xcalloc(1, sizeof(struct call)));
    }
    return 0;
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name, size_t name_length,
                     const uint8_t *value, size_t value_length, uint8_t flags, void *user)
{
    struct session *s = user;
    struct call *call = call_of(h2, s, frame->hd.stream_id);
    (void)flags;
    if (call == NULL) {
        return 0;
    }
    if (name_length == 5 && memcmp(name, ":path", 5) == 0 && call->method == NULL) {
        call->method = xstrndup((const char *)value, value_length);
    } else if (name_length == 11 && memcmp(name, "grpc-status", 11) == 0) {
        call->status = number_of((const char *)value);
    } else if (name_length == 12 && memcmp(name, "grpc-message", 12) == 0) {
        free(call->why);
        call->why = xstrndup((const char *)value, value_length);
    }
    return 0;
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t id, const uint8_t *data, size_t length, void *user)
{
    struct call *call = call_of(h2, user, id);
    (void)flags;
    if (call != NULL) {
        buffer_append(&call->in, data, length);
    }
    return 0;
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *user)
{
    struct session *s = user;
    bool data_or_headers = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    struct call *call = data_or_headers ? call_of(h2, s, frame->hd.stream_id) : NULL;
    if (call != NULL && s->handler != NULL && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        reply(s, frame->hd.stream_id, call);
    }
    return 0;
}

static void call_free(struct call *call)
{
    free(call->method);
    free(call->why);
    buffer_free(&call->in);
    buffer_free(&call->out);
}

static int on_close(nghttp2_session *h2, int32_t id, uint32_t code, void *user)
{
    struct session *s = user;
    (void)code;
    if (s->one != NULL) {
        s->done = true;
        return 0;
    }
    struct call *call = nghttp2_session_get_stream_user_data(h2, id);
    if (call != NULL) {
        call_free(call);
        free(call);
    }
    return 0;
}

static void session_open(struct session *s, bool server)
{
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks) != 0) {
        fail("no memory");
    }
    nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    /* gRPC in Go names the socket's path as the authority, which HTTP does not allow */
    nghttp2_option *options = NULL;
    int r = nghttp2_option_new(&options);
    if (r == 0) {
        nghttp2_option_set_no_http_messaging(options, 1);
        r = server ? nghttp2_session_server_new2(&s->h2, callbacks, s, options)
                   : nghttp2_session_client_new2(&s->h2, callbacks, s, options);
        nghttp2_option_del(options);
    }
    if (r != 0 || nghttp2_submit_settings(s->h2, NGHTTP2_FLAG_NONE, NULL, 0) != 0) {
        fail("HTTP/2 cannot be set up");
    }
    nghttp2_session_callbacks_del(callbacks);
}

/* Until the other side is done. */
static void session_run(struct session *s)
{
    uint8_t data[16384];
    while (!s->done && nghttp2_session_send(s->h2) == 0 &&
           (nghttp2_session_want_read(s->h2) || nghttp2_session_want_write(s->h2))) {
        ssize_t n = recv(s->fd, data, sizeof data, 0);
        if (n <= 0 || nghttp2_session_mem_recv(s->h2, data, (size_t)n) != n) {
            break;
        }
    }
    nghttp2_session_del(s->h2);
    close(s->fd);
}

static void *serve_one(void *data)
{
    struct session *s = data;
    session_open(s, true);
    session_run(s);
    free(s);
    return NULL;
}

struct listener {
    int fd;
    grpc_handler *handler;
    void *data;
};

static void *accept_all(void *data)
{
    const struct listener *listener = data;
    for (;;) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
        pthread_t thread;
        if (fd < 0) {
            continue;
        }
        struct session *s = xcalloc(1, sizeof *s);
        *s = (struct session){.fd = fd, .handler = listener->handler, .data = listener->data};
        if (pthread_create(&thread, NULL, serve_one, s) != 0) {
            fail("making a thread failed");
        }
        (void)pthread_detach(thread);
    }
    return NULL;
}

static struct sockaddr_un address_of(const char *socket)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(socket) >= sizeof address.sun_path) {
        fail("%s: too long for a socket", socket);
    }
    memcpy(address.sun_path, socket, strlen(socket));
    return address;
}

void grpc_serve(const char *path, grpc_handler *handler, void *data)
{
    struct sockaddr_un address = address_of(path);
    struct listener *listener = xcalloc(1, sizeof *listener);
    pthread_t thread;
    (void)unlink(path);
    *listener = (struct listener){socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), handler, data};
    if (listener->fd < 0 || bind(listener->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener->fd, 16) != 0 || pthread_create(&thread, NULL, accept_all, listener) != 0) {
        fail("listening at %s: %s", path, strerror(errno));
    }
    (void)pthread_detach(thread);
}

const char *grpc_name(int status)
{
    static const char *const names[] = {
        "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
        "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
        "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
        "DataLoss", "Unauthenticated"};
    return status >= 0 && (size_t)status < ELEMENTS(names) ? names[status] : "Unknown";
}

int grpc_call(const char *path, const char *method, const struct buffer *request, struct buffer *out)
{
    _cleanup_free_ char *why = NULL;
    return grpc_call_why(path, method, request, out, &why);
}

int grpc_call_why(const char *path, const char *method, const struct buffer *request, struct buffer *out, char **why)
{
    *why = NULL;
    struct sockaddr_un address = address_of(path);
    struct timeval wait = {.tv_sec = CALL_S};
    struct call call = {.status = GRPC_UNAVAILABLE};
    struct session s = {.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), .one = &call};
    nghttp2_data_provider provider = {.source = {.ptr = &call}, .read_callback = on_read};
    const nghttp2_nv headers[] = {header(":method", "POST"),
                                  header(":scheme", "http"),
                                  header(":path", method),
                                  header(":authority", "localhost"),
                                  header("content-type", "application/grpc"),
                                  header("te", "trailers")};
    *out = (struct buffer){0};
    if (s.fd < 0 || setsockopt(s.fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) != 0 ||
        connect(s.fd, (struct sockaddr *)&address, sizeof address) != 0) {
        if (s.fd >= 0) {
            close(s.fd);
        }
        return GRPC_UNAVAILABLE;
    }
    frame_message(&call.out, request);
    session_open(&s, false);
    (void)nghttp2_submit_request(s.h2, NULL, headers, 6, &provider, NULL);
    session_run(&s);
    if (call.status == GRPC_OK) {
        struct buffer message = framed(&call.in);
        buffer_append(out, message.data == NULL ? "" : message.data, message.len);
    } else {
        *why = xstrdup(call.why == NULL ? "no answer" : call.why);
        say("%s: %s: %s", method, grpc_name(call.status), *why);
    }
    call_free(&call);
    return call.status;
}
