/* Stamps: what a step was last done with: it is done again only when that changed. */
#ifndef HOOKS_ENGINE_STAMP_H
#define HOOKS_ENGINE_STAMP_H

#include "hooks/engine/role.h"

/* 1 when the stamp NAME in the state directory holds exactly VALUE, 0 when not. */
int stamp_same(const struct run *run, const char *name, const char *value);

/* Written only after the fact, and after what other programs wrote to /data is on the disk. */
int stamp_put(const struct run *run, const char *name, const char *value, struct error **err);

int stamp_remove(const struct run *run, const char *name, struct error **err);

/* SHA-256 of the files' contents one after the other (under --root); an absent one counts as empty. End the paths with
 * NULL. */
char *stamp_of_files(const struct run *run, ...) __attribute__((sentinel));

#endif
