#include "hooks/engine/command.h"

#include <string.h>

#include "hooks/engine/runner.h"

/* Deadlines lie below AppCenter's own time-outs in templates/appcenter/cluster.json.mustache, so that an event ends by
 * itself, with a message, before it is killed. */
enum { STEPS = CHANGES | DRY_RUN | MACHINE, HOST = CHANGES | DRY_RUN | NO_ROOT };

/* clang-format off */
const struct command commands[] = {
    {"init", NULL, "set up the machine from the metadata, once", METADATA_LIVE, STEPS, 540},
    {"start", NULL, "bring the node up, also a new machine with old /data", METADATA_LIVE, STEPS, 540},
    {"stop", NULL, "stop kubelet, containers and Docker in order", METADATA_ACCEPTED, STEPS, 240},
    {"restart", NULL, "stop, then start", METADATA_ACCEPTED, STEPS, 780},
    {"scale-out", NULL, "admit new nodes", METADATA_LIVE, STEPS, 540},
    {"scale-in", NULL, "drain and delete nodes", METADATA_LIVE, STEPS, 7140},
    {"destroy", NULL, "leave the cluster; refused when that loses data", METADATA_OR_CACHED, STEPS, 540},
    {"upgrade", NULL, "upgrade to the image's version", METADATA_LIVE, STEPS, 1740},
    {"check", NULL, "check the health of this host", METADATA_CACHED, NO_ROOT, 5},
    {"revive", NULL, "heal what check finds broken, with back-off", METADATA_CACHED, HOST, 28},
    {"monitor", NULL, "print figures of this host as one JSON object", METADATA_CACHED, NO_ROOT, 1},
    {"tab", "TABLE", "print nodes, components, certificates or kubeconfig", METADATA_CACHED, 0, 9},
    {"metadata", NULL, "print what this host registers: the join token", METADATA_OR_CACHED, NO_ROOT, 60},
    {"reload", NULL, "apply changed metadata: files, then what they need", METADATA_LIVE, CHANGES | DRY_RUN, 600},
    {"reconcile", NULL, "reload again what is not as it should be", METADATA_ACCEPTED, CHANGES | DRY_RUN, 540},
    {"render", NULL, "show the role's files; --root: write them there", METADATA_OR_CACHED, DRY_RUN, 60},
    {"backup", "[JSON]", "back up etcd and certificates to /data/backup", METADATA_ACCEPTED, HOST, 1740},
    {"restore", "[JSON]", "restore a backup", METADATA_OR_CACHED, HOST, 1740},
    {"delete_snapshot", "[JSON]", "delete a backup", METADATA_NONE, HOST, 60},
    {"compact-etcd", NULL, "free etcd's space: compact, defragment, end alarms", METADATA_OR_CACHED, CHANGES | NO_ROOT, 900},
    {"renew-certs", NULL, "renew the cluster's certificates now", METADATA_OR_CACHED, HOST, 540},
    {"prune-images", "[JSON]", "remove unused images: {\"max_age_hours\": N}", METADATA_OR_CACHED, HOST, 540},
    {"prune-logs", NULL, "delete logs older than keep_log_days", METADATA_OR_CACHED, HOST, 600},
    {"admit", NULL, "answer one admission request on stdin's socket", METADATA_NONE, 0, 10},
    {"status", NULL, "print the last runs; --blame: their steps by time", METADATA_NONE, 0, 10},
    {"facts", NULL, "print the typed view of the metadata", METADATA_OR_CACHED, 0, 60},
    {NULL, NULL, NULL, METADATA_NONE, 0, 0},
};
/* clang-format on */

int command_accepts(const struct command *command, const struct run *run, struct error **err)
{
    if (run->dry_run && (command->flags & CHANGES) != 0 && (command->flags & DRY_RUN) == 0) {
        return error_new(err, STATUS_USAGE, "`%s` does not support --dry-run: nothing was done", command->name);
    }
    bool needs_machine = (command->flags & NO_ROOT) != 0 || ((command->flags & MACHINE) != 0 && !run->dry_run);
    if (run->root[0] != '\0' && needs_machine) {
        return error_new(err, STATUS_USAGE,
                         "`%s` acts on the running machine and does not support --root: `render --root %s` writes the "
                         "role's files there",
                         command->name, run->root);
    }
    return 0;
}

const struct command *command_find(const struct role *role, const char *name)
{
    for (const struct command *command = commands; command->name != NULL; command++) {
        if (strcmp(command->name, name) == 0) {
            return role_event(role, name, false) != NULL ? command : NULL;
        }
    }
    return NULL;
}
