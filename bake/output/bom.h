/* image-manifest.json: what is in an image, as a CycloneDX 1.4 bill of materials (cyclonedx.org/docs/1.4/json). */
#ifndef BAKE_OUTPUT_BOM_H
#define BAKE_OUTPUT_BOM_H

#include <stdbool.h>
#include <stdio.h>

#include "bake/bake.h"

#define MANIFEST_PATH "/opt/kubernetes/image-manifest.json"

/* Packages as dpkg has them in the root, artifacts and container images with their hashes. A new reference. */
int manifest_make(const struct bake *bake, json_t **manifest, struct error **err);

/* Writes it where the root has another. */
int manifest_put(const struct bake *bake, const json_t *manifest, bool *changed, struct error **err);

/* Reads the manifest of a root directory, of FILE.tar.zst or FILE.qcow2 (from FILE.manifest.json beside it), or a
 * manifest itself. STATUS_FILE, also when it is something else. */
int manifest_read(const char *path, json_t **manifest, struct error **err);

void manifest_show(const json_t *manifest, FILE *out);

/* Prints what B has more, has not, has otherwise than A. Returns the number of differences. */
size_t manifest_diff(const json_t *a, const json_t *b, FILE *out);

#endif
