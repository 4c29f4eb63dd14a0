#include <string.h>

#include "hooks/clients/etcd.h"
#include "hooks/engine/run.h"
#include "hooks/events/events.h"
#include "lib/core/logger.h"

enum { MIB_BITS = 20, SIZE_S = 10 };

/* The revision that everything before may be forgotten of. */
static int current_revision(const struct run *run, char **revision, struct error **err)
{
    static const char *const status[] = {"endpoint", "status", "--write-out=json", NULL};
    _cleanup_free_ char *text = NULL;
    if (etcdctl(status, run->deadline, &text, err) < 0) {
        return -1;
    }
    /* Cluster and member are numbers of 64 bits without a sign, which jansson's integers have no room for. */
    _cleanup_json_ json_t *list = json_loads(text, JSON_DECODE_INT_AS_REAL, NULL);
    const json_t *header = json_object_get(json_object_get(json_array_get(list, 0), "Status"), "header");
    const json_t *number = json_object_get(header, "revision");
    if (!json_is_real(number)) {
        return error_new(err, STATUS_COMMAND, "etcdctl endpoint status names no revision: %s", text);
    }
    *revision = xasprintf("%.0f", json_real_value(number));
    return 0;
}

static int compact(const struct run *run, struct error **err)
{
    static const char *const defragment[] = {"defrag", NULL};
    static const char *const disarm[] = {"alarm", "disarm", NULL};
    _cleanup_free_ char *revision = NULL;
    if (current_revision(run, &revision, err) < 0) {
        return -1;
    }
    const char *const forget[] = {"compaction", "--physical", revision, NULL};
    _cleanup_error_ struct error *failure = NULL;
    /* A killed run, or the API server's own compaction every five minutes, may have been there before. */
    if (etcdctl(forget, run->deadline, NULL, &failure) < 0) {
        if (failure->status != STATUS_COMMAND || strstr(failure->message, "has been compacted") == NULL) {
            return error_move(err, &failure);
        }
    }
    return etcdctl(defragment, run->deadline, NULL, err) < 0 ? -1 : etcdctl(disarm, run->deadline, NULL, err);
}

int event_compact_etcd(struct run *run, struct error **err)
{
    struct etcd_size before = {0};
    struct etcd_size after = {0};
    if (run->facts->etcd_linked) {
        return error_new(err, STATUS_USAGE, "the cluster's data is in the linked etcd app: compact it there");
    }
    if (etcd_size(ETCD_METRICS, run_deadline(run, SIZE_S), &before, err) < 0 || compact(run, err) < 0 ||
        etcd_size(ETCD_METRICS, run_deadline(run, SIZE_S), &after, err) < 0) {
        return -1;
    }
    log_info("etcd's database had %lld MiB and has %lld MiB, its quota is %lld MiB",
             (long long)(before.file >> MIB_BITS), (long long)(after.file >> MIB_BITS),
             (long long)(after.quota >> MIB_BITS));
    if (after.file * 10 > after.quota * 9) {
        log_warning("what is stored needs that space: find what writes so much, and delete it");
    }
    return 0;
}
