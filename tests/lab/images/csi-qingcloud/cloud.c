/* What the driver asks of the cloud, call by call. */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/images/csi-qingcloud/driver.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/program.h"
#include "tests/lab/images/shared/qingcloud.h"

enum { TRIES = 20 };

static bool is_gone(const json_t *resource)
{
    static const char *const statuses[] = {"deleted", "ceased", "terminated"};
    for (size_t i = 0; i < ELEMENTS(statuses); i++) {
        if (strcmp(text_at(resource, "status"), statuses[i]) == 0) {
            return true;
        }
    }
    return resource == NULL;
}

/* The one that is named by id. */
static json_t *find(const char *action, const char *set, json_t *parameters, char **why)
{
    _cleanup_json_ json_t *answer = qingcloud_call(action, parameters, why);
    json_t *found = json_array_get(json_object_get(answer, set), 0);
    return is_gone(found) ? NULL : json_incref(found);
}

/* The first of those a search finds that has exactly that name. */
static json_t *find_name(const char *action, const char *set, const char *member, const char *name, char **why)
{
    json_t *parameters = json_pack("{ss si si}", "search_word", name, "limit", 20, "offset", 0);
    if (strcmp(member, "snapshot_name") == 0) {
        json_object_set_new(parameters, "verbose", json_integer(1));
    }
    _cleanup_json_ json_t *answer = qingcloud_call(action, parameters, why);
    size_t i;
    json_t *one;
    json_array_foreach (json_object_get(answer, set), i, one) {
        if (strcmp(text_at(one, member), name) == 0 && !is_gone(one)) {
            return json_incref(one);
        }
    }
    return NULL;
}

json_t *cloud_volume(const char *id, char **why)
{
    return find("DescribeVolumes", "volume_set", json_pack("{s[s] si si}", "volumes", id, "limit", 20, "offset", 0),
                why);
}

json_t *cloud_volume_by_name(const char *name, char **why)
{
    return find_name("DescribeVolumes", "volume_set", "volume_name", name, why);
}

json_t *cloud_instance(const char *id, char **why)
{
    return find("DescribeInstances", "instance_set",
                json_pack("{s[s] si si}", "instances", id, "is_cluster_node", 1, "verbose", 1), why);
}

json_t *cloud_snapshot(const char *id, char **why)
{
    return find("DescribeSnapshots", "snapshot_set", json_pack("{s[s] si}", "snapshots", id, "verbose", 1), why);
}

json_t *cloud_snapshot_by_name(const char *name, char **why)
{
    return find_name("DescribeSnapshots", "snapshot_set", "snapshot_name", name, why);
}

bool cloud_tags_valid(const json_t *tags)
{
    size_t i;
    json_t *tag;
    json_array_foreach ((json_t *)tags, i, tag) {
        _cleanup_free_ char *why = NULL;
        _cleanup_json_ json_t *found = find("DescribeTags", "tag_set", json_pack("{s[O]}", "tags", tag), &why);
        if (found == NULL) {
            return false;
        }
    }
    return true;
}

bool cloud_tag(const json_t *tags, const char *id, const char *type, char **why)
{
    json_t *pairs = json_array();
    size_t i;
    json_t *tag;
    json_array_foreach ((json_t *)tags, i, tag) {
        json_array_append_new(pairs, json_pack("{sO ss ss}", "tag_id", tag, "resource_id", id, "resource_type", type));
    }
    if (json_array_size(pairs) == 0) {
        json_decref(pairs);
        return true;
    }
    _cleanup_json_ json_t *answer = qingcloud_call("AttachTags", json_pack("{so}", "resource_tag_pairs", pairs), why);
    return answer != NULL;
}

json_t *cloud_job(const char *action, json_t *parameters, char **why)
{
    json_t *answer = qingcloud_call(action, parameters, why);
    if (answer != NULL && !qingcloud_wait(text_at(answer, "job_id"), why)) {
        /* the driver loses the cause here: its format string has nothing for it */
        free(*why);
        *why = xasprintf("call IaaS WaitJob id Job [%s] failed, error: ", text_at(answer, "job_id"));
        json_decref(answer);
        return NULL;
    }
    return answer;
}

void retry_pause(int tries)
{
    useconds_t wait = 1000000;
    for (int i = 0; i < tries && wait < 60000000; i++) {
        wait = wait * 3 / 2;
    }
    (void)usleep(wait);
}

json_t *cloud_job_again(const char *action, json_t *parameters, const char *until, char **why)
{
    _cleanup_json_ json_t *taken = parameters;
    for (int tries = 0;; tries++) {
        json_t *answer = cloud_job(action, json_incref(taken), why);
        if (answer != NULL || strstr(*why, until) == NULL || tries == TRIES) {
            return answer;
        }
        free(STEAL(*why));
        retry_pause(tries);
    }
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static json_t *held;

bool resource_lock(const char *id)
{
    pthread_mutex_lock(&lock);
    held = held == NULL ? json_object() : held;
    bool is_free = json_object_get(held, id) == NULL;
    json_object_set_new(held, id, json_true());
    pthread_mutex_unlock(&lock);
    return is_free;
}

void resource_unlock(const char *id)
{
    pthread_mutex_lock(&lock);
    json_object_del(held, id);
    pthread_mutex_unlock(&lock);
}
