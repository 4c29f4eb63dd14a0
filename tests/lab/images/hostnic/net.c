/* The machine's network, as hostnic v1.0 makes it: a NIC of a vxnet lies in a bridge of its own (br_260, ...), whose
 * routing table sends what comes from the vxnet's addresses out by it. */
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/core/util.h"
#include "tests/lab/images/hostnic/hostnic.h"
#include "tests/lab/images/shared/cluster.h"

bool run_line(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    _cleanup_strv_ char **argv = strv_split(text);
    return run_program((const char *const *)argv) == 0;
}

static void set_sysctl(const char *name, const char *value)
{
    _cleanup_free_ char *path = xasprintf("/proc/sys/net/ipv4/conf/%s", name);
    FILE *file = fopen(path, "we");
    if (file != NULL) {
        (void)fputs(value, file);
        (void)fclose(file);
    }
}

static void set_of(const char *link, const char *name, const char *value)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", link, name);
    set_sysctl(path, value);
}

static bool has_mac(const char *link, const char *mac)
{
    char text[64] = "";
    _cleanup_free_ char *path = xasprintf("/sys/class/net/%s/address", link);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    bool is = fgets(text, sizeof text, file) != NULL && strncmp(text, mac, strlen(mac)) == 0;
    (void)fclose(file);
    return is;
}

char *link_by_mac(const char *mac, bool on_bridge)
{
    DIR *links = opendir("/sys/class/net");
    char *found = NULL;
    for (struct dirent *entry; links != NULL && found == NULL && (entry = readdir(links)) != NULL;) {
        _cleanup_free_ char *port = xasprintf("/sys/class/net/%s/brport", entry->d_name);
        if (entry->d_name[0] != '.' && has_mac(entry->d_name, mac) && (access(port, F_OK) == 0) == on_bridge) {
            found = xstrdup(entry->d_name);
        }
    }
    if (links != NULL) {
        (void)closedir(links);
    }
    return found;
}

static bool set_up_link(const char *link, const char *name)
{
    static const char *const zero[] = {"all", "default"};
    if (strcmp(link, name) != 0 && !run_line("ip link set dev %s down name %s", link, name)) {
        return false;
    }
    (void)run_line("ip link set dev %s alias %s", name, name);
    set_of(name, "arp_ignore", "1");
    for (size_t i = 0; i < ELEMENTS(zero); i++) {
        set_of(zero[i], "rp_filter", "0");
        set_of(zero[i], "accept_local", "1");
    }
    set_of(name, "rp_filter", "0");
    set_of(name, "accept_local", "1");
    return run_line("ip link set dev %s up", name);
}

bool nic_setup(const json_t *nic, char **why)
{
    const char *mac = text_at(nic, "HardwareAddr");
    const char *vxnet = text_at(nic, "VxNet ID");
    const char *network = text_at(nic, "VxNet Network");
    int table = (int)json_integer_value(json_at(nic, "RouteTableNum"));
    _cleanup_free_ char *port = link_by_mac(mac, true);
    _cleanup_free_ char *plain = port == NULL ? link_by_mac(mac, false) : NULL;
    const char *link = port == NULL ? plain : port;
    _cleanup_free_ char *name = xasprintf(NIC_PREFIX "%s", vxnet + (str_starts(vxnet, "vxnet-") ? 6 : 0));
    _cleanup_free_ char *bridge = xasprintf("br_%d", table);
    _cleanup_free_ char *there = xasprintf("/sys/class/net/%s", bridge);
    if (link == NULL) {
        *why = xasprintf("failed to get link %s", mac);
        return false;
    }
    bool good =
        set_up_link(link, name) && (access(there, F_OK) == 0 || run_line("ip link add %s type bridge", bridge)) &&
        run_line("ip link set dev %s master %s", name, bridge) && run_line("ip link set dev %s up", bridge) &&
        run_line("ip route replace %s dev %s scope link table %d", network, bridge, table) &&
        run_line("ip route replace default via %s dev %s table %d", text_at(nic, "VxNet Gateway"), bridge, table);
    (void)run_line("ip rule del from %s table %d priority 1536", network, table);
    good = good && run_line("ip rule add from %s table %d priority 1536", network, table);
    if (!good) {
        *why = xasprintf("the network of nic %s cannot be set up", mac);
    }
    return good;
}
