/* A libmicrohttpd content reader for servers that are to break off. */
#ifndef LAB_HALF_BODY_H
#define LAB_HALF_BODY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The first half of the text CONTEXT, then the end of the connection. */
ssize_t half_body(void *context, uint64_t at, char *out, size_t size);

#endif
