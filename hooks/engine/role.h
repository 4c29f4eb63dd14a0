/* What a role is: its events, checks and capabilities. roles/ *.c are these tables and a main of one line. */
#ifndef HOOKS_ENGINE_ROLE_H
#define HOOKS_ENGINE_ROLE_H

#include <stdbool.h>

#include <jansson.h>

#include "app/conf.h"
#include "app/facts/facts.h"
#include "app/kube.h"
#include "app/metadata/meta.h"
#include "lib/core/error.h"
#include "lib/core/util.h"
#include "lib/system/unit.h"

struct role;
struct rendered;

/* One run of one event: everything a step may read. Members are made on first use by the functions of
 * hooks/engine/run.h.
 */
struct run {
    const struct role *role;
    const char *event;
    struct conf *conf;
    const char *root;     /* --root; "" for the machine itself */
    const char *source;   /* --metadata; NULL for the configured servers */
    const char *argument; /* the event's own argument (backup's JSON), or NULL */
    bool dry_run, json, check_only, force, diff, blame;
    struct deadline deadline; /* of the whole event */
    struct meta *meta;
    json_t *tree; /* the metadata */
    struct facts *facts;
    struct units *units;
    struct kube *kube;
    struct rendered *rendered; /* the role's files, as they should be */
};

struct step {
    const char *name;
    /* 1: nothing to do; 0: apply must run; -1: unknown (an error). NULL: apply always runs, and is itself
     * idempotent. */
    int (*done)(struct run *run, struct error **err);
    /* Makes it so. May be killed at any point and run again. */
    int (*apply)(struct run *run, struct error **err);
    /* For --dry-run, beyond the step's name: prints to stdout what apply would do. NULL: nothing more to print. */
    int (*preview)(struct run *run, struct error **err);
};

struct event {
    const char *name;                                /* of hooks/engine/command.h; "NAME --check" for its pre-check */
    const struct step *const *steps;                 /* NULL-terminated; NULL for an event that is a function */
    int (*run)(struct run *run, struct error **err); /* NULL: the steps, one after the other */
};

struct role {
    const char *name;                     /* k8s-NAME, and NAME.conf in paths.roles */
    const char *state;                    /* default state directory */
    bool kubelet;                         /* its host is a node of the cluster */
    bool control_plane;                   /* etcd, the API server and the CA are here, and the add-ons' manifests */
    bool logs;                            /* Elasticsearch's data is here */
    const char *kubeconfig;               /* root's, of an administrator; NULL: the host's own certificate is used */
    const struct event *events;           /* all, the last has no name */
    const struct check *const *checks;    /* hooks/checks/checks.h; NULL-terminated */
    const struct figures *const *figures; /* what `monitor` prints: hooks/events/figures.h; NULL-terminated */
};

/* main of the four binaries: options, configuration, event. Returns the exit status. */
int hook_main(const struct role *role, int argc, char **argv);

#endif
