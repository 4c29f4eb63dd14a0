/* The roles of the app's hosts, as the metadata names them, and what a host of each is to the cluster. */
#ifndef APP_FACTS_HOST_ROLE_H
#define APP_FACTS_HOST_ROLE_H

#include <stdbool.h>

struct host_role {
    const char *name;
    const char *binary; /* k8s-BINARY runs its events */
    const char *taint;  /* value of the taint "dedicated"; NULL: none */
    bool control_plane;
    bool node;   /* runs a kubelet: a node of the cluster */
    bool worker; /* a node for the pods of users */
    bool log;    /* a node for Elasticsearch's data */
};

/* In the order of facts->hosts, the last has no name. */
extern const struct host_role host_roles[];

/* NULL when the app has no role NAME (which may be NULL). */
const struct host_role *host_role_find(const char *name);

#endif
