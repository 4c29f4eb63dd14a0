/* Names of container images. */
#ifndef HOOKS_CLIENTS_IMAGE_NAME_H
#define HOOKS_CLIENTS_IMAGE_NAME_H

#include <stdbool.h>

/* REFERENCE in its full form, as github.com/distribution/distribution's reference.ParseNormalizedNamed and TagNameOnly
 * give it: "busybox" is docker.io/library/busybox:latest, "fluent/fluent-bit:1.8" docker.io/fluent/fluent-bit:1.8,
 * "index.docker.io/x/y" docker.io/x/y:latest. A digest stays, and then no tag is added. The caller frees. */
char *image_name_full(const char *reference);

/* Whether both name the same image. */
bool image_name_same(const char *a, const char *b);

#endif
