#include "hooks/steps/node/node_ready.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/engine/run.h"
#include "hooks/steps/node/node_object.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

/* lastHeartbeatTime of Ready; 0 when there is none. Whole seconds, as the API has them. */
static time_t reported_at(const json_t *node)
{
    size_t i;
    json_t *condition;
    json_array_foreach (json_object_get(json_object_get(node, "status"), "conditions"), i, condition) {
        struct tm tm = {0};
        if (strcmp(json_text_or(condition, "type", ""), "Ready") == 0 &&
            strptime(json_text_or(condition, "lastHeartbeatTime", ""), "%Y-%m-%dT%H:%M:%SZ", &tm) != NULL) {
            return timegm(&tm);
        }
    }
    return 0;
}

bool node_reported_ready(const json_t *node, const char *boot_id, time_t started, const char **why)
{
    const char *reason = "it has no Ready condition yet";
    const char *ready = kube_condition(node, "Ready", &reason);
    const char *boot = json_text_at(node, "status", "nodeInfo", "bootID", NULL);
    *why = NULL;
    if (boot == NULL || strcmp(boot, boot_id) != 0) {
        *why = "its kubelet has not reported since this machine was booted";
    } else if (reported_at(node) < started) {
        *why = "its kubelet has not reported since it was started";
    } else if (ready == NULL || strcmp(ready, "True") != 0) {
        *why = reason == NULL ? "its kubelet reports no reason" : reason;
    }
    return *why == NULL;
}

/* proc(5): field 22 of stat, in clock ticks since boot; the name in field 2 may hold anything. Counted from now, so
 * that a clock that was set meanwhile does no harm. */
time_t process_started(long pid)
{
    _cleanup_free_ char *path = xasprintf("/proc/%ld/stat", pid);
    _cleanup_free_ char *text = NULL;
    struct timespec now;
    size_t len = 0;
    if (pid <= 0 || file_read(path, 0, &text, &len, NULL) < 0 || clock_gettime(CLOCK_BOOTTIME, &now) < 0) {
        return 0;
    }
    char *field = strrchr(text, ')');
    for (int i = 2; field != NULL && i < 22; i++) {
        field = strchr(field + 1, ' ');
    }
    if (field == NULL) {
        return 0;
    }
    time_t after_boot = (time_t)(strtoull(field, NULL, 10) / (unsigned long long)sysconf(_SC_CLK_TCK));
    return time(NULL) - (now.tv_sec - after_boot);
}

struct watch {
    char boot_id[64];
    time_t started;
    char *why; /* what was missing last */
};

static bool not_ready(void *context, const json_t *node)
{
    struct watch *watch = context;
    const char *why = NULL;
    bool ready = node_reported_ready(node, watch->boot_id, watch->started, &why);
    free(watch->why);
    watch->why = xstrdup(why);
    return !ready;
}

static int watch_begin(struct run *run, struct watch *watch, struct error **err)
{
    _cleanup_free_ char *boot_id = NULL;
    struct unit_state state;
    size_t len = 0;
    if (file_read(BOOT_ID, 0, &boot_id, &len, err) < 0 || run_units(run, err) < 0 ||
        unit_state(run->units, "kubelet.service", &state, err) < 0) {
        return -1;
    }
    (void)snprintf(watch->boot_id, sizeof watch->boot_id, "%.*s", (int)strcspn(boot_id, "\n"), boot_id);
    watch->started = process_started(state.main_pid);
    return watch->started > 0 ? 0 : error_new(err, STATUS_UNIT, "kubelet.service does not run (%s)", state.active);
}

static int watch_node(struct run *run, struct deadline deadline, struct error **err)
{
    struct watch watch = {0};
    _cleanup_free_ char *path =
        xasprintf("/api/v1/nodes?fieldSelector=metadata.name%%3D%s", run->facts->self->node_name);
    if (kubelet_query(run, deadline, err) < 0 || run_kube(run, err) < 0 || watch_begin(run, &watch, err) < 0) {
        return -1;
    }
    int r = kube_watch(run->kube, path, deadline, not_ready, &watch, err);
    _cleanup_free_ char *why = watch.why;
    return r < 0 && why != NULL ? error_wrap(err, "%s", why) : r;
}

static int wait_for_node_apply(struct run *run, struct error **err)
{
    _cleanup_free_ char *what = xasprintf("node %s", run->facts->self->node_name);
    return run_until(run, watch_node, what, "Ready", run->conf->timeouts.api_s, err);
}

const struct step step_wait_for_node = {"wait for node Ready", NULL, wait_for_node_apply, NULL};
