/* One bake: the parts share this. */
#ifndef BAKE_BAKE_H
#define BAKE_BAKE_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "bake/conf/image_conf.h"
#include "bake/root/place.h"
#include "bake/root/rootfs.h"

struct options {
    const char *conf;
    const char *lock;  /* NULL: image.lock beside conf */
    const char *cache; /* downloads by hash, base systems, container images */
    const char *root;
    const char *output;                   /* FILE.tar.zst or FILE.qcow2 */
    const char *mirror, *registry_mirror; /* over those of image.conf */
    char **variables;
    bool in_place, refresh, offline, dry_run;
    long jobs; /* downloads at once */
};

/* A file that goes into the image. */
struct source {
    char *path;   /* NULL until it is fetched */
    char *sha256; /* of the file; NULL for a container image that is not fetched */
    char *digest; /* of a container image: "sha256:..." of its manifest; NULL where there was only an archive */
};

struct bake {
    const struct options *options;
    struct bake_conf *conf;
    json_t *lock;  /* bake/conf/pins.h */
    json_t *state; /* bake/state.h */
    struct root root;
    struct source *artifacts; /* one for each of conf's */
    struct source *images;    /* one for each of conf's; without path where not preloaded */
    long epoch;
    bool disk; /* packages of a disk go in too */
    size_t applied, skipped;
};

/* Something that is put in once, and again when its key changes. */
struct item {
    char *title; /* "artifact helm" */
    const char *where;
    char *key; /* hash of all that decides what apply does */
    /* Puts files into PLACE, which the caller commits, or makes changes of its own that can be made again. */
    int (*apply)(struct bake *bake, const struct item *item, struct place *place, struct error **err);
    const void *data;
};

/* The items in order, the last has no title; freed by plan_free. Local files are read for their hashes. */
int plan_make(const struct bake *bake, struct item **items, struct error **err);
void plan_free(struct item *items);

/* The hash of everything that decides what is in the image. BASE is base_inputs'. The caller frees. */
char *plan_inputs(const struct bake *bake, const struct item *items, const char *base);

/* An RFC 4122 shaped identifier that follows from HASH (hex). The caller frees. */
char *uuid_of(const char *hash);

/* True when the root has the item of DATA. */
bool plan_has(const struct bake *bake, const struct item *items, const void *data);

/* Applies what the root does not have, and takes out what it has from items that are no more. */
int plan_apply(struct bake *bake, const struct item *items, struct error **err);

/* item.apply of each kind */
int overlay_apply(struct bake *bake, const struct item *item, struct place *place, struct error **err);
int artifact_apply(struct bake *bake, const struct item *item, struct place *place, struct error **err);
int image_apply(struct bake *bake, const struct item *item, struct place *place, struct error **err);
int settings_apply(struct bake *bake, const struct item *item, struct place *place, struct error **err);
int user_apply(struct bake *bake, const struct item *item, struct place *place, struct error **err);
int unit_apply(struct bake *bake, const struct item *item, struct place *place, struct error **err);
int versions_apply(struct bake *bake, const struct item *item, struct place *place, struct error **err);

/* Finds the pin of each artifact and image, or its hash where it is a file of this machine; those without are named in
 * one error, before anything is fetched. */
int sources_know(struct bake *bake, struct error **err);

/* Downloads what the cache lacks of those that the root has not yet. */
int sources_get(struct bake *bake, const struct item *items, struct error **err);
void sources_free(struct bake *bake);

/* Adds to image.lock a pin for all that lacks one; NAMES (may be empty) are pinned again. What this configuration does
 * not name keeps its pin: another one may. */
int sources_update_lock(struct bake *bake, char *const *names, struct error **err);

/* The hash of what the base system is made of. */
int base_inputs(const struct bake *bake, char **hash, struct error **err);

/* Makes the base system of a later bake in the cache. */
int base_fetch(const struct bake *bake, struct error **err);

/* Opens bake->root: makes DIR from Debian packages unless it was made from the same list before (--root), or installs
 * what the running system lacks (--in-place). */
int base_open(struct bake *bake, const char *dir, struct error **err);

/* Removes what an image must not hold, host by host different or of no use. */
int clean_root(const struct bake *bake, struct error **err);

#endif
