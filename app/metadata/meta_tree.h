/* A metadata tree, the object under /self, as text from a server or a file. */
#ifndef APP_METADATA_META_TREE_H
#define APP_METADATA_META_TREE_H

#include <stddef.h>

#include <jansson.h>

#include "app/status.h"
#include "lib/core/error.h"

/* The object in TEXT; STATUS_METADATA_INVALID when it is none, or when a leaf is not a string (the message names its
 * path and quotes nothing: the tree holds secrets). *tree is a new reference. */
int meta_tree_parse(const char *text, size_t len, json_t **tree, struct error **err);

/* From a file that holds the tree or {"self": tree}. STATUS_FILE when it cannot be read. */
int meta_tree_load(const char *path, json_t **tree, struct error **err);

/* As meta_tree_load, from a file that none but this user can have written or read. STATUS_METADATA_UNREACHABLE. */
int meta_tree_load_private(const char *path, json_t **tree, struct error **err);

/* Writes {"self": tree} with mode 0600. */
int meta_tree_save_private(const char *path, json_t *tree, struct error **err);

#endif
