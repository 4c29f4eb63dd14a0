/* How the sidecars of a CSI driver begin: flags, the driver behind the socket, what it must be able to do, and the
 * lease of the one that works. */
#ifndef LAB_IMAGES_SIDECAR_H
#define LAB_IMAGES_SIDECAR_H

#include "lib/core/util.h"
#include "tests/lab/images/shared/program.h"

struct sidecar {
    const char *lease;   /* what stands before the driver's name in the Lease's */
    unsigned capability; /* CSI_... of the controller */
    const char *capability_name;
    const char *socket; /* set */
    char *driver;       /* set: its name */
};

/* Parses ARGV by FLAGS and returns once this one leads, or at once without leader election. Ends the program when the
 * driver does not answer or cannot do what is needed. */
void sidecar_start(struct sidecar *s, struct flag *flags, char **argv);

/* A call of the driver; the caller frees REPLY. NULL, or why it failed as "rpc error: code = ... desc = ..."; the
 * caller frees. */
char *sidecar_call(const struct sidecar *s, const char *method, const struct buffer *request, struct buffer *reply);

#endif
