/* The nodes of one Elasticsearch cluster: one state that its master alone changes, and shards that are copied between
 * nodes. What decides who may do what is Elasticsearch 7's (elastic/elasticsearch, 7.10: cluster/coordination,
 * cluster/routing/allocation, gateway); the messages between nodes are JSON over HTTP and not its own protocol.
 *
 * The state:
 *   uuid, term, version; master: a node's name or ""; nodes: {name: {address, id}}; recovered;
 *   voting, exclusions: [name]; settings: flat; templates: {name: template};
 *   indices: {name: {settings: flat, dynamic: [], primary: a node's name or "", copies: {node: "started" or
 * "initializing"}, moving: {node: node}, in_sync: {node: true}}}
 */
#ifndef LAB_IMAGES_ELASTICSEARCH_CLUSTER_H
#define LAB_IMAGES_ELASTICSEARCH_CLUSTER_H

#include <stdbool.h>

#include <jansson.h>

#include "tests/lab/images/shared/http.h"

struct node {
    const char *name;
    char *address;      /* HOST:PORT where other nodes reach it; "": nobody does */
    char *id;           /* another one with each start */
    char **seeds;       /* discovery.seed_hosts, HOST or HOST:PORT */
    char **initial;     /* cluster.initial_master_nodes */
    int transport_port; /* 0: none */
    int recover_after;  /* gateway.recover_after_data_nodes */
    int expected;       /* gateway.expected_data_nodes */
    long long heap;     /* bytes, as ES_JAVA_OPTS has it */
};
extern struct node node;

/* The state as this node knows it: not to be changed, the caller's to release. */
json_t *state_get(void);
/* STATE is it from now on, and the one to begin with after a restart. */
void state_set(json_t *state);
void state_load(void);
bool state_is_mine(const json_t *state); /* this node is its master */

/* Starts what listens to other nodes and what looks after the cluster. */
void cluster_start(void);
/* Begins to listen and to look for others; the first round is over when it returns. */
void election_start(void);

json_t *election_take(const char *path, const json_t *body); /* of another node's: the answer, or NULL */

/* A request to another node: its answer, or NULL. The caller releases it; BODY is released. */
json_t *transport_call(const char *address, const char *path, json_t *body);
const char *address_of(const json_t *state, const char *name); /* "": not there */

/* Has the master change the state: OPERATION with ARGUMENTS (released), here or by a request to it. NULL, or the error
 * object of an answer (also when there is no master). */
json_t *master_do(const char *operation, json_t *arguments);
/* The same where it is the master; true when a majority has the new state. */
bool master_apply(const char *operation, const json_t *arguments, json_t **problem);
/* STATE, with a version of its own, goes to every node of it; false when too few take it. */
bool master_publish(json_t *state);
/* Whether NODES (name: anything) hold a majority of the voting configuration VOTING. */
bool is_quorum(const json_t *voting, const json_t *nodes);

/* Where copies lie: those of nodes that are gone are given up, those that are missing are placed, those on excluded
 * nodes and on nodes with too many are moved. */
void allocate(json_t *state);
/* The copies that STATE has and lacks. */
struct shards {
    int primaries, active, initializing, relocating, unassigned;
    bool red;
};
struct shards shards_of(const json_t *state);
int replicas_of(const json_t *index); /* as set, else one */
bool is_excluded(const json_t *state, const char *node);

/* A STATE has come: shards that are to be here are, those that belong to others are not. */
void shards_follow(const json_t *state);
/* Sends copies to nodes that are to have one. In the loop of the cluster. */
void shards_recover(void);
/* Writes ITEMS, [{verb, index, id, source, status, error}], each where its primary is, and fills in their results. */
void shards_write(json_t *items);
/* A request about shards of another node's: the answer, or NULL when PATH is none of these. */
json_t *shards_take(const char *path, const json_t *body);
/* Documents of each of NAMES, [name]: {name: count}. */
json_t *shards_count(const json_t *names);
/* The search QUERY (search.c) over NAMES: {"total", "hits"}. */
json_t *shards_search(const json_t *query, const json_t *names);

#endif
