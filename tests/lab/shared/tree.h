/* The metadata server's data: nested objects whose leaves are strings; a directory with no entries does not exist. */
#ifndef TESTS_LAB_SHARED_TREE_H
#define TESTS_LAB_SHARED_TREE_H

#include <stdbool.h>

#include <jansson.h>

/* What lies at PATH ("/a/b"; "/" or "" is ROOT), borrowed; NULL when nothing does. */
json_t *tree_at(json_t *root, const char *path);

/* Puts VALUE (borrowed) at PATH, making directories; leaves become strings, list members directories "0", "1", ... With
 * REPLACE what was there goes, else two directories are merged. False when a leaf would have to be the root. */
bool tree_put(json_t *root, const char *path, const json_t *value, bool replace);

/* Removes PATH, or with SUBS ("a,b") only those entries of it. False when nothing was there. */
bool tree_delete(json_t *root, const char *path, const char *subs);

/* Follows a mapping {name: data path, or a nested mapping}. A new reference; NULL when it leads to nothing. */
json_t *tree_compose(json_t *data, const json_t *mapping);

/* "/path<TAB>value" lines, sorted; a leaf alone is its value. The caller frees. */
char *tree_text(const json_t *value);

#endif
