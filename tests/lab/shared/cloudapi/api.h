/* What the parts of the cloud API's server share. An action is a function in a table; a resource that calls make is an
 * object in a list of the state, which is saved after each call. */
#ifndef TESTS_LAB_SHARED_CLOUDAPI_API_H
#define TESTS_LAB_SHARED_CLOUDAPI_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <jansson.h>

/* One parameter of a request, decoded. */
struct cloudapi_argument {
    char *name, *value;
};

struct cloudapi_arguments {
    struct cloudapi_argument *list;
    size_t count;
};

/* docs.qingcloud.com/api/common/error_code.html */
enum {
    RET_FORMAT = 1100,
    RET_AUTHENTICATION = 1200,
    RET_EXPIRED = 1300,
    RET_DENIED = 1400, /* permission, or a resource in a state that does not allow the action */
    RET_NOT_FOUND = 2100,
    RET_QUOTA = 2500
};

/* One request that is in order. */
struct cloudapi_call {
    const struct cloudapi_arguments *arguments;
    const char *action;
    const json_t *data;   /* what was declared: tests/lab/shared/cloudapi.h */
    json_t *state;        /* what calls made: lists by kind, see below */
    const json_t *faults; /* the faults file, {} without one */
    const json_t *fault;  /* what it says of this request; NULL: nothing */
    const char *disks;    /* directory of the volumes' files; NULL: volumes have no device */
    const char *user;     /* whose key signed */
    int64_t now;          /* wall clock, ms */
};

/* The answer, a new reference: made by cloudapi_done or cloudapi_refuse. */
typedef json_t *cloudapi_handler(struct cloudapi_call *call);

/* Tables end with a row without a name. A new file's table is added to the list in actions.c. */
struct cloudapi_action {
    const char *name;
    cloudapi_handler *handler;
};
extern const struct cloudapi_action cloudapi_account_actions[], cloudapi_instance_actions[], cloudapi_network_actions[],
    cloudapi_volume_actions[], cloudapi_snapshot_actions[], cloudapi_balancer_actions[], cloudapi_listener_actions[],
    cloudapi_eip_actions[], cloudapi_firewall_actions[], cloudapi_vip_actions[];

/* Answers. */
json_t *cloudapi_refuse(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
json_t *cloudapi_done(json_t *members); /* takes MEMBERS; NULL: none. ret_code and action are added */
json_t *cloudapi_not_found(const char *id);

/* Arguments. */
const char *cloudapi_argument(const struct cloudapi_arguments *arguments, const char *name);
const char *cloudapi_text(const struct cloudapi_call *call, const char *name); /* NULL when it is not given */
/* The values of NAME.1, NAME.2, ...; a NULL-terminated vector for strv_free, empty when there is none. */
char **cloudapi_list(const struct cloudapi_call *call, const char *name);
/* The objects of NAME.1.MEMBER, ...: an array of objects of texts; a new reference. */
json_t *cloudapi_objects(const struct cloudapi_call *call, const char *name);
/* An integer. *VALUE is untouched when it is not given. False when it is not a number of LOW..HIGH: the call is to be
 * refused with cloudapi_invalid(NAME). */
bool cloudapi_number(const struct cloudapi_call *call, const char *name, long low, long high, long *value);
json_t *cloudapi_invalid(const char *name);

/* Resources. */
struct cloudapi_kind {
    const char *list;   /* in the state, and in DATA what was there before: "volumes" */
    const char *type;   /* as quotas and tags call it: "volume" */
    const char *prefix; /* of an id: "vol-" */
    const char *id;     /* members: "volume_id", "volume_name" */
    const char *name;
    long quota; /* of each user, where the faults file names no other */
};
extern const struct cloudapi_kind cloudapi_volumes, cloudapi_snapshots, cloudapi_balancers, cloudapi_listeners,
    cloudapi_backends, cloudapi_eips, cloudapi_tags, cloudapi_firewalls, cloudapi_rules, cloudapi_jobs;

json_t *cloudapi_all(const struct cloudapi_call *call,
                     const char *list); /* of the state, borrowed, made where absent */
/* A new resource of MEMBERS (taken) with id, name (may be NULL), owner, zone_id, create_time, status (may be NULL).
 * Borrowed. */
json_t *cloudapi_add(struct cloudapi_call *call, const struct cloudapi_kind *kind, json_t *members, const char *name,
                     const char *status);
/* The user's one of that id, not deleted; NULL when there is none. Borrowed. */
json_t *cloudapi_find(const struct cloudapi_call *call, const struct cloudapi_kind *kind, const char *id);
void cloudapi_drop(struct cloudapi_call *call, const struct cloudapi_kind *kind, const char *id);
void cloudapi_status(struct cloudapi_call *call, json_t *resource, const char *status, const char *transition);
bool cloudapi_is_deleted(const json_t *resource);
/* An instance that was declared, with instance_class; NULL when there is none. Borrowed. */
const json_t *cloudapi_instance(const struct cloudapi_call *call, const char *id);
/* NULL when the user may have COUNT more of KIND, else the refusal. */
json_t *cloudapi_quota(struct cloudapi_call *call, const struct cloudapi_kind *kind, long count);
char *cloudapi_time(int64_t ms); /* 2026-11-25T19:00:00Z; the caller frees */

/* Jobs: a change that comes true after some time, or does not. It is made of parts, each about one resource: members
 * that are SET when the job succeeds, or UNDO-ne when it fails. A member that is null is deleted. */
json_t *cloudapi_change(const struct cloudapi_kind *kind, const char *id, json_t *set, json_t *undo);
/* What a part does to the volume's device and file: "create", "attach", "detach", "resize", "remove", or "copy" from
 * the file of SOURCE. The job fails when that does. */
json_t *cloudapi_change_disk(json_t *change, const char *what, const char *source);
/* Starts a job of the CHANGES (an array, taken); its id, borrowed from the state. */
const char *cloudapi_job(struct cloudapi_call *call, json_t *changes);
/* Ends the jobs whose time has come. True when something changed. */
bool cloudapi_settle(struct cloudapi_call *call);

/* Lists: action "DescribeVolumes" answers a page of "volume_set". */
struct cloudapi_description {
    const struct cloudapi_kind *kind;
    const char *set;
    const char *ids; /* the list parameter that names them: "volumes" */
    struct {
        const char *parameter, *member; /* also a list parameter */
    } filters[4];
    /* What the answer has in the place of ENTRY, a copy that may be changed; NULL: as it is. */
    void (*render)(const struct cloudapi_call *call, json_t *entry);
};
json_t *cloudapi_describe(struct cloudapi_call *call, const struct cloudapi_description *description);

/* Volumes of one call: empty, or copies of a volume's or snapshot's file. */
struct cloudapi_new_volumes {
    const char *name, *source; /* NULL: none */
    long type, size, count;
};
json_t *cloudapi_new_volumes(struct cloudapi_call *call, const struct cloudapi_new_volumes *wanted);
/* Volumes of instances that are no more are available again. True when something changed. */
bool cloudapi_release_volumes(struct cloudapi_call *call);

/* The listeners of a load balancer with their backends, a new reference; and without those whose MEMBER is ID. */
json_t *cloudapi_listeners_of(const struct cloudapi_call *call, const char *balancer);
void cloudapi_drop_listeners(struct cloudapi_call *call, const char *member, const char *id);

/* What load balancers serve, as forward_set takes it: their listeners as of the last update. A new reference. */
json_t *cloudapi_served(const struct cloudapi_call *call);

/* Disks. Each 0, or -1 with what failed logged; nothing and 0 without a directory for them. */
int cloudapi_disk(struct cloudapi_call *call, const json_t *volume, const char *what, const char *source);

/* Network cards. A part of a job that has "wire": "plug" or "unplug" does so, and the job fails when that does. */
const json_t *cloudapi_vxnet(const struct cloudapi_call *call, const char *id); /* that was declared; NULL: none */
/* Those of instances that are no more are available again. True when something changed. */
bool cloudapi_release_nics(struct cloudapi_call *call);
/* 0, or -1 with what failed logged; nothing and 0 for an instance without "_pid". */
int cloudapi_wire(struct cloudapi_call *call, const json_t *nic, const char *what);

/* The request as a whole. */
/* 0, or the API's ret_code for what is wrong with it, and *message why. PATH is as requested: "/iaas/". */
int cloudapi_verify(const struct cloudapi_arguments *arguments, const char *path, const json_t *data, time_t now,
                    const char **message);
json_t *cloudapi_answer(struct cloudapi_call *call);
const char *cloudapi_user(const json_t *data, const char *key); /* whose key it is */

#endif
