/* The machine image of the lab: made from nothing on the first run, from the cache later. */
#ifndef LAB_IMAGE_H
#define LAB_IMAGE_H

#include "tests/lab/lab/lab.h"

#define KUBERNETES_VERSION "v1.20.2"

/* Makes what is missing of the image with Kubernetes VERSION, sets lab->layers and saves the lab. Needs the host's
 * network (network_leave) when the cache is cold. */
int image_make(struct lab *lab, const char *version, struct error **err);

/* Container images of VERSION as archives in the directory *path, made without a registry. */
int container_images_make(const struct lab *lab, const char *version, char **path, struct error **err);

/* True when the release manifests are there, so that the image can have every add-on. */
bool image_has_product(const struct lab *lab);

/* Runs ARGV with its output in LOG (appended), up to MINUTES. */
int logged_run(const char *const *argv, const char *log, int minutes, struct error **err);

/* Kubernetes' programs of VERSION in the directory *path. */
int kubernetes_make(const struct lab *lab, const char *version, char **path, struct error **err);

#endif
