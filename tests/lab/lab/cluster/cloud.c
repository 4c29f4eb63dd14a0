#include "tests/lab/lab/cluster/cloud.h"

#include <unistd.h>

#include "lib/core/json.h"

#define VPC "rtr-lab00000"

static void add_vxnet(json_t *vxnets, const char *id)
{
    json_array_append_new(vxnets, json_pack("{s:s, s:s}", "vxnet_id", id, "vpc_router_id", VPC));
}

int cloud_publish(const struct lab *lab, struct error **err)
{
    const char *key = json_text_or(lab->env, "access_key_id", "");
    _cleanup_json_ json_t *vxnets = json_array();
    _cleanup_json_ json_t *instances = json_array();
    _cleanup_strv_ char **pods = strv_split(json_text_or(lab->env, "pod_vxnets", ""));
    add_vxnet(vxnets, LAB_VXNET);
    for (char **vxnet = pods; *vxnet != NULL; vxnet++) {
        add_vxnet(vxnets, *vxnet);
    }
    for (size_t i = 0; i < lab->n_machines; i++) {
        if (lab->machines[i]->instance_id != NULL) {
            json_array_append_new(instances, json_pack("{s:s, s:s, s:b}", "instance_id", lab->machines[i]->instance_id,
                                                       "owner", key, "of_cluster", 1));
        }
    }
    _cleanup_json_ json_t *data =
        json_pack("{s:{s:s}, s:[s], s:O, s:[], s:O}", "keys", key, json_text_or(lab->env, "secret_access_key", ""),
                  "zones", LAB_ZONE, "vxnets", vxnets, "nics", "instances", instances);
    _cleanup_secret_ char *text = json_dumps(data, JSON_INDENT(2));
    _cleanup_free_ char *path = lab_path(lab, "cloud.json");
    return text_put(path, 0600, err, "%s\n", text);
}

int cloud_up(struct lab *lab, struct error **err)
{
    if (process_alive(&lab->cloud)) {
        return 0;
    }
    _cleanup_free_ char *program = xasprintf("%s/cloudapi", lab->bin);
    _cleanup_free_ char *data = lab_path(lab, "cloud.json");
    _cleanup_free_ char *log = lab_path(lab, "cloud.log");
    (void)unlink(log);
    const char *argv[] = {program, "--listen", LAB_GATEWAY ":" LAB_CLOUD_PORT, "--data", data, NULL};
    if (cloud_publish(lab, err) != 0 || process_spawn(&lab->cloud, argv, log, NULL, NULL, err) != 0) {
        return -1;
    }
    return process_await_line(&lab->cloud, log, "cloud API on", deadline_in(10000), err);
}
