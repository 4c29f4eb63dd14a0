/* A stand-in for the cloud's API. It verifies each request as the real one does (signature, time stamp, required
 * parameters) with code of its own, refuses what the real one refuses with its codes, and answers in its shape.
 *
 * What is there from outside comes from DATA, a JSON object:
 *   {"keys": {"ACCESS KEY ID": "secret"}, "users": {"ACCESS KEY ID": "usr-..."} (else a key is its own user),
 *    "zones": ["pek3a"], "volume_types": [0, 2] (of the zone; else all that there are),
 *    "lb_network": "192.168.100" (addresses of load balancers: .240 to .254 of it),
 *    "vxnets": [{"vxnet_id": ...}], "nics": [{"nic_id", "instance_id", "vxnet_id"}],
 *    "instances": [{"instance_id": ..., "instance_class": 0, "of_cluster": true, "_dev": "/proc/1234/root/dev",
 *                   "_pid": 1234}],
 *    "clusters": [{"cluster_id": ...}]}
 * Any entry may have an "owner", the access key or user that sees it; what is of_cluster is seen with is_cluster_node=1
 * alone. Members that begin with _ are in no answer; _dev is where an instance's devices are, _pid whose network its
 * cards are in.
 *
 * What calls make (network cards, VIPs, volumes, snapshots, load balancers, public addresses, security groups, tags,
 * jobs) is state; with a file for it, it outlives the server. Most of it takes time: the answer has a job_id, and the
 * change comes true when the job is over.
 *
 * Faults on demand are a JSON object too, of which every part may be left out:
 *   {"actions": {"AttachVolumes": FAULT, "*": FAULT (every other action)},
 *    "quota": {"volume": 2, "snapshot": .., "loadbalancer": .., "eip": .., "tag": .., "security_group": ..,
 *              "nic": .., "vip": ..},
 *    "job_ms": 500 (how long a job takes)}
 * A FAULT has one or more of
 *   "ret_code": 2500, "message": "QuotaExceeded"   refused, although it is in order
 *   "http": 503                                    this HTTP status instead of an answer
 *   "delay_ms": 3000                               answered later
 *   "hang": true                                   not answered while the faults are these
 *   "job": "failed"                                the job that it starts fails
 *   "count": 1                                     of requests it meets; without it, every one
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

/* In place of what was served; borrowed. Volumes and cards of instances that are no longer in it become available. */
void cloudapi_data(struct cloudapi *api, const json_t *data);

/* Ends the jobs whose time has come, as each request does too. */
void cloudapi_settle_jobs(struct cloudapi *api);

/* Keeps the state in the file PATH, which is read when it is there. With DISKS, an absolute path of a directory, a
 * volume is a sparse file in it, and a loop device in the instance it is attached to. */
int cloudapi_keep(struct cloudapi *api, const char *path, const char *disks, struct error **err);
/* Detaches every loop device of the files in DISKS. */
void cloudapi_disks_release(const char *disks);

/* From now on the addresses of load balancers are this host's (on lo), and their TCP listeners reach the instances that
 * have an "_ip". */
void cloudapi_forward(struct cloudapi *api);

/* Faults as described above, in place of those that were; NULL: none. Borrowed. What hung is answered. */
void cloudapi_faults(struct cloudapi *api, const json_t *faults);

enum cloudapi_fault_kind {
    CLOUDAPI_GOOD,  /* no fault */
    CLOUDAPI_ERROR, /* ret_code CODE with TEXT as message, to requests that are otherwise right */
    CLOUDAPI_HANG,  /* no answer until the fault is lifted or the server stops */
    CLOUDAPI_HALF,  /* half of the answer, as a whole one */
    CLOUDAPI_CLOSE, /* the connection is closed after half of the answer */
    CLOUDAPI_HTTP,  /* HTTP status CODE with body TEXT, whatever is requested */
};

/* The same from within a test, for every action. */
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
