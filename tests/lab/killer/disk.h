/* What a power cut leaves: a journal of what was synced, when it was. `killed.py` makes a disk of it.
 *
 * DIR/index holds a line an entry, in order:
 *   file INODE MODE UID GID SEQUENCE       content at that moment is in DIR/SEQUENCE
 *   dir INODE PATH                         a directory was synced; its entries follow
 *   entry NAME TYPE INODE MODE UID GID TARGET
 * TYPE is f, d, l (TARGET follows) or w (a whiteout of overlayfs). Names and targets are escaped as %XX. */
#ifndef TESTS_LAB_KILLER_DISK_H
#define TESTS_LAB_KILLER_DISK_H

#include "lib/core/error.h"

struct disk {
    const char *directory;
    const char *upper;
    long sequence;
};

/* PATH is relative to the machine's root. One that is not in UPPER changed nothing. */
int disk_sync(struct disk *disk, const char *path, struct error **err);
int disk_sync_all(struct disk *disk, struct error **err);

#endif
