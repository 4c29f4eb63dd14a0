/* The metadata client: the tree under /self of AppCenter's metadata servers (metad), as one JSON object. */
#ifndef APP_METADATA_META_H
#define APP_METADATA_META_H

#include <jansson.h>

#include "app/conf.h"
#include "app/status.h"
#include "lib/core/error.h"
#include "lib/core/util.h"

struct meta;

/* The URLs of the servers that CONF or the agent's confd.toml names, else "http://metadata". strv_free. */
char **meta_servers(const struct conf *conf);

/* SOURCE NULL: the servers of CONF (or confd.toml), in turn, with CONF's cache. "http://..." or "https://...": that
 * server alone, without cache. Anything else: a file holding the JSON of /self, or of an object with the one key
 * "self". Nothing is requested yet. */
int meta_open(struct meta **meta, const struct conf *conf, const char *source, struct error **err);
void meta_free(struct meta *meta);
void meta_freep(struct meta **meta);

/* Requests until one server gives a good answer or CONF's deadline (or DEADLINE, if earlier) passes: servers in turn,
 * back-off with jitter between rounds. A good answer is a JSON object whose leaves are strings.
 * STATUS_METADATA_UNREACHABLE, _INVALID (garbage, half a JSON) or _UNKNOWN_HOST (404 from all); the message names every
 * server and its answer. *tree is a new reference. */
int meta_get(struct meta *meta, struct deadline deadline, json_t **tree, struct error **err);

/* Holds a long poll until the tree is newer than the last one given by META, then as meta_get. For a file source:
 * STATUS_DEADLINE at once. STATUS_DEADLINE when nothing changed in time. */
int meta_wait(struct meta *meta, struct deadline deadline, json_t **tree, struct error **err);

/* Writes TREE to the cache, where there is one: a tree that was found right, not only well-formed. A warning in the log
 * when that fails. */
void meta_keep(struct meta *meta, json_t *tree);

/* The tree last kept; STATUS_METADATA_UNREACHABLE when there is none that can be trusted. */
int meta_cached(struct meta *meta, json_t **tree, struct error **err);

/* meta_get, and the cache (with a warning in the log) when no server gives a good answer, be it none, a 404 or half a
 * JSON: for what must work without the platform (stop, check, restart, destroy). */
int meta_get_or_cached(struct meta *meta, struct deadline deadline, json_t **tree, struct error **err);

/* PUTs BODY at /v1/data/clusters/CLUSTER/hosts/ROLE/INSTANCE/health of the management listener URL. */
int meta_report(const char *url, const char *cluster, const char *role, const char *instance, const json_t *body,
                struct deadline deadline, struct error **err);

#endif
