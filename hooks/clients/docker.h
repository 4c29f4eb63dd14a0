/* Docker's API on its Unix socket: what the hooks query without starting a docker process. */
#ifndef HOOKS_CLIENTS_DOCKER_H
#define HOOKS_CLIENTS_DOCKER_H

#include <jansson.h>

#include "lib/core/error.h"
#include "lib/core/util.h"

/* Whether the daemon answers. A connection starts it where docker.socket listens for it: check the unit first. */
int docker_ping(struct deadline deadline, struct error **err);

/* METHOD PATH ("/containers/json"); *result (may be NULL) is a new reference. STATUS_COMMAND with Docker's own message.
 * docs.docker.com/engine/api */
int docker_call(const char *method, const char *path, struct deadline deadline, json_t **result, struct error **err);

/* The containers that run and have LABEL ("KEY=VALUE"): a new reference to an array. STATUS_COMMAND. */
int docker_containers(const char *label, struct deadline deadline, json_t **containers, struct error **err);

#endif
