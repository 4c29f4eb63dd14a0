/* A metadata server that behaves on the wire as AppCenter's does (metad: github.com/yunify/metad, docs/api.md): data,
 * the view each caller has of it under /self by its address, versions, long polls, and the management listener.
 *
 * Connections that wait hold no thread. Every function may be called from any thread. */
#ifndef TESTS_LAB_SHARED_METAD_H
#define TESTS_LAB_SHARED_METAD_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "lib/core/error.h"

struct metad;

/* Addresses are IPv4; port 0 takes any free one. MANAGE_ADDRESS NULL: no management listener. */
int metad_start(struct metad **metad, const char *address, uint16_t port, const char *manage_address,
                uint16_t manage_port, struct error **err);
/* Ends held connections without an answer. */
void metad_stop(struct metad *metad);
void metad_stopp(struct metad **metad);
#define _cleanup_metad_ __attribute__((cleanup(metad_stopp)))

uint16_t metad_port(const struct metad *metad);
uint16_t metad_manage_port(const struct metad *metad);

/* What POST, PUT, DELETE and GET on /v1/data do; each change is a new version and answers the long polls. VALUE is
 * borrowed; metad_get gives a deep copy, NULL when nothing is there. */
bool metad_set(struct metad *metad, const char *path, const json_t *value);
bool metad_merge(struct metad *metad, const char *path, const json_t *value);
bool metad_delete(struct metad *metad, const char *path);
json_t *metad_get(struct metad *metad, const char *path);
uint64_t metad_version(struct metad *metad);

/* The view of the caller at IP: {name: data path}, borrowed. NULL: the address becomes unknown. */
void metad_map(struct metad *metad, const char *ip, const json_t *mapping);

/* The mapping AppCenter gives a VM: cluster, env, host (its own), hosts, adding-hosts, deleting-hosts, links,
 * vertical-scaling-roles and cmd (its own), all of /clusters/CLUSTER. ROLE NULL: the app has no roles. A new reference.
 */
json_t *metad_vm_mapping(const char *cluster, const char *role, const char *instance_id);

/* Reads {"data": {...}, "mapping": {...}} in place of what is there. */
int metad_load(struct metad *metad, const char *path, struct error **err);

enum metad_fault_kind {
    METAD_GOOD,  /* no fault */
    METAD_DELAY, /* the good answer, delay_ms late */
    METAD_HANG,  /* no answer, until the fault is lifted or the server stops: then the connection is closed */
    METAD_CLOSE, /* the connection is closed after half of the body */
    METAD_HALF,  /* half of the body, as a whole answer */
    METAD_BODY,  /* code and body as given here */
};

struct metad_fault {
    const char *body;
    enum metad_fault_kind kind;
    int delay_ms;
    unsigned code;
    unsigned count; /* of requests it meets, then good answers again; 0: every one */
};

/* For requests to the metadata listener from now on. The management listener takes the same: PUT /v1/fault with
 * {"kind": "delay" | "hang" | "close" | "half" | "body", "delay_ms", "code", "body", "count"}; DELETE /v1/fault lifts
 * it. */
void metad_fault(struct metad *metad, const struct metad_fault *fault);

/* Requests the metadata listener has taken so far. */
unsigned metad_requests(struct metad *metad);
/* Waits until COUNT requests are held (long polls and faults); false when TIMEOUT_MS passed before. */
bool metad_await_held(struct metad *metad, unsigned count, int timeout_ms);

#endif
