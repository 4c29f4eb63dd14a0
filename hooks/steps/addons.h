/* master: the cluster's add-ons are what the parameters ask for. */
#ifndef HOOKS_STEPS_ADDONS_H
#define HOOKS_STEPS_ADDONS_H

#include "hooks/role.h"

int addons_done(struct run *run, struct error **err);
int addons_apply(struct run *run, struct error **err);
int addons_preview(struct run *run, struct error **err);

/* The same for the named ones (NULL-terminated) alone. */
int addons_apply_named(struct run *run, const char *const *names, struct error **err);

#endif
