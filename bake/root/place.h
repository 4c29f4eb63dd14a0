/* Putting files into the root, all or none: each is written beside its place, then all are renamed. */
#ifndef BAKE_ROOT_PLACE_H
#define BAKE_ROOT_PLACE_H

#include <sys/types.h>

#include "bake/root/rootfs.h"

struct place {
    const struct root *root;
    char **paths; /* what is or will be put: files and links, as paths in the image */
    char **made;  /* directories made for them */
    size_t ready; /* of paths, those written beside */
    bool done;
};

#define PLACE_SUFFIX ".k8s-bake-new"

/* Copies what FD gives to TO. With SHA256, what streams by must have that hash: STATUS_CRYPTO with both. */
int place_stream(struct place *place, const char *to, mode_t mode, int fd, const char *sha256, struct error **err);
int place_data(struct place *place, const char *to, mode_t mode, const void *data, size_t len, struct error **err);
int place_link(struct place *place, const char *to, const char *target, struct error **err);

/* The directory SOURCE (on this machine) laid over TO: files and links in the order of their names; mode 0755 where the
 * owner may run it, else 0644, owner root. */
int place_tree(struct place *place, const char *to, const char *source, struct error **err);

/* Renames all into place; does nothing the second time. */
int place_commit(struct place *place, struct error **err);

/* Removes what was committed: it is of no use. What it replaced is gone. */
void place_rollback(struct place *place);

/* Unless committed, takes everything back: the root is as it was. */
void place_end(struct place *place);
#define _cleanup_place_ _cleanup_(place_end)

/* Adds paths, modes and contents of a tree to HASH, in the order place_tree takes them. */
struct hash;
int tree_hash(const char *source, struct hash *hash, struct error **err);

#endif
