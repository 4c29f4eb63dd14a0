/* HTTP/1.1 as the programs here speak it: a call with its whole answer, an answer line by line, and a server with one
 * thread a connection. */
#ifndef LAB_IMAGES_HTTP_H
#define LAB_IMAGES_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "lib/core/util.h"
#include "tests/lab/images/shared/stream.h"

struct http_server {
    const char *host;
    int port;
    bool secure;
    const char *ca; /* NULL: any certificate */
    int seconds;    /* of waiting; 0: 10 */
};

struct http_call {
    const char *method; /* NULL: GET */
    const char *path;
    const char *headers; /* whole lines with \r\n, or NULL */
    const char *type;    /* of the body */
    const char *body;    /* or NULL */
    size_t length;
};

struct http_answer {
    int status; /* 0: no answer */
    struct buffer body;
};

/* The answer's status, 0 when there was none (logged). The caller frees ANSWER's body. */
int http_call(const struct http_server *server, const struct http_call *call, struct http_answer *answer);

/* The answer's lines as they come, each without its end, until LINE returns false or the server ends. The status. */
int http_lines(const struct http_server *server, const struct http_call *call, bool (*line)(char *text, void *data),
               void *data);

/* "http://host:port/path" taken apart; false when it is no such thing. The caller frees both texts. */
bool http_url(const char *url, char **host, int *port, bool *secure, char **path);

struct http_request {
    char *method, *path;
    char *query;   /* NULL: none */
    char *headers; /* all lines */
    char *peer;    /* name of the client's certificate that was checked, or NULL */
    char *body;    /* "" when there is none */
    size_t length;
};

struct http_reply {
    int status;       /* 200 unless set */
    const char *type; /* application/json unless set */
    char *location;   /* of a redirection, or NULL; freed */
    struct buffer body;
};

/* A header's value in REQUEST, or NULL; the caller frees. */
char *http_header(const struct http_request *request, const char *name);

typedef void http_handler(const struct http_request *request, struct http_reply *reply, void *data);

/* Listens on PORT and answers in threads of its own; returns at once. */
void http_serve(int port, SSL_CTX *context, http_handler *handler, void *data);

/* REPLY's body is the text of JSON, which is released. */
void reply_json(struct http_reply *reply, json_t *json);

#endif
