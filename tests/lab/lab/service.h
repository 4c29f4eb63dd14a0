/* The services of the cluster as the app package declares them: which command runs when, in what order, for how long.
 */
#ifndef LAB_SERVICE_H
#define LAB_SERVICE_H

#include <stdbool.h>

struct service {
    const char *role;
    const char *event; /* init, custom_metadata, start, stop, restart, scale_out, scale_in, ...; pre_check as
                          "scale_in.check" */
    int order;         /* ascending; the same number: in parallel */
    const char *command;
    int timeout;     /* s */
    bool post_start; /* of init: runs after start (post_start_service) */
};

/* NULL where the role has no such service. */
const struct service *service_find(const char *role, const char *event);

#endif
