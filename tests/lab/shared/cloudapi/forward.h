/* Load balancers that really balance: their addresses are this host's, and a connection to one of their ports goes to
 * the backends in turn, and so do the datagrams of each sender. */
#ifndef TESTS_LAB_SHARED_CLOUDAPI_FORWARD_H
#define TESTS_LAB_SHARED_CLOUDAPI_FORWARD_H

#include <jansson.h>

struct forwarder;

struct forwarder *forward_start(void);
/* What is served from now on: an array of {"address", "port", "protocol": "udp" or another, "backends":
 * [{"ip", "port"}]}, borrowed. What cannot be is logged. */
void forward_set(struct forwarder *forwarder, const json_t *wanted);
void forward_stop(struct forwarder *forwarder); /* addresses are taken off; NULL is allowed */

#endif
