/* A lab: machines from one image in a network namespace of their own, a metadata server, and the state that lets one
 * command continue where another stopped. Everything a lab makes is named after it, so that several run side by side.
 */
#ifndef LAB_LAB_H
#define LAB_LAB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "lib/core/error.h"
#include "lib/core/util.h"

#define LAB_NETWORK "192.168.100" /* of the machines; reachable from nowhere else */
#define LAB_GATEWAY LAB_NETWORK ".1"
#define LAB_ZONE "lab1" /* unless a scenario names another */
#define LAB_VXNET "vxnet-lab0000"
#define LAB_GATEWAY_MAC "52:54:00:00:64:01" /* 64 is the network's 100, as in the machines' */

/* What to do, in the message of a failure: advise() adds the lab's name. */
#define MACHINE_OFF "`lab start` boots what is stopped, `lab fault end power-cut` what lost its power"

#define LAB_APP "templates/appcenter"     /* the product's package, in the source tree */
#define LAB_DIRECTORY "/var/tmp/k8s-lab-" /* and the lab's name */

/* A process that outlives the command that started it; the start time distinguishes it from a later one with its
 * number. */
struct process {
    pid_t pid; /* 0: none */
    uint64_t start;
};

struct machine {
    char *name; /* master-1, node-2: the role and sid, as people call it */
    char *role;
    int sid;
    char *node_id;
    char *instance_id; /* NULL while there is no VM */
    char *ip, *mac;
    char *pub_key; /* NULL, or for passphraseless ssh */
    char *token;   /* what custom_metadata printed, or NULL */
    bool adding, deleting;
    struct process nspawn;
    struct process leader; /* its process 1 */
    int notify;            /* socket that reports when it is up; between machine_start and machine_wait */
};

struct lab {
    char *name;
    char *dir;    /* /var/tmp/k8s-lab-NAME */
    char *cache;  /* what is made once */
    char *source; /* top of the source tree */
    char *app;    /* directory of the app package: config.json, cluster.json.mustache, locale/ */
    char *bin;    /* where this program lies: build/lab */
    char *cluster_id;
    char *profile;   /* "product": what a user gets; "bridge": no add-ons, a network of routes */
    char *zone;      /* of the cloud: it may replace the instance classes of the package (package_instance_class) */
    json_t *package; /* what is to run when: package.h */
    json_t *locale;  /* its texts: form/locale.h */
    json_t *form;    /* its config.json: form/form.h */
    json_t *values;  /* what was entered in that, over its defaults */
    json_t *env;     /* the cluster's parameters */
    json_t *links;   /* top level entries of the metadata beside ours: links, vertical-scaling-roles */
    struct machine **machines;
    size_t n_machines;
    struct process metad;
    long version_before, version; /* of the metadata around what was published last; 0: nothing yet. Not on disk */
    struct process cloud;         /* the cloud's API */
    int next_host;                /* last part of the next machine's address */
    char **layers;                /* directories of the image, lowest first */
    bool created;                 /* the create event went through */
};

/* The lab NAME as its state file has it, or a fresh one that is not on disk yet. */
int lab_open(struct lab **lab, const char *name, struct error **err);
/* The same where the state file cannot be read, which goes. */
int lab_open_anew(struct lab **lab, const char *name, struct error **err);
int lab_save(const struct lab *lab, struct error **err);
bool lab_exists(const struct lab *lab); /* on disk */
/* The image of LAB, and its machines' processes and instances, as the state on disk has them: another program may have
 * changed them. */
int lab_refresh(struct lab *lab, struct error **err);
/* A descriptor that keeps other programs from changing the lab until it is closed; -1 with STATUS_USAGE where one does,
 * which the message names. */
int lab_lock(const struct lab *lab, struct error **err);
void lab_free(struct lab *lab);
void lab_freep(struct lab **lab);

/* dir + "/" + formatted; the caller frees. */
char *lab_path(const struct lab *lab, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A new machine of ROLE with the next sid, a node id and an address; no VM yet. */
struct machine *lab_add(struct lab *lab, const char *role);
void lab_remove(struct lab *lab, struct machine *machine);
/* By "node-2", or by role alone where there is one of it. */
struct machine *lab_find(const struct lab *lab, const char *name, struct error **err);
/* Whether NAME is ROLE-N with a role of the package, also where the state knows no such machine: what is named LAB-NAME
 * is then lab's, and not that of a lab "LAB-ROLE". */
bool lab_is_machine_name(const struct lab *lab, const char *name);
size_t lab_count(const struct lab *lab, const char *role);

/* PREFIX and 8 random characters of a-z0-9: "i-x3k...". */
char *random_id(const char *prefix);

bool process_alive(const struct process *process);
struct process process_of(pid_t pid);
/* SIGNAL, then until it is gone; at DEADLINE SIGKILL. Works on what is not our child. Not interrupted by signals. */
void process_end(struct process *process, int signal, struct deadline deadline);
/* Waits until the first line of LOG, which PROCESS writes, begins with WORDS: a server prints it once it listens. */
int process_await_line(const struct process *process, const char *log, const char *words, struct deadline deadline,
                       struct error **err);
/* Starts ARGV as a daemon: own session, no terminal, output to LOG. PREPARE (may be NULL) runs in the child before
 * exec. */
int process_spawn(struct process *process, const char *const *argv, const char *log,
                  int (*prepare)(void *data, struct error **err), void *data, struct error **err);

/* Removes the tree below and at PATH, mounts excepted. */
int files_remove(const char *path, struct error **err);
/* Writes a small file, its directories made. */
int text_put(const char *path, mode_t mode, struct error **err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
