#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "hooks/checks/checks.h"
#include "hooks/checks/own_node.h"
#include "hooks/engine/run.h"
#include "hooks/files/pod_network.h"
#include "lib/core/json.h"
#include "lib/system/file.h"

/* Interfaces of CNI plugins, of Docker and of hostnic's pods, by the beginning of their names. */
static const char *const foreign[] = {"flannel", "cni", "veth", "cali",    "docker",
                                      "br-",     "br_", "tunl", "hostnic", "vnic"};

static bool is_foreign(const char *name)
{
    for (size_t i = 0; i < ELEMENTS(foreign); i++) {
        if (str_starts(name, foreign[i])) {
            return true;
        }
    }
    return false;
}

/* The value of KEY in the run-time file of an interface; NULL when it has none. The caller frees. */
static char *value_of(const char *text, const char *key)
{
    size_t len = strlen(key);
    for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, len) == 0 && line[len] == '=') {
            return xstrndup(line + len + 1, strcspn(line + len + 1, "\n"));
        }
    }
    return NULL;
}

/* networkd's run-time state (systemd-networkd.service(8)): ADMIN_STATE is "unmanaged" where it leaves an interface
 * alone. */
static bool managed_by_networkd(const struct run *run, const char *interface)
{
    _cleanup_free_ char *index_file = xasprintf("/sys/class/net/%s/ifindex", interface);
    _cleanup_free_ char *index_path = run_path(run, index_file);
    _cleanup_free_ char *index = NULL;
    if (file_read(index_path, 64, &index, NULL, NULL) < 0) {
        return false;
    }
    index[strcspn(index, "\n")] = '\0';
    _cleanup_free_ char *file = xasprintf("/run/systemd/netif/links/%s", index);
    _cleanup_free_ char *path = run_path(run, file);
    _cleanup_free_ char *text = NULL;
    if (file_read(path, 65536, &text, NULL, NULL) < 0) {
        return false;
    }
    _cleanup_free_ char *state = value_of(text, "ADMIN_STATE");
    return state != NULL && strcmp(state, "unmanaged") != 0;
}

bool flannel_mac_published(const json_t *node, const char *mac)
{
    const json_t *annotations = json_object_get(json_object_get(node, "metadata"), "annotations");
    const char *text = json_text(annotations, "flannel.alpha.coreos.com/backend-data");
    _cleanup_json_ json_t *data = text == NULL ? NULL : json_loads(text, 0, NULL);
    const char *published = json_text(data, "VtepMAC");
    return published == NULL || strcasecmp(published, mac) == 0;
}

/* udev's MACAddressPolicy=persistent gives flannel.1 another address after flannel has published the first: the other
 * nodes then send to an address that nobody has. False also where it cannot be determined. */
static bool mac_differs(const struct check_context *context, const char *interface)
{
    _cleanup_json_ json_t *node = NULL;
    _cleanup_free_ char *file = xasprintf("/sys/class/net/%s/address", interface);
    _cleanup_free_ char *path = run_path(context->run, file);
    _cleanup_free_ char *mac = NULL;
    if (file_read(path, 64, &mac, NULL, NULL) < 0 || own_node_get(context, &node, NULL) < 0) {
        return false;
    }
    mac[strcspn(mac, "\n")] = '\0';
    return !flannel_mac_published(node, mac);
}

static void probe_interfaces(const struct check_context *context, struct finding *finding)
{
    static const char networkd[] =
        "exclude it in /etc/systemd/network (Unmanaged=yes), as 10-others.network of the image";
    static const char udev[] = "give flannel* a .link file with MACAddressPolicy=none, and restart flannel's pod here";
    if (pod_network_lacks_eth0(context->run)) {
        finding_warns(finding, POD_NETWORK_ETH0_REMEDY,
                      "there is no interface eth0, which the image's network configuration is for");
        return;
    }
    _cleanup_free_ char *path = run_path(context->run, "/sys/class/net");
    DIR *directory = opendir(path);
    size_t count = 0;
    finding_ok(finding, "no interface of a network plugin");
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        if (!is_foreign(entry->d_name)) {
            continue;
        }
        count++;
        if (managed_by_networkd(context->run, entry->d_name)) {
            finding_warns(finding, networkd, "systemd-networkd manages %s, which is a network plugin's", entry->d_name);
            break;
        }
        if (str_starts(entry->d_name, "flannel") && mac_differs(context, entry->d_name)) {
            finding_warns(finding, udev, "udev has given %s another MAC address than its network plugin",
                          entry->d_name);
            break;
        }
        finding_ok(finding, "%zu interfaces of network plugins are left alone", count);
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
}

const struct check check_interfaces = {.name = "interfaces", .severity = WARNS, .probe = probe_interfaces};
