#include "tests/lab/lab/values.h"

#include <stddef.h>

#include "lib/util.h"

static const struct {
    const char *key, *value;
} defaults[] = {
    {"access_key_id", "LABLABLABLABLABLABLA"},
    {"secret_access_key", "lab0000000000000000000000000000000000lab"},
    {"api_external_domain", "k8s.cluster.local"},
    {"cluster_port_range", "30000-32767"},
    {"max_pods", "60"},
    {"enable_hostnic", "false"},
    {"pod_vxnets", ""},
    {"registry-mirrors", "https://registry.docker-cn.com"},
    {"insecure-registries", ""},
    {"private-registry", ""},
    {"dockerhub_username", ""},
    {"dockerhub_password", ""},
    {"docker_bip", "172.30.0.1/16"},
    {"keep_log_days", "3"},
    {"kube_log_level", "0"},
    {"fluent_forward_server", ""},
    {"es_server", ""},
    {"enable_istio", "no"},
    {"enable_helm", "no"},
};

int values_defaults(json_t *env, struct error **err)
{
    (void)err;
    for (size_t i = 0; i < ELEMENTS(defaults); i++) {
        json_object_set_new(env, defaults[i].key, json_string(defaults[i].value));
    }
    return 0;
}
