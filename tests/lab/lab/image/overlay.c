#include "tests/lab/lab/machine/machine.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/system/file.h"
#include "tests/lab/lab/machine/agents.h"

static const char network_unit[] = "[Unit]\n"
                                   "Description=Network and control groups of a lab machine\n"
                                   "DefaultDependencies=no\n"
                                   "After=local-fs.target\n"
                                   "Before=network-pre.target network.target sysinit.target\n"
                                   "Wants=network-pre.target\n"
                                   "[Service]\n"
                                   "Type=oneshot\n"
                                   "RemainAfterExit=yes\n"
                                   "ExecStart=/usr/lib/k8s-lab/network\n"
                                   "[Install]\n"
                                   "WantedBy=sysinit.target\n";

/* The kubelet wants writable control groups and shared mounts, which a container has not by itself. */
static const char network_script[] =
    "#!/bin/sh\n"
    "set -e\n"
    "mount --make-rshared /\n"
    "for c in /sys/fs/cgroup/*; do [ ! -d \"$c\" ] || mount -o remount,bind,rw \"$c\" 2>/dev/null || :; done\n"
    "read -r address mac gateway </etc/k8s-lab/address\n"
    "[ ! -e /sys/class/net/host0 ] || ip link set dev host0 name eth0\n"
    "ip link set dev eth0 address \"$mac\" up\n"
    "ip address replace \"$address/24\" dev eth0\n"
    "ip route replace default via \"$gateway\"\n";

/* runc requires an oom_score_adj below 0 where the kubelet does, and for every capability where a container is
 * privileged; without CAP_SYS_RESOURCE on this host both fail. */
static const char runc_wrapper[] =
    "#!/bin/sh\n"
    "bundle= before=\n"
    "for a in \"$@\"; do case $before in --bundle | -b) bundle=$a ;; esac; before=$a; done\n"
    "[ -z \"$bundle\" ] || sed -i -E -e 's/\"oomScoreAdj\":-[0-9]+/\"oomScoreAdj\":0/' "
    "-e 's/\"CAP_SYS_RESOURCE\",?//g' -e 's/,\\]/]/g' \"$bundle/config.json\"\n"
    "exec /usr/lib/k8s-lab/runc \"$@\"\n";

/* This kernel has no arpreply, with which hostnic's plugin answers for its pods: the same as a neighbour that is
 * answered for. Whether the image has ebtables is seen all the same. */
static const char ebtables_wrapper[] =
    "#!/bin/sh\n"
    "[ -x /usr/sbin/ebtables-nft ] || exit 127\n"
    "case \" $* \" in *\" arpreply \"*) ;; *) exec /usr/sbin/ebtables-nft \"$@\" ;; esac\n"
    "while [ $# -gt 0 ]; do\n"
    "    case $1 in\n"
    "    -I) verb=replace ;;\n"
    "    -D) verb=del ;;\n"
    "    --logical-in) bridge=$2 ;;\n"
    "    --arp-ip-dst) address=$2 ;;\n"
    "    esac\n"
    "    shift\n"
    "done\n"
    "echo 0 >\"/proc/sys/net/ipv4/neigh/$bridge/proxy_delay\"\n"
    "exec ip neigh \"$verb\" proxy \"$address\" dev \"$bridge\"\n";

static const char hook_conf[] = "report {\n    url = \"http://" LAB_GATEWAY ":9611\"\n}\n";

/* A cluster that nobody gets: quickly there, where neither network nor add-ons matter. */
static const char bridge_conf[] = "network {\n    mode = \"bridge\"\n}\naddons {\n    enabled = false\n}\n";

static int copy(const char *from, const char *to, mode_t mode, struct error **err)
{
    _cleanup_free_ char *data = NULL;
    size_t len;
    if (file_read(from, (size_t)256 << 20, &data, &len, err) != 0) {
        return -1;
    }
    struct file_spec spec = {.path = to, .data = data, .len = len, .mode = mode};
    return file_put(&spec, NULL, err);
}

static char *in_layers(const struct lab *lab, const char *path)
{
    for (size_t n = strv_length(lab->layers); n > 0; n--) {
        char *found = path_join(lab->layers[n - 1], path);
        if (access(found, F_OK) == 0) {
            return found;
        }
        free(found);
    }
    return NULL;
}

static int wrap_runc(const struct lab *lab, const char *layer, struct error **err)
{
    if (prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE, 0, 0, 0) == 1) {
        return 0;
    }
    _cleanup_free_ char *real = in_layers(lab, "usr/sbin/runc");
    if (real == NULL) {
        return error_new(err, STATUS_FAILED, "the image has no /usr/sbin/runc: was docker.io left out?");
    }
    _cleanup_free_ char *moved = path_join(layer, "usr/lib/k8s-lab/runc");
    _cleanup_free_ char *wrapper = path_join(layer, "usr/sbin/runc");
    return copy(real, moved, 0755, err) == 0 && text_put(wrapper, 0755, err, "%s", runc_wrapper) == 0 ? 0 : -1;
}

int machine_lab_layer(const struct lab *lab, char **path, struct error **err)
{
    _cleanup_free_ char *layer = lab_path(lab, "layer");
    const char *profile = strcmp(lab->profile, "bridge") == 0 ? bridge_conf : "";
    _cleanup_free_ char *unit = path_join(layer, "etc/systemd/system/k8s-lab-network.service");
    _cleanup_free_ char *wants = path_join(layer, "etc/systemd/system/sysinit.target.wants/k8s-lab-network.service");
    _cleanup_free_ char *wants_dir = path_join(layer, "etc/systemd/system/sysinit.target.wants");
    _cleanup_free_ char *conf = path_join(layer, "etc/k8s-hooks/hook.conf.d/lab.conf");
    _cleanup_free_ char *script = path_join(layer, "usr/lib/k8s-lab/network");
    _cleanup_free_ char *ebtables = path_join(layer, "usr/sbin/ebtables");
    if (text_put(unit, 0644, err, "%s", network_unit) != 0 || text_put(script, 0755, err, "%s", network_script) != 0 ||
        text_put(ebtables, 0755, err, "%s", ebtables_wrapper) != 0 || dir_make(wants_dir, 0755, err) != 0 ||
        link_make("../k8s-lab-network.service", wants, NULL, err) != 0 ||
        text_put(conf, 0644, err, "%s%s", hook_conf, profile) != 0 || wrap_runc(lab, layer, err) != 0 ||
        agent_install(lab, layer, err) != 0) {
        return -1;
    }
    *path = STEAL(layer);
    return 0;
}
