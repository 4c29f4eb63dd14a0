/* VxNets and the network cards in them. A card that is attached is in its machine, where that runs here: wires.c. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "tests/lab/shared/cloudapi/api.h"

enum { MOST_OF_INSTANCE = 64 }; /* docs.qingcloud.com: network cards of an instance, the first included */

static const struct cloudapi_kind vxnets = {"vxnets", "vxnet", "vxnet-", "vxnet_id", "vxnet_name", 30};
const struct cloudapi_kind cloudapi_nics = {"nics", "nic", "52:54:", "nic_id", "nic_name", 500};

static json_t *describe_vxnets(struct cloudapi_call *call)
{
    return cloudapi_describe(
        call, &(struct cloudapi_description){
                  .kind = &vxnets, .set = "vxnet_set", .ids = "vxnets", .filters = {{"vxnet_type", "vxnet_type"}}});
}

const json_t *cloudapi_vxnet(const struct cloudapi_call *call, const char *id)
{
    size_t i = 0;
    json_t *entry;
    json_array_foreach (json_object_get(call->data, vxnets.list), i, entry) {
        if (id != NULL && strcmp(json_text_or(entry, "vxnet_id", ""), id) == 0) {
            return entry;
        }
    }
    return NULL;
}

/* With a machine that is gone its cards are not: they are free, until somebody deletes them. */
bool cloudapi_release_nics(struct cloudapi_call *call)
{
    bool any = false;
    size_t i = 0;
    json_t *nic;
    json_array_foreach (cloudapi_all(call, cloudapi_nics.list), i, nic) {
        const char *id = json_text_or(nic, "instance_id", "");
        if (*id != '\0' && cloudapi_instance(call, id) == NULL) {
            json_object_set_new(nic, "instance_id", json_string(""));
            cloudapi_status(call, nic, "available", "");
            any = true;
        }
    }
    return any;
}

static json_t *describe_nics(struct cloudapi_call *call)
{
    return cloudapi_describe(
        call, &(struct cloudapi_description){
                  .kind = &cloudapi_nics,
                  .set = "nic_set",
                  .ids = "nics",
                  .filters = {{"instances", "instance_id"}, {"vxnets", "vxnet_id"}, {"nic_name", "nic_name"}}});
}

/* A card is known by its hardware address, of those that are nobody's. */
static void set_address(json_t *nic)
{
    unsigned char random[4] = {0};
    (void)!getrandom(random, sizeof random, 0);
    _cleanup_free_ char *id = xasprintf("52:54:%02x:%02x:%02x:%02x", random[0], random[1], random[2], random[3]);
    json_object_set_new(nic, "nic_id", json_string(id));
}

static json_t *create_nics(struct cloudapi_call *call)
{
    long count = 1;
    const char *vxnet = cloudapi_text(call, "vxnet");
    const char *disabled = cloudapi_text(call, "disable_ip");
    json_t *made = json_array();
    if (!cloudapi_number(call, "count", 1, 63, &count) || disabled == NULL || strcmp(disabled, "1") != 0) {
        json_decref(made);
        return cloudapi_invalid(disabled == NULL ? "disable_ip" : "count"); /* with addresses of their own: not here */
    }
    json_t *refusal = cloudapi_vxnet(call, vxnet) == NULL ? cloudapi_not_found(vxnet == NULL ? "" : vxnet)
                                                          : cloudapi_quota(call, &cloudapi_nics, count);
    for (long i = 0; refusal == NULL && i < count; i++) {
        json_t *nic = cloudapi_add(
            call, &cloudapi_nics,
            json_pack("{s:s, s:s, s:s, s:i}", "vxnet_id", vxnet, "instance_id", "", "private_ip", "", "role", 0),
            cloudapi_text(call, "nic_name"), "available");
        set_address(nic);
        json_array_append_new(made,
                              json_pack("{s:O, s:s}", "nic_id", json_object_get(nic, "nic_id"), "private_ip", ""));
    }
    if (refusal != NULL) {
        json_decref(made);
        return refusal;
    }
    return cloudapi_done(json_pack("{s:o}", "nics", made));
}

/* Those that the call names; NULL and *REFUSAL unless each is there and has STATUS. */
static json_t *named(struct cloudapi_call *call, const char *status, json_t **refusal)
{
    _cleanup_strv_ char **ids = cloudapi_list(call, "nics");
    _cleanup_json_ json_t *list = json_array();
    *refusal = ids[0] == NULL ? cloudapi_invalid("nics") : NULL;
    for (char **id = ids; *refusal == NULL && *id != NULL; id++) {
        json_t *nic = cloudapi_find(call, &cloudapi_nics, *id);
        if (nic == NULL) {
            *refusal = cloudapi_not_found(*id);
        } else if (strcmp(json_text_or(nic, "status", ""), status) != 0) {
            *refusal = cloudapi_refuse(RET_DENIED, "PermissionDenied, nic [%s] is [%s], not [%s]", *id,
                                       json_text_or(nic, "status", ""), status);
        } else {
            json_array_append(list, nic);
        }
    }
    return *refusal == NULL ? STEAL(list) : NULL;
}

static size_t attached_to(const struct cloudapi_call *call, const char *instance)
{
    size_t n = 0;
    size_t i = 0;
    json_t *nic;
    json_array_foreach (cloudapi_all(call, cloudapi_nics.list), i, nic) {
        n += strcmp(json_text_or(nic, "instance_id", ""), instance) == 0;
    }
    return n;
}

static json_t *change_wire(const json_t *nic, const char *what, json_t *set, json_t *undo)
{
    json_t *change = cloudapi_change(&cloudapi_nics, json_text_or(nic, "nic_id", ""), set, undo);
    json_object_set_new(change, "wire", json_string(what));
    return change;
}

static json_t *attach_nics(struct cloudapi_call *call)
{
    json_t *refusal = NULL;
    const char *given = cloudapi_text(call, "instance");
    const char *instance = given == NULL ? "" : given;
    _cleanup_json_ json_t *list = named(call, "available", &refusal);
    json_t *changes = json_array();
    size_t i = 0;
    json_t *nic;
    if (refusal == NULL && cloudapi_instance(call, instance) == NULL) {
        refusal = cloudapi_not_found(instance);
    }
    if (refusal == NULL && attached_to(call, instance) + json_array_size(list) >= MOST_OF_INSTANCE) {
        refusal = cloudapi_refuse(RET_QUOTA, "QuotaExceeded, instance [%s] has [%zu] nics", instance,
                                  attached_to(call, instance));
    }
    if (refusal != NULL) {
        json_decref(changes);
        return refusal;
    }
    json_array_foreach (list, i, nic) {
        json_object_set_new(nic, "sequence", json_integer((json_int_t)attached_to(call, instance) + 1));
        json_object_set_new(nic, "instance_id", json_string(instance));
        cloudapi_status(call, nic, "available", "attaching");
        json_array_append_new(
            changes, change_wire(nic, "plug", json_pack("{s:s, s:s}", "status", "in-use", "transition_status", ""),
                                 json_pack("{s:s, s:s}", "instance_id", "", "transition_status", "")));
    }
    return cloudapi_done(json_pack("{s:s}", "job_id", cloudapi_job(call, changes)));
}

static json_t *detach_nics(struct cloudapi_call *call)
{
    json_t *refusal = NULL;
    _cleanup_json_ json_t *list = named(call, "in-use", &refusal);
    json_t *changes = json_array();
    size_t i = 0;
    json_t *nic;
    json_array_foreach (list, i, nic) {
        cloudapi_status(call, nic, "in-use", "detaching");
        json_array_append_new(changes, change_wire(nic, "unplug",
                                                   json_pack("{s:s, s:s, s:s}", "status", "available", "instance_id",
                                                             "", "transition_status", ""),
                                                   json_pack("{s:s}", "transition_status", "")));
    }
    if (refusal != NULL) {
        json_decref(changes);
        return refusal;
    }
    return cloudapi_done(json_pack("{s:s}", "job_id", cloudapi_job(call, changes)));
}

static json_t *delete_nics(struct cloudapi_call *call)
{
    json_t *refusal = NULL;
    _cleanup_json_ json_t *list = named(call, "available", &refusal);
    json_t *ids = json_array();
    size_t i = 0;
    json_t *nic;
    json_array_foreach (list, i, nic) {
        json_array_append(ids, json_object_get(nic, "nic_id"));
        cloudapi_drop(call, &cloudapi_nics, json_text_or(nic, "nic_id", ""));
    }
    if (refusal != NULL) {
        json_decref(ids);
        return refusal;
    }
    return cloudapi_done(json_pack("{s:o}", "nics", ids));
}

const struct cloudapi_action cloudapi_network_actions[] = {{"DescribeVxnets", describe_vxnets},
                                                           {"DescribeNics", describe_nics},
                                                           {"CreateNics", create_nics},
                                                           {"AttachNics", attach_nics},
                                                           {"DetachNics", detach_nics},
                                                           {"DeleteNics", delete_nics},
                                                           {NULL, NULL}};
