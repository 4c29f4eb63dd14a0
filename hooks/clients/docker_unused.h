/* Making room: what Docker keeps and nothing needs. */
#ifndef HOOKS_CLIENTS_DOCKER_UNUSED_H
#define HOOKS_CLIENTS_DOCKER_UNUSED_H

#include <stdint.h>

#include <jansson.h>

#include "lib/core/error.h"
#include "lib/core/util.h"

/* IMAGES and CONTAINERS are the answers of /images/json and /containers/json?all=1. The ids of the images that no
 * container uses, that were built at BEFORE (seconds since 1970; 0: whenever) or earlier, and that no reference among
 * KEEP (an object whose values are references; may be NULL) names, in whatever form it is written. The caller frees. */
char **docker_unused_images(const json_t *images, const json_t *containers, const json_t *keep, int64_t before);

/* Removes stopped containers. */
int docker_remove_stopped(struct deadline deadline, struct error **err);

/* Removes the images of docker_unused_images; *removed is their number. */
int docker_remove_unused(const json_t *keep, int64_t before, struct deadline deadline, size_t *removed,
                         struct error **err);

#endif
