#include "hooks/files/pod_network.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "hooks/clients/docker.h"
#include "hooks/engine/run.h"
#include "lib/core/json.h"
#include "lib/core/syntax.h"
#include "lib/system/file.h"

/* The manifest mounts it into flannel's pod (templates/network/flannel.yaml.mustache names the network). */
#define SUBNET_FILE "/run/flannel/subnet.env"
#define SUBNET_KEY "FLANNEL_SUBNET="
#define RESERVATIONS "/var/lib/cni/networks/cbr0"

/* Of release manifests, which leave --kube-annotation-prefix as it is. */
#define FLANNEL_ANNOTATION "flannel.alpha.coreos.com/backend-data"

/* The label that the kubelet gives a pod's first container, which holds its network. */
#define SANDBOX "io.kubernetes.docker.type=podsandbox"

bool pod_network_lacks_eth0(const struct run *run)
{
    _cleanup_free_ char *network = run_path(run, "/etc/systemd/network/05-eth0.network");
    _cleanup_free_ char *interfaces = run_path(run, "/sys/class/net");
    _cleanup_free_ char *eth0 = path_join(interfaces, "eth0");
    return access(network, F_OK) == 0 && access(interfaces, F_OK) == 0 && access(eth0, F_OK) < 0;
}

const char *pod_network_of(const json_t *node)
{
    return json_text_at(node, "spec", "podCIDR", NULL);
}

/* "A.B.C.D/N"; NULL when there is none. The caller frees. */
static char *set_up_by_flannel(const struct run *run)
{
    _cleanup_free_ char *path = run_path_followed(run, SUBNET_FILE);
    _cleanup_free_ char *text = NULL;
    if (file_read(path, 4096, &text, NULL, NULL) < 0) {
        return NULL;
    }
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (str_starts(line, SUBNET_KEY)) {
            const char *value = line + strlen(SUBNET_KEY);
            return xstrndup(value, strcspn(value, "\n"));
        }
    }
    return NULL;
}

/* Host bits do not count. */
static bool same_network(const char *network, const char *cidr)
{
    uint32_t a = 0;
    uint32_t b = 0;
    int a_bits = 0;
    int b_bits = 0;
    return syntax_cidr(network, &a, &a_bits) && syntax_cidr(cidr, &b, &b_bits) && a_bits == b_bits &&
           cidr_overlap(a, a_bits, b, b_bits);
}

char *pod_network_fault(const struct run *run, const json_t *node)
{
    const char *cidr = pod_network_of(node);
    _cleanup_free_ char *flannel = cidr == NULL ? NULL : set_up_by_flannel(run);
    if (flannel == NULL) {
        return NULL;
    }
    if (!same_network(flannel, cidr)) {
        return xasprintf("flannel has set up %s, but this node's pod network is %s", flannel, cidr);
    }
    if (json_text_at(node, "metadata", "annotations", FLANNEL_ANNOTATION, NULL) == NULL) {
        return xstrdup("the node object lacks flannel's annotation, by which other machines reach this one's pods");
    }
    return NULL;
}

/* A file is named after its address and begins with the line of the sandbox's id
 * (github.com/containernetworking/plugins, plugins/ipam/host-local); the others there are named otherwise. */
static char *holder_of(const char *directory, const char *name)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", directory, name);
    char *text = NULL;
    if (file_read(path, 4096, &text, NULL, NULL) < 0) {
        return NULL;
    }
    text[strcspn(text, "\r\n")] = '\0';
    return text;
}

char **pod_network_reserved_outside(const struct run *run, const char *cidr)
{
    char **ids = xcalloc(1, sizeof *ids);
    uint32_t network = 0;
    uint32_t address = 0;
    int bits = 0;
    _cleanup_free_ char *path = run_path_followed(run, RESERVATIONS);
    DIR *directory = syntax_cidr(cidr, &network, &bits) ? opendir(path) : NULL;
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        if (!syntax_ipv4(entry->d_name, &address) || cidr_overlap(address, 32, network, bits)) {
            continue;
        }
        _cleanup_free_ char *id = holder_of(path, entry->d_name);
        if (!str_empty(id)) {
            strv_push(&ids, id);
        }
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    return ids;
}

int pod_network_strays(const struct run *run, const char *cidr, struct deadline deadline, char ***ids,
                       struct error **err)
{
    _cleanup_strv_ char **reserved = pod_network_reserved_outside(run, cidr);
    _cleanup_json_ json_t *sandboxes = NULL;
    if (reserved[0] != NULL && docker_containers(SANDBOX, deadline, &sandboxes, err) < 0) {
        return -1;
    }
    char **strays = xcalloc(1, sizeof *strays);
    size_t i;
    json_t *sandbox;
    json_array_foreach (sandboxes, i, sandbox) {
        const char *id = json_text(sandbox, "Id");
        if (id != NULL && strv_contains(reserved, id)) {
            strv_push(&strays, id);
        }
    }
    *ids = strays;
    return 0;
}
