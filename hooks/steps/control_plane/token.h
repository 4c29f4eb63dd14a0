/* The bootstrap token. Its value stays the same for the life of the cluster, since AppCenter registers it once; whether
 * the cluster honours it is up to its Secret, which lives for a limited span. */
#ifndef HOOKS_STEPS_CONTROL_PLANE_TOKEN_H
#define HOOKS_STEPS_CONTROL_PLANE_TOKEN_H

#include "app/status.h"
#include "hooks/engine/role.h"

/* How long the cluster honours the token each time it is made to. */
enum { TOKEN_SPAN_MINUTES = 30 };

/* The master's token value; STATUS_TOKEN_ABSENT before init has made it. The caller wipes and frees. */
int token_read(const struct run *run, char **token, struct error **err);

#endif
