#include "hooks/engine/command.h"

#include <string.h>

#include "hooks/engine/runner.h"
#include "hooks/events/events.h"

/* Deadlines lie below AppCenter's own time-outs in templates/appcenter/cluster.json.mustache, so that an event ends by
 * itself, with a message, before it is killed. */
/* clang-format off */
const struct command commands[] = {
    {"init", NULL, "set the machine up from the metadata, once", METADATA_LIVE, true, 540, NULL},
    {"start", NULL, "bring the node up, also a new machine with old /data", METADATA_LIVE, true, 540, NULL},
    {"stop", NULL, "stop kubelet, containers and docker in order", METADATA_ACCEPTED, true, 240, NULL},
    {"restart", NULL, "stop, then start", METADATA_ACCEPTED, true, 780, event_restart},
    {"scale-out", NULL, "take new nodes in; --check: is the cluster fit?", METADATA_LIVE, true, 540, NULL},
    {"scale-in", NULL, "drain and remove nodes; --check: may they leave?", METADATA_LIVE, true, 1740, NULL},
    {"destroy", NULL, "leave the cluster; refused when that loses data", METADATA_OR_CACHED, true, 240, NULL},
    {"upgrade", NULL, "move to the image's version; --check: can it?", METADATA_LIVE, true, 1740, NULL},
    {"check", NULL, "is this host healthy? Cached metadata serves", METADATA_CACHED, false, 5, event_check},
    {"revive", NULL, "heal what check says is broken, with back-off", METADATA_CACHED, true, 28, event_revive},
    {"monitor", NULL, "print figures of this host as one JSON object", METADATA_CACHED, false, 1, event_monitor},
    {"tab", "TABLE", "nodes, components, certificates or kubeconfig", METADATA_CACHED, false, 9, event_tab},
    {"metadata", NULL, "print what this host registers: the join token", METADATA_OR_CACHED, false, 60, event_metadata},
    {"reload", NULL, "bring files up to the metadata, and act on changes", METADATA_LIVE, true, 600, event_reload},
    {"render", NULL, "show the role's files; --root: write them there", METADATA_OR_CACHED, false, 60, event_render},
    {"backup", "[JSON]", "snapshot etcd and certificates to /data/backup", METADATA_ACCEPTED, true, 1740, event_backup},
    {"restore", "[JSON]", "bring a snapshot back", METADATA_OR_CACHED, true, 1740, NULL},
    {"delete_snapshot", "[JSON]", "delete a snapshot", METADATA_NONE, true, 60, event_delete_snapshot},
    {"renew-certs", NULL, "renew the cluster's certificates now", METADATA_OR_CACHED, true, 540, NULL},
    {"prune-images", "[JSON]", "remove unused images: {\"max_age_hours\": N}", METADATA_OR_CACHED, true, 540,
     event_prune_images},
    {"status", NULL, "the last runs; --blame: where the time went", METADATA_NONE, false, 10, event_status},
    {"facts", NULL, "print the typed view of the metadata", METADATA_OR_CACHED, false, 60, event_facts},
    {NULL, NULL, NULL, METADATA_NONE, false, 0, NULL},
};
/* clang-format on */

const struct command *command_find(const struct role *role, const char *name)
{
    for (const struct command *command = commands; command->name != NULL; command++) {
        if (strcmp(command->name, name) == 0) {
            bool there = command->run != NULL || role_steps(role, name, false) != NULL;
            return there ? command : NULL;
        }
    }
    return NULL;
}
