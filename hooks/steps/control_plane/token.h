/* The bootstrap token. Its value stays the same for the life of the cluster, since AppCenter registers it once; whether
 * it is valid depends on its Secret, which expires. */
#ifndef HOOKS_STEPS_CONTROL_PLANE_TOKEN_H
#define HOOKS_STEPS_CONTROL_PLANE_TOKEN_H

#include "app/status.h"
#include "hooks/engine/role.h"

/* How long the token is valid each time it is enabled. */
enum { TOKEN_VALID_MINUTES = 30 };

/* The master's token value; STATUS_TOKEN_ABSENT before init has made it. The caller wipes and frees. */
int token_read(const struct run *run, char **token, struct error **err);

#endif
