#include "tests/lab/lab/service.h"

#include <stddef.h>
#include <string.h>

#include "lib/util.h"

/* Every role that runs a kubelet has these; BINARY is the role's. */
#define KUBELET_ROLE(role, binary, init, start, stop)                                                                  \
    {role, "init", init, binary " init", 600, false}, {role, "start", start, binary " start", 600, false},             \
        {role, "stop", stop, binary " stop", 600, false}, {role, "restart", start, binary " restart", 600, false},     \
        {role, "destroy", stop, binary " destroy", 600, false},                                                        \
        {role, "upgrade", start, binary " upgrade", 1800, false}, {role, "check", 0, binary " check", 10, false},      \
        {role, "action", 0, binary " revive", 30, false}, {role, "monitor", 0, binary " monitor", 5, false},           \
    {                                                                                                                  \
        role, "reload", 0, "k8s-hook reload", 120, false                                                               \
    }

static const struct service services[] = {
    KUBELET_ROLE("master", "k8s-master", 1, 1, 3),
    {"master", "custom_metadata", 0, "k8s-master metadata", 60, false},
    {"master", "scale_out.check", 0, "k8s-master scale-out --check", 60, false},
    {"master", "scale_out", 1, "k8s-master scale-out", 600, false},
    {"master", "scale_in.check", 0, "k8s-master scale-in --check", 60, false},
    {"master", "scale_in", 1, "k8s-master scale-in", 1800, false},
    {"master", "backup", 0, "k8s-master backup", 600, false},
    {"master", "restore", 0, "k8s-master restore", 1200, false},
    {"master", "delete_snapshot", 0, "k8s-master delete-snapshot", 60, false},
    KUBELET_ROLE("node", "k8s-node", 2, 2, 2),
    KUBELET_ROLE("ssd_node", "k8s-node", 2, 2, 2),
    KUBELET_ROLE("log", "k8s-log", 2, 2, 2),
    {"client", "init", 3, "k8s-client init", 600, true},
    {"client", "start", 3, "k8s-client start", 600, false},
    {"client", "stop", 1, "k8s-client stop", 60, false},
    {"client", "check", 0, "k8s-client check", 10, false},
    {"client", "action", 0, "k8s-client revive", 30, false},
    {"client", "reload", 0, "k8s-hook reload", 120, false},
    {"client", "upgrade", 3, "k8s-client upgrade", 600, false},
};

const struct service *service_find(const char *role, const char *event)
{
    for (size_t i = 0; i < ELEMENTS(services); i++) {
        if (strcmp(services[i].role, role) == 0 && strcmp(services[i].event, event) == 0) {
            return &services[i];
        }
    }
    return NULL;
}
