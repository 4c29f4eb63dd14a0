/* Unary gRPC calls over a Unix socket (HTTP/2 by nghttp2): what CSI drivers, their sidecars and the kubelet speak. */
#ifndef LAB_IMAGES_GRPC_H
#define LAB_IMAGES_GRPC_H

#include "lib/core/util.h"

/* https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
enum {
    GRPC_OK = 0,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14
};

/* METHOD as "/csi.v1.Identity/Probe"; the status. *WHY (set where it fails) is freed. */
typedef int grpc_handler(const char *method, const struct buffer *request, struct buffer *reply, char **why,
                         void *data);

/* Listens at the path SOCKET, which is made anew, and answers in threads of its own; returns at once. */
void grpc_serve(const char *socket, grpc_handler *handler, void *data);

/* The status; what failed is logged. The caller frees REPLY. */
int grpc_call(const char *socket, const char *method, const struct buffer *request, struct buffer *reply);
/* The same, with the server's message in *WHY when it fails, which the caller frees. */
int grpc_call_why(const char *socket, const char *method, const struct buffer *request, struct buffer *reply,
                  char **why);
const char *grpc_name(int status); /* "NotFound" */

#endif
