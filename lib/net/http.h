/* HTTP/1.1 with a deadline, shared by the metadata, Kubernetes, Docker and cloud clients. Answers are parsed by
 * http-parser, TLS is OpenSSL's: libcurl would bring thirty more libraries, and loading those takes more time and
 * memory than the rest of a health check. */
#ifndef LIB_NET_HTTP_H
#define LIB_NET_HTTP_H

#include <stddef.h>

#include <jansson.h>

#include "lib/core/error.h"
#include "lib/core/util.h"

struct http; /* one server's connection at a time, kept for the next request when the server keeps it */

struct http_tls {
    const char *ca;   /* file of the accepted CAs; NULL: the system's */
    const char *cert; /* PEM file of the client certificate; NULL: none */
    const char *key;  /* PEM file of its key; may be the same file */
    bool self_signed; /* the server's certificate is not verified: for programs on this host's loopback
                         address, and where what comes is verified by other means */
};

struct http_request {
    const char *method; /* NULL: GET */
    const char *url;
    const char *socket;         /* path of a Unix socket to connect to, whatever host the URL names; NULL: none */
    const char *const *headers; /* NULL-terminated "Name: value"; may be NULL */
    const void *body;
    size_t body_len;
    size_t limit; /* most bytes of answer accepted; 0: 16 MiB */
    /* For long answers: takes each line of a 2xx answer, without its end, instead of the answer, until it returns
     * false, which stops the transfer as if the answer were complete there; LIMIT is then a line's. */
    bool (*line)(void *context, const char *line);
    void *line_context;
};

struct http_answer {
    long code;           /* HTTP status */
    struct buffer body;  /* NUL-terminated */
    char *content_type;  /* may be NULL */
    char *metad_version; /* X-Metad-Version; may be NULL */
};

int http_open(struct http **http, const struct http_tls *tls, struct error **err);
void http_free(struct http *http);
void http_freep(struct http **http);

/* Any answer with an HTTP status is success, whatever the status. No answer is an error with STATUS_DEADLINE (time) or
 * FAILURE (everything else), whose message names method, URL without its query, and the reason. Ends early with
 * STATUS_INTERRUPTED when a termination signal was taken (lib/core/interrupt.h). No redirects are followed. */
int http_do(struct http *http, const struct http_request *request, struct deadline deadline, int failure,
            struct http_answer *answer, struct error **err);
void http_answer_free(struct http_answer *answer);
#define _cleanup_answer_ _cleanup_(http_answer_free)

/* One exchange over a connection of its own, for servers that are seldom queried. An HTTP status other than 2xx is
 * FAILURE, with http_reason in the message. *CODE (may be NULL) is the HTTP status, also of a failure; 0 without an
 * answer. ANSWER may be NULL. */
int http_fetch(const struct http_request *request, struct deadline deadline, int failure, long *code,
               struct http_answer *answer, struct error **err);

/* The same where the answer is JSON of any type; FAILURE when it is not. *value is a new reference. */
int http_json(const struct http_request *request, struct deadline deadline, int failure, long *code, json_t **value,
              struct error **err);

/* An answer's message for people: "message" or "error" of a JSON object, else the beginning of its text on one line of
 * printable characters. The caller frees. */
char *http_reason(const struct http_answer *answer);

/* RFC 3986: all but unreserved characters as %XX in capitals. The caller frees. */
char *http_escape(const char *text);

#endif
