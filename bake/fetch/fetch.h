/* Downloads, several at once, resumed and retried, kept in the cache under their hash (libcurl's multi interface). */
#ifndef BAKE_FETCH_FETCH_H
#define BAKE_FETCH_FETCH_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/core/error.h"

struct source;

struct download {
    const char *name, *where; /* for messages */
    const char *url;
    const char *sha256; /* expected; NULL: any, to be learnt */
    struct source *got; /* on success path is set, and sha256 */
};

struct fetch_options {
    const char *cache;
    const char *mirror; /* PREFIX/host/path is requested in the place of scheme://host/path; NULL: none */
    long jobs;
    bool offline;
    long back_off_ms; /* before the second try; it doubles. 0: a second */
};

/* Gets all that the cache lacks; those that can be had are kept even when others fail. The error names each that
 * failed: STATUS_CRYPTO for a wrong hash, STATUS_FILE otherwise. */
int fetch_all(struct download *downloads, size_t n, const struct fetch_options *options, struct error **err);

/* The address that is really requested. The caller frees. */
char *fetch_address(const char *mirror, const char *url);

#endif
