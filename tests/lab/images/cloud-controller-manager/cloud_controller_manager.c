/* Stands for QingCloud's cloud controller manager v1.4: its flags, both configurations, leader election, and the
 * Services and Nodes it follows as its service account. It calls no cloud yet: a load balancer stays without address.
 */
#include <string.h>
#include <unistd.h>

#include "lib/core/util.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/program.h"
#include "tests/lab/images/shared/yaml.h"

#define CLIENT_CONF "/etc/qingcloud/config.yaml"

static void check_conf(const char *path, const char *const *required)
{
    _cleanup_json_ json_t *conf = yaml_read(path);
    for (; *required != NULL; required++) {
        const json_t *value = json_object_get(conf, *required);
        if (value == NULL || (json_is_string(value) && json_string_length(value) == 0)) {
            fail("%s: '%s' is missing", path, *required);
        }
    }
}

static void service_event(const char *what, const json_t *service, void *data)
{
    (void)data;
    if (service != NULL && strcmp(text_at(service, "spec type"), "LoadBalancer") == 0 && strcmp(what, "ADDED") == 0) {
        say("service %s/%s wants a load balancer, which nothing makes here", text_at(service, "metadata namespace"),
            text_at(service, "metadata name"));
    }
}

static void node_event(const char *what, const json_t *node, void *data)
{
    (void)data;
    const json_t *notes = json_at(node, "metadata annotations");
    if (node != NULL && strcmp(what, "DELETED") != 0 &&
        text_at(notes, "node.beta.kubernetes.io/instance-id")[0] == '\0') {
        say("node %s has no annotation node.beta.kubernetes.io/instance-id: its machine cannot be found",
            text_at(node, "metadata name"));
    }
}

int main(int argc, char **argv)
{
    static const char *const cluster_keys[] = {"zone", "clusterID", "userID", "defaultVxNetForLB", NULL};
    static const char *const client_keys[] = {
        "qy_access_key_id", "qy_secret_access_key", "zone", "host", "port", "protocol", "uri", NULL};
    struct flag flags[] = {{"v", FLAG_NUMBER, false, "0"},
                           {"cloud-provider", FLAG_TEXT, true, NULL},
                           {"cloud-config", FLAG_FILE, true, NULL},
                           {"configure-cloud-routes", FLAG_SWITCH, false, "true"},
                           {"leader-elect", FLAG_SWITCH, false, "true"},
                           {"allocate-node-cidrs", FLAG_SWITCH, false, "false"},
                           {"cluster-name", FLAG_TEXT, false, "kubernetes"},
                           {NULL, FLAG_TEXT, false, NULL}};
    char host[256] = "";
    (void)argc;
    flags_parse(flags, argv);
    end_on_signals();
    if (strcmp(flag_text(flags, "cloud-provider"), "qingcloud") != 0 || flag_on(flags, "configure-cloud-routes")) {
        fail("cloud provider qingcloud has no routes: --configure-cloud-routes=false");
    }
    check_conf(flag_text(flags, "cloud-config"), cluster_keys);
    check_conf(CLIENT_CONF, client_keys);
    if (access("/etc/ssl/certs/ca-certificates.crt", R_OK) != 0) {
        fail("no certificates in /etc/ssl/certs: the cloud's API could not be called");
    }
    cluster_open();
    (void)gethostname(host, sizeof host - 1);
    cluster_lead("kube-system", "cloud-controller-manager", host);
    cluster_follow("/api/v1/services", service_event, NULL);
    cluster_watch("/api/v1/nodes", node_event, NULL);
}
