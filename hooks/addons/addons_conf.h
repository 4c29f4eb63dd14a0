/* roles/addons.conf: which add-ons there are, when each is on, and what it is made of. */
#ifndef HOOKS_ADDONS_ADDONS_CONF_H
#define HOOKS_ADDONS_ADDONS_CONF_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "lib/core/error.h"

struct addon {
    char *name;
    char **upstream;  /* release manifests, in the image's manifests directory */
    char **templates; /* ours, below the templates directory; what they describe overrides upstream */
    char **when;      /* names of the context that must all hold; "!name" must not */
    char **after;     /* add-ons that must be applied before, where they are on */
};

struct addons {
    struct addon *list; /* each after those it names in `after`, else as in the file */
    size_t n;
};

/* STATUS_CONFIG with file and line; also for a name in `after` that is not an add-on, and a cycle. */
int addons_load(struct addons **addons, const char *path, struct error **err);
void addons_free(struct addons *addons);
void addons_freep(struct addons **addons);

/* Whether CONTEXT switches the add-on on. */
bool addon_on(const struct addon *addon, const json_t *context);

#endif
