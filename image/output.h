/* The root as one file: FILE.tar.zst, or FILE.qcow2, a disk that boots. */
#ifndef IMAGE_OUTPUT_H
#define IMAGE_OUTPUT_H

#include "image/bake.h"

bool output_is_disk(const char *path);

/* 1 when the output was made from exactly these inputs before, and says so; 0 when it must be made. */
int output_fresh(struct bake *bake, struct error **err);

/* Makes the output and FILE.manifest.json beside it, then removes the root if it was only for this. */
int output_make(struct bake *bake, bool remove_root, struct error **err);

/* A disk image of the root (image/disk.c). */
int disk_make(struct bake *bake, const char *path, struct error **err);

#endif
