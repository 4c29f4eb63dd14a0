/* What an HTTP server may send, in pieces of any size: an answer, or an error of the caller's status. The connection is
 * this target's own. The first byte of an input chooses the size of pieces, the second how the answer is taken. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/net/connection.h"
#include "lib/net/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FAILURE = 77, LIMIT = 300 };

static struct {
    const uint8_t *data;
    size_t size, piece;
    int open;
} stream;

int connection_open(struct connection **connection, const struct endpoint *endpoint, struct deadline deadline,
                    int failure, struct error **err)
{
    (void)endpoint, (void)deadline, (void)failure, (void)err;
    stream.open++;
    *connection = (struct connection *)&stream;
    return 0;
}

void connection_free(struct connection *connection)
{
    stream.open -= connection != NULL;
}

int connection_write(struct connection *connection, const void *data, size_t len, struct deadline deadline, int failure,
                     struct error **err)
{
    (void)connection, (void)data, (void)len, (void)deadline, (void)failure, (void)err;
    return 0;
}

ssize_t connection_read(struct connection *connection, void *data, size_t size, struct deadline deadline, int failure,
                        struct error **err)
{
    (void)connection, (void)deadline, (void)failure, (void)err;
    size_t n = stream.piece < stream.size ? stream.piece : stream.size;
    n = n < size ? n : size;
    memcpy(data, stream.data, n);
    stream.data += n;
    stream.size -= n;
    return (ssize_t)n;
}

bool connection_usable(const struct connection *connection)
{
    return connection != NULL && stream.size > 0;
}

static bool take_line(void *context, const char *line)
{
    size_t *lines = context;
    if (strlen(line) > LIMIT || strchr(line, '\n') != NULL) {
        abort();
    }
    return ++*lines < 20;
}

static void request(struct http *http, unsigned how)
{
    size_t lines = 0;
    const struct http_request request = {
        .method = (how & 1) != 0 ? "HEAD" : "GET",
        .url = "http://h/path?q",
        .limit = (how & 2) != 0 ? LIMIT : 0,
        .line = (how & 6) == 6 ? take_line : NULL,
        .line_context = &lines,
    };
    _cleanup_answer_ struct http_answer answer = {0};
    _cleanup_error_ struct error *err = NULL;
    int r = http_do(http, &request, deadline_never(), FAILURE, &answer, &err);
    if ((r < 0) != (err != NULL) || (r < 0 && (err->status != FAILURE || answer.body.data != NULL)) ||
        (r == 0 && (answer.code < 100 || answer.code > 999 || answer.body.data[answer.body.len] != '\0' ||
                    (request.limit > 0 && answer.body.len > LIMIT)))) {
        abort();
    }
    free(r == 0 ? http_reason(&answer) : NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    stream.data = data + 2;
    stream.size = size - 2;
    stream.piece = 1 + (size_t)data[0] * 8;
    struct http *http = NULL;
    if (http_open(&http, NULL, NULL) < 0) {
        abort();
    }
    for (int i = 0; i < 3; i++) {
        request(http, data[1]);
    }
    http_free(http);
    if (stream.open != 0) {
        abort();
    }
    return 0;
}
