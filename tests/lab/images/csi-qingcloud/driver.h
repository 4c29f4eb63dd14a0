/* QingCloud's CSI driver v1.1.1, in its parts. A function that answers a call returns a gRPC status; where it is not OK
 * it sets *WHY, which the caller frees. */
#ifndef LAB_IMAGES_CSI_QINGCLOUD_DRIVER_H
#define LAB_IMAGES_CSI_QINGCLOUD_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "lib/core/util.h"

#define GIB ((uint64_t)1 << 30)

struct driver {
    const char *name, *node_id;
    uint64_t max_volumes;
    int retries; /* of a detach that failed */
};
extern struct driver driver;

int identity_call(const char *method, struct buffer *reply, char **why);
int controller_call(const char *method, const struct buffer *request, struct buffer *reply, char **why);
int snapshot_call(const char *method, const struct buffer *request, struct buffer *reply, char **why);
int node_call(const char *method, const struct buffer *request, struct buffer *reply, char **why);

int refuse(char **why, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
void put_capabilities(struct buffer *reply, const unsigned *types, size_t n);

/* One call a resource at a time; false when there is one. */
bool resource_lock(const char *id);
void resource_unlock(const char *id);

/* The cloud, as the driver's cloud manager asks it. A resource is a new reference, NULL with *WHY not set when there is
 * none, or when it is deleted. */
json_t *cloud_volume(const char *id, char **why);
json_t *cloud_volume_by_name(const char *name, char **why);
json_t *cloud_instance(const char *id, char **why);
json_t *cloud_snapshot(const char *id, char **why);
json_t *cloud_snapshot_by_name(const char *name, char **why);
bool cloud_tags_valid(const json_t *tags);
bool cloud_tag(const json_t *tags, const char *id, const char *type, char **why);
/* A call that starts a job, until that is over. The answer, or NULL with *WHY. */
json_t *cloud_job(const char *action, json_t *parameters, char **why);
/* The same again while the cloud's refusal has the words UNTIL in it: "please try later". */
json_t *cloud_job_again(const char *action, json_t *parameters, const char *until, char **why);
#define TRY_LATER "please try later"
void retry_pause(int tries);

/* Types of volumes. */
struct storage_class {
    int type, replica;
    long least, most, step; /* GiB */
    json_t *tags;
};
/* What the parameters of a storage class say; false with *WHY. Without a type it is the standard one, whatever else
 * they say. */
bool storage_class_read(struct storage_class *class, const json_t *parameters, char **why);
void storage_class_clear(struct storage_class *class);
bool storage_class_of_type(struct storage_class *class, int type);
/* The size of a volume for a capacity range, in bytes; false when that allows none. */
bool storage_class_size(const struct storage_class *class, const struct buffer *range, uint64_t *bytes, char **why);
/* Where a volume may be used: its zone, and each class of instances it attaches to. */
void put_topologies(struct buffer *message, unsigned field, const json_t *volume);
const char *instance_class_name(long class); /* NULL: the driver knows no such class */
bool instance_class_known(const char *name);

#endif
