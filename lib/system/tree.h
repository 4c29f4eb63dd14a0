/* Whole directory trees. */
#ifndef LIB_SYSTEM_TREE_H
#define LIB_SYSTEM_TREE_H

#include "lib/core/error.h"

/* Removes PATH and all below it, without following links or leaving its file system; absent is fine. */
int tree_remove(const char *path, struct error **err);

/* Removes all below PATH, but not PATH itself. */
int tree_empty(const char *path, struct error **err);

/* Everything written so far to the file system of PATH survives a power cut (syncfs): for what other programs wrote. */
int tree_sync(const char *path, struct error **err);

#endif
