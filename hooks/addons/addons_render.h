/* From roles/addons.conf and the context to the manifests that the cluster is given. */
#ifndef HOOKS_ADDONS_ADDONS_RENDER_H
#define HOOKS_ADDONS_ADDONS_RENDER_H

#include "app/conf.h"
#include "hooks/addons/manifest.h"

/* On every object: the add-on it is of. */
#define ADDON_ANNOTATION "k8s-hooks/add-on"

struct rendered_addon {
    char *name;
    bool on;     /* the context requires it and hook.conf does not skip it */
    bool absent; /* on, but not rendered, for want of what an image brings */
    /* Where it is on and not absent: */
    struct manifest manifest; /* in the order a cluster can take it */
    char *text;               /* all of it; may hold secrets, wiped when freed */
    char *hash;               /* SHA-256 of the text */
};

struct rendered_addons {
    struct rendered_addon *list; /* each after those it comes after */
    size_t n;
};

/* Every add-on of roles/addons.conf: its upstream manifests, and its templates over them (format yaml, strict, partials
 * below the templates directory). Beside CONTEXT templates see `addon.checksum`, 12 hexadecimal digits that change with
 * what the add-on's earlier templates rendered to and with the template itself. OFF_MACHINE: where there is no image,
 * what one brings may be absent, with a warning. ADDONS, empty before, is to be freed after a failure too.
 * STATUS_CONFIG, STATUS_TEMPLATE, STATUS_FILE. */
int addons_render(struct rendered_addons *addons, const struct conf *conf, const json_t *context, bool off_machine,
                  struct error **err);
void rendered_addons_free(struct rendered_addons *addons);
#define _cleanup_rendered_addons_ _cleanup_(rendered_addons_free)

#endif
