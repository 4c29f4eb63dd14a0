/* A stand-in for the cloud's API. It verifies each request as the real one does (signature, time stamp, required
 * parameters) with code of its own, and serves DescribeVxnets, DescribeNics and DescribeInstances from a JSON object:
 *   {"keys": {"ACCESS KEY ID": "secret"}, "zones": ["pek3a"],
 *    "vxnets": [{"vxnet_id": ...}], "nics": [{"nic_id", "instance_id", "vxnet_id"}], "instances": [{"instance_id": ...,
 *    "of_cluster": true}]}
 * Any entry may have an "owner", the access key that sees it; what is of_cluster is seen with is_cluster_node=1 alone.
 * Every function may be called from any thread. */
#ifndef TESTS_LAB_SHARED_CLOUDAPI_H
#define TESTS_LAB_SHARED_CLOUDAPI_H

#include <stdint.h>

#include <jansson.h>

#include "lib/core/error.h"

struct cloudapi;

/* ADDRESS is IPv4; port 0 takes any free one. DATA is borrowed. */
int cloudapi_start(struct cloudapi **api, const char *address, uint16_t port, const json_t *data, struct error **err);
void cloudapi_stop(struct cloudapi *api);
void cloudapi_stopp(struct cloudapi **api);
#define _cleanup_cloudapi_ __attribute__((cleanup(cloudapi_stopp)))

uint16_t cloudapi_port(const struct cloudapi *api);

/* In place of what was served; borrowed. */
void cloudapi_data(struct cloudapi *api, const json_t *data);

enum cloudapi_fault_kind {
    CLOUDAPI_GOOD,  /* no fault */
    CLOUDAPI_ERROR, /* ret_code CODE with TEXT as message, to requests that are otherwise right */
    CLOUDAPI_HANG,  /* no answer until the fault is lifted or the server stops */
    CLOUDAPI_HALF,  /* half of the answer, as a whole one */
    CLOUDAPI_CLOSE, /* the connection is closed after half of the answer */
    CLOUDAPI_HTTP,  /* HTTP status CODE with body TEXT, whatever is requested */
};

struct cloudapi_fault {
    enum cloudapi_fault_kind kind;
    int code;
    const char *text; /* must outlive the fault; NULL: none */
    unsigned count;   /* of requests it meets, then good answers again; 0: every one */
};
void cloudapi_fault(struct cloudapi *api, const struct cloudapi_fault *fault);

/* Requests taken so far, and those of them whose signature was right. */
unsigned cloudapi_requests(struct cloudapi *api);
unsigned cloudapi_signed(struct cloudapi *api);

#endif
