/* Paths of another root directory: what --root names. */
#ifndef LIB_SYSTEM_ROOT_PATH_H
#define LIB_SYSTEM_ROOT_PATH_H

#include <stdbool.h>

/* The path that PATH has inside ROOT, as openat2's RESOLVE_IN_ROOT finds it: symbolic links on the way lead to places
 * below ROOT, absolute ones too, and ".." ends at ROOT. FOLLOW: also when the last component is a link. What is not
 * there is taken as written. ROOT "" or NULL: PATH itself. More than 40 links: a path below /dev/null, which every call
 * refuses (ENOTDIR). Whoever may change ROOT meanwhile can still lead out of it. The caller frees. */
char *root_path(const char *root, const char *path, bool follow);

#endif
