#include "tests/lab/lab/cluster/cloud.h"

#include <string.h>
#include <unistd.h>

#include "app/cloud/cloud.h"
#include "lib/core/json.h"
#include "tests/lab/lab/cluster/package.h"
#include "tests/lab/shared/cloudapi.h"

#define VPC "rtr-lab00000"
#define USER "usr-lab00000"
#define DISKS "volumes" /* the volumes' files, in the lab's directory */

/* The machines' network is the cluster's vxnet; the next ones are those of the pods, in their order. */
static void add_vxnet(json_t *vxnets, const char *id, int number)
{
    _cleanup_free_ char *network = xasprintf("192.168.%d", number);
    _cleanup_free_ char *cidr = xasprintf("%s.0/24", network);
    _cleanup_free_ char *router = xasprintf("%s.1", network);
    _cleanup_free_ char *first = xasprintf("%s.2", network);
    _cleanup_free_ char *last = xasprintf("%s.254", network);
    json_array_append_new(vxnets,
                          json_pack("{s:s, s:s, s:i, s:{s:s, s:s, s:s, s:s, s:s}}", "vxnet_id", id, "vpc_router_id",
                                    VPC, "vxnet_type", 1, "router", "router_id", VPC, "ip_network", cidr, "manager_ip",
                                    router, "dyn_ip_start", first, "dyn_ip_end", last));
}

int cloud_instance_class(const struct lab *lab, const struct machine *machine)
{
    return package_instance_class(lab->package, lab->app, lab->zone, machine->role);
}

/* With where its devices are: those of the machine's own /dev, and the process whose network its cards are in. */
static json_t *instance_of(const struct lab *lab, const struct machine *machine)
{
    json_t *instance =
        json_pack("{s:s, s:s, s:i, s:s, s:b}", "instance_id", machine->instance_id, "instance_name", machine->name,
                  "instance_class", cloud_instance_class(lab, machine), "owner", USER, "of_cluster", 1);
    json_object_set_new(instance, "_ip", json_string(machine->ip));
    if (process_alive(&machine->leader)) {
        _cleanup_free_ char *dev = xasprintf("/proc/%d/root/dev", machine->leader.pid);
        json_object_set_new(instance, "_dev", json_string(dev));
        json_object_set_new(instance, "_pid", json_integer(machine->leader.pid));
    }
    return instance;
}

int cloud_publish(const struct lab *lab, struct error **err)
{
    const char *key = json_text_or(lab->env, "access_key_id", "");
    _cleanup_json_ json_t *vxnets = json_array();
    _cleanup_json_ json_t *instances = json_array();
    _cleanup_strv_ char **pods = strv_split(json_text_or(lab->env, "pod_vxnets", ""));
    int network = 100;
    add_vxnet(vxnets, LAB_VXNET, network);
    for (char **vxnet = pods; *vxnet != NULL; vxnet++) {
        add_vxnet(vxnets, *vxnet, ++network);
    }
    for (size_t i = 0; i < lab->n_machines; i++) {
        if (lab->machines[i]->instance_id != NULL) {
            json_array_append_new(instances, instance_of(lab, lab->machines[i]));
        }
    }
    _cleanup_json_ json_t *data = json_pack("{s:{s:s}, s:{s:s}, s:[s], s:s, s:O, s:[], s:O, s:[{s:s}]}", "keys", key,
                                            json_text_or(lab->env, "secret_access_key", ""), "users", key, USER,
                                            "zones", lab->zone, "lb_network", LAB_NETWORK, "vxnets", vxnets, "nics",
                                            "instances", instances, "clusters", "cluster_id", lab->cluster_id);
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
    _cleanup_free_ char *state = lab_path(lab, "cloud-state.json");
    _cleanup_free_ char *faults = lab_path(lab, "cloud-faults.json");
    _cleanup_free_ char *disks = lab_path(lab, DISKS);
    const char *argv[] = {program,    "--listen", LAB_GATEWAY ":" LAB_CLOUD_PORT,
                          "--data",   data,       "--state",
                          state,      "--disks",  disks,
                          "--faults", faults,     "--forward",
                          NULL};
    if (cloud_publish(lab, err) != 0 || process_spawn(&lab->cloud, argv, log, NULL, NULL, err) != 0) {
        return -1;
    }
    return process_await_line(&lab->cloud, log, "cloud API on", deadline_in(60000), err);
}

void cloud_down(struct lab *lab)
{
    _cleanup_free_ char *disks = lab_path(lab, DISKS);
    process_end(&lab->cloud, 15, deadline_in(5000));
    cloudapi_disks_release(disks);
}

int cloud_request(const struct lab *lab, const char *action, char *const *parameters, json_t **answer,
                  struct error **err)
{
    const struct cloud_account account = {"http",
                                          LAB_GATEWAY,
                                          (int)strtol(LAB_CLOUD_PORT, NULL, 10),
                                          lab->zone,
                                          json_text_or(lab->env, "access_key_id", ""),
                                          json_text_or(lab->env, "secret_access_key", "")};
    size_t count = strv_length(parameters);
    _cleanup_strv_ char **names = xcalloc(1, sizeof *names);
    _cleanup_free_ struct cloud_parameter *list = xcalloc(count + 1, sizeof *list);
    for (size_t i = 0; i < count; i++) {
        const char *equals = strchr(parameters[i], '=');
        if (equals == NULL) {
            return error_new(err, STATUS_USAGE, "%s: not NAME=VALUE", parameters[i]);
        }
        _cleanup_free_ char *name = xstrndup(parameters[i], (size_t)(equals - parameters[i]));
        strv_push(&names, name);
        list[i].value = equals + 1;
    }
    for (size_t i = 0; i < count; i++) {
        list[i].name = names[i];
    }
    _cleanup_(cloud_freep) struct cloud *cloud = NULL;
    return cloud_open(&cloud, &account, err) == 0
               ? cloud_call(cloud, action, list, count, deadline_in(30000), answer, err)
               : -1;
}
