/* Instances: those that the lab's machines are. */
#include <string.h>

#include "lib/core/json.h"
#include "tests/lab/shared/cloudapi/api.h"

static const struct cloudapi_kind instances = {"instances", "instance", "i-", "instance_id", "instance_name", 50};

static void set_missing(json_t *object, const char *name, json_t *value)
{
    if (json_object_get(object, name) == NULL) {
        json_object_set_new(object, name, value);
    } else {
        json_decref(value);
    }
}

static void render(const struct cloudapi_call *call, json_t *entry)
{
    json_t *ids = json_array();
    json_t *volumes = json_array();
    const char *id = json_text_or(entry, "instance_id", "");
    size_t i = 0;
    json_t *volume;
    json_array_foreach (cloudapi_all(call, cloudapi_volumes.list), i, volume) {
        if (strcmp(json_text_or(json_object_get(volume, "instance"), "instance_id", ""), id) == 0) {
            json_array_append(ids, json_object_get(volume, "volume_id"));
            json_array_append_new(volumes,
                                  json_pack("{s:O, s:O}", "volume_id", json_object_get(volume, "volume_id"), "device",
                                            json_object_get(json_object_get(volume, "instance"), "device")));
        }
    }
    json_object_set_new(entry, "volume_ids", ids);
    json_object_set_new(entry, "volumes", volumes);
    set_missing(entry, "instance_name", json_string(""));
    set_missing(entry, "instance_class", json_integer(0));
    set_missing(entry, "status", json_string("running"));
    set_missing(entry, "transition_status", json_string(""));
    set_missing(entry, "zone_id", json_string(cloudapi_text(call, "zone")));
}

static json_t *describe_instances(struct cloudapi_call *call)
{
    return cloudapi_describe(call, &(struct cloudapi_description){.kind = &instances,
                                                                  .set = "instance_set",
                                                                  .ids = "instances",
                                                                  .filters = {{"instance_class", "instance_class"}},
                                                                  .render = render});
}

const struct cloudapi_action cloudapi_instance_actions[] = {{"DescribeInstances", describe_instances}, {NULL, NULL}};
