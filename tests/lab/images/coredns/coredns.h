/* Stands for CoreDNS with the plugins of kubeadm's Corefile: zone cluster.local from the API, everything else forwarded
 * (Kubernetes DNS-Based Service Discovery 1.1.0; coredns v1.7.0, plugin/kubernetes). */
#ifndef LAB_IMAGES_COREDNS_H
#define LAB_IMAGES_COREDNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/core/util.h"

#define ZONE "cluster.local"

enum {
    TYPE_A = 1,
    TYPE_CNAME = 5,
    TYPE_PTR = 12,
    TYPE_AAAA = 28,
    TYPE_SRV = 33,
    TYPE_ANY = 255,
    NOERROR = 0,
    FORMERR = 1,
    SERVFAIL = 2,
    NXDOMAIN = 3,
    NOTIMP = 4,
};

struct corefile {
    int health, ready, metrics; /* ports; 0: not there */
    bool kubernetes, pods_insecure;
    char *forward; /* a resolv.conf, or NULL */
    unsigned ttl;
};
/* Reads the file; a directive that is not known ends the program, as CoreDNS does. */
void corefile_read(const char *path, struct corefile *conf);

/* One record of an answer. */
struct record {
    uint16_t type;
    uint32_t address; /* TYPE_A, host order */
    uint16_t port;    /* TYPE_SRV */
    char target[256]; /* TYPE_SRV, TYPE_CNAME, TYPE_PTR */
};
struct records {
    struct record *list;
    size_t n;
};

/* Follows Services and Endpoints; ready once both are listed. */
void zone_open(bool pods_insecure);
bool zone_ready(void);
/* What NAME (lower case, without the last dot) has of TYPE: NOERROR, perhaps with nothing, or NXDOMAIN. False when the
 * name is not of the cluster's zone or its reverse zones. */
bool zone_find(const char *name, uint16_t type, struct records *found, int *code);

/* The answer to a packet, forwarded when it is not ours. The caller frees OUT. */
void dns_answer(const struct corefile *conf, const unsigned char *query, size_t len, struct buffer *out);

#endif
