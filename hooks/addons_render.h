/* From an add-on and the context to the manifest that the cluster is given. */
#ifndef HOOKS_ADDONS_RENDER_H
#define HOOKS_ADDONS_RENDER_H

#include "hooks/addons_conf.h"
#include "hooks/manifest.h"
#include "lib/conf.h"

/* Reads the add-on's upstream manifests and renders its templates over them (format yaml, strict, partials below the
 * templates directory), in the order a cluster can take them. Beside CONTEXT templates see `addon.checksum`, 12
 * hexadecimal digits that change with what the add-on's earlier templates rendered to and with the template itself.
 * HASH is the SHA-256 of the whole; the caller frees. STATUS_TEMPLATE, STATUS_FILE. */
int addon_render(const struct addon *addon, const struct conf *conf, const json_t *context, struct manifest *manifest,
                 char **hash, struct error **err);

#endif
