#include "app/facts/host_role.h"

#include <stddef.h>
#include <string.h>

/* ssd_node differs from node only in its instance class and its taint. */
const struct host_role host_roles[] = {
    {.name = "master", .binary = "master", .control_plane = true, .node = true},
    {.name = "node", .binary = "node", .node = true, .worker = true},
    {.name = "ssd_node", .binary = "node", .taint = "ssd", .node = true, .worker = true},
    {.name = "log", .binary = "log", .taint = "log", .node = true, .log = true},
    {.name = "client", .binary = "client"},
    {.name = NULL},
};

const struct host_role *host_role_find(const char *name)
{
    for (const struct host_role *role = host_roles; name != NULL && role->name != NULL; role++) {
        if (strcmp(role->name, name) == 0) {
            return role;
        }
    }
    return NULL;
}
