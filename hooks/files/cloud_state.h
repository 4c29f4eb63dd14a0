/* What the cloud's API answered last, on this host's disk: the health check reads it, since the user's quota does not
 * allow a call each minute. */
#ifndef HOOKS_FILES_CLOUD_STATE_H
#define HOOKS_FILES_CLOUD_STATE_H

#include "hooks/engine/role.h"

struct cloud_state {
    int status;      /* STATUS_OK, or why the API refused */
    char *message;   /* "" for STATUS_OK */
    int64_t time;    /* seconds since 1970 */
    char *inputs;    /* a hash of all that was queried */
    json_t *classes; /* role: instance class; NULL: not queried */
};

/* False when there is none that can be read; then STATE is empty. */
bool cloud_state_load(const struct run *run, struct cloud_state *state);
void cloud_state_clear(struct cloud_state *state);

/* Of STATE all but its time, which is now. STATUS_FILE. */
int cloud_state_save(const struct run *run, const struct cloud_state *state, struct error **err);

#endif
