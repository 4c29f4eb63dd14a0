/* The root as one file: FILE.tar.zst, or FILE.qcow2, a disk that boots. Beside it lie FILE.manifest.json and
 * FILE.inputs, the hash of all that decided what is in it. */
#ifndef BAKE_OUTPUT_OUTPUT_H
#define BAKE_OUTPUT_OUTPUT_H

#include <stdbool.h>

#include "bake/bake.h"

/* STATUS_USAGE unless PATH ends in .tar.zst or .qcow2; *disk is true for the latter. */
int output_kind(const char *path, bool *disk, struct error **err);

/* 1 when the output was made from exactly INPUTS before, else 0. */
int output_fresh(const char *path, const char *inputs, struct error **err);

/* Makes the output, its manifest, and last its inputs. */
int output_make(struct bake *bake, const char *inputs, struct error **err);

/* Puts fstab and the boot loader's configuration into the root. ID names the file system. */
int disk_prepare(struct bake *bake, const char *id, struct error **err);

/* A qcow2 disk at PATH: GPT, GRUB for a BIOS, one ext4 partition. The same root gives the same bytes wherever mke2fs,
 * debugfs and qemu-img are the same. */
int disk_make(const struct bake *bake, const char *id, const char *path, struct error **err);

#endif
