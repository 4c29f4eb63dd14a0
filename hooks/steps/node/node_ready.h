/* Whether a node is Ready now, and not only was when its kubelet reported last. */
#ifndef HOOKS_STEPS_NODE_NODE_READY_H
#define HOOKS_STEPS_NODE_NODE_READY_H

#include <stdbool.h>
#include <time.h>

#include <jansson.h>

/* Whether NODE (an object of the API) has been reported Ready in the boot BOOT_ID, and since STARTED, when the kubelet
 * of this host was started. The API keeps the last report of a kubelet that is gone: its boot ID is another after a new
 * VM or a reboot, and a kubelet reports as soon as it is started. *why (borrowed from NODE or constant) is why not. */
bool node_reported_ready(const json_t *node, const char *boot_id, time_t started, const char **why);

/* When the process PID was started, by the clock as it is set now; 0 when there is no such process. */
time_t process_started(long pid);

#endif
