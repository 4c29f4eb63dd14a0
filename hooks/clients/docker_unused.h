/* Making room: what Docker keeps and nothing needs. */
#ifndef HOOKS_CLIENTS_DOCKER_UNUSED_H
#define HOOKS_CLIENTS_DOCKER_UNUSED_H

#include <jansson.h>

#include "lib/core/error.h"
#include "lib/core/util.h"

/* IMAGES and CONTAINERS are the answers of /images/json and /containers/json?all=1. The ids of the images that no
 * container uses and that have no name among KEEP (an object whose values are references; may be NULL). The caller
 * frees. */
char **docker_unused_images(const json_t *images, const json_t *containers, const json_t *keep);

/* Removes stopped containers, then unused images but those of KEEP. *removed is the number of images. */
int docker_remove_unused(const json_t *keep, struct deadline deadline, size_t *removed, struct error **err);

#endif
