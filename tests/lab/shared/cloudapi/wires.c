/* Network cards that are there: of a machine that runs here ("_pid" of its instance), one end of a veth pair with the
 * card's address; the other lies in the vxnet's bridge, where its router answers too. */
#include <stdio.h>
#include <string.h>

#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/core/util.h"
#include "lib/system/proc.h"
#include "tests/lab/shared/cloudapi/api.h"

enum { LIMIT_MS = 10000 };

/* An interface's name has at most 15 characters: the last six digits of the card's address. */
static char *outer_name(const json_t *nic)
{
    unsigned a[6] = {0};
    /* NOLINTNEXTLINE(cert-err34-c): no number is longer than what the server itself wrote */
    (void)sscanf(json_text_or(nic, "nic_id", ""), "%x:%x:%x:%x:%x:%x", a, a + 1, a + 2, a + 3, a + 4, a + 5);
    return xasprintf("nic%02x%02x%02x%02x", a[2], a[3], a[4], a[5]);
}

/* Each vxnet is a network of its own: a bridge. */
static char *bridge_of(const json_t *vxnet)
{
    const char *id = json_text_or(vxnet, "vxnet_id", "");
    size_t length = strlen(id);
    return xasprintf("vx-%s", id + (length > 12 ? length - 12 : 0));
}

/* The router of a vxnet is this namespace, which forwards between them. Its hardware address must be its own: one that
 * is borrowed from a card goes with that. */
static int open_router(const json_t *vxnet, const char *bridge, struct error **err)
{
    const json_t *router = json_object_get(vxnet, "router");
    unsigned network = 0;
    /* NOLINTNEXTLINE(cert-err34-c): no number is longer than what the server itself wrote */
    (void)sscanf(json_text_or(router, "manager_ip", ""), "%*u.%*u.%u", &network);
    _cleanup_free_ char *address = xasprintf("%s/24", json_text_or(router, "manager_ip", ""));
    _cleanup_free_ char *mac = xasprintf("52:54:00:00:%02x:01", network & 255);
    struct deadline deadline = deadline_in(LIMIT_MS);
    (void)proc_exec(deadline, NULL, "ip", "link", "add", bridge, "address", mac, "type", "bridge", NULL);
    return proc_exec(deadline, err, "ip", "link", "set", "dev", bridge, "up", NULL) == 0
               ? proc_exec(deadline, err, "ip", "address", "replace", address, "dev", bridge, NULL)
               : -1;
}

static int plug(const json_t *vxnet, const json_t *nic, json_int_t pid, struct error **err)
{
    _cleanup_free_ char *outer = outer_name(nic);
    _cleanup_free_ char *inner = xasprintf("%si", outer);
    _cleanup_free_ char *name = xasprintf("eth%lld", (long long)json_integer_value(json_object_get(nic, "sequence")));
    _cleanup_free_ char *process = xasprintf("%lld", (long long)pid);
    struct deadline deadline = deadline_in(LIMIT_MS);
    _cleanup_free_ char *bridge = bridge_of(vxnet);
    if (open_router(vxnet, bridge, err) != 0 ||
        proc_exec(deadline, err, "ip", "link", "add", outer, "master", bridge, "up", "type", "veth", "peer", "name",
                  inner, "address", json_text_or(nic, "nic_id", ""), NULL) != 0) {
        return -1;
    }
    if (proc_exec(deadline, err, "ip", "link", "set", "dev", inner, "netns", process, "name", name, NULL) != 0) {
        (void)proc_exec(deadline, NULL, "ip", "link", "del", outer, NULL);
        return -1;
    }
    return 0;
}

int cloudapi_wire(struct cloudapi_call *call, const json_t *nic, const char *what)
{
    const json_t *instance = cloudapi_instance(call, json_text(nic, "instance_id"));
    json_int_t pid = json_integer_value(json_object_get(instance, "_pid"));
    _cleanup_error_ struct error *why = NULL;
    _cleanup_free_ char *outer = outer_name(nic);
    if (pid == 0) {
        return 0; /* not a machine that runs here */
    }
    if (str_starts(what, "un") ? proc_exec(deadline_in(LIMIT_MS), &why, "ip", "link", "del", outer, NULL) == 0
                               : plug(cloudapi_vxnet(call, json_text(nic, "vxnet_id")), nic, pid, &why) == 0) {
        return 0;
    }
    log_warning("nic %s: %s: %s", json_text_or(nic, "nic_id", ""), what, why->message);
    return -1;
}
