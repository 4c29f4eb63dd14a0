/* Stands for the CNI plugin of type "hostnic" (v1.0), which runs on the machine itself with the machine's own ip,
 * iptables and ebtables: a pair of interfaces, of which the pod's has a /32 and sends everything to 169.254.1.1. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "lib/core/util.h"
#include "tests/lab/images/hostnic/hostnic.h"
#include "tests/lab/images/shared/cluster.h"

#define GATEWAY "169.254.1.1"
#define MARK "0x10000"

static _Noreturn void refuse(int code, const char *what, const char *why)
{
    _cleanup_free_ char *message = xasprintf("%s: %s", what, why);
    _cleanup_json_ json_t *error = json_pack("{ss si ss}", "cniVersion", "0.3.1", "code", code, "msg", message);
    (void)json_dumpf(error, stdout, JSON_COMPACT);
    exit(1);
}

static void must_run_line(const char *line)
{
    if (!run_line("%s", line)) {
        refuse(11, "failed", line);
    }
}

static json_t *read_conf(void)
{
    static const char *const known[] = {"cniVersion", "name",          "type",    "capabilities", "server",
                                        "vethPrefix", "hostNicType",   "mtu",     "serviceCIDR",  "rt2Pod",
                                        "interface",  "hairpin",       "natMark", "logLevel",     "logFile",
                                        "prevResult", "runtimeConfig", NULL};
    json_error_t why;
    json_t *conf = json_loadf(stdin, 0, &why);
    const char *key;
    json_t *value;
    if (conf == NULL) {
        refuse(6, "failed to load netconf", why.text);
    }
    json_object_foreach (conf, key, value) {
        bool is_known = false;
        for (const char *const *k = known; *k != NULL; k++) {
            is_known = is_known || strcmp(*k, key) == 0;
        }
        if (!is_known) {
            refuse(7, "not known here", key);
        }
    }
    if (strchr(text_at(conf, "serviceCIDR"), '/') == NULL || strcmp(text_at(conf, "type"), "hostnic") != 0) {
        refuse(7, "should config valid service", text_at(conf, "serviceCIDR"));
    }
    return conf;
}

static void ensure_rule(const char *chain, const char *rule)
{
    if (!run_line("iptables -w 10 -t mangle -C %s %s", chain, rule) &&
        !run_line("iptables -w 10 -t mangle -A %s %s", chain, rule)) {
        refuse(11, "failed to add rule", rule);
    }
}

static char *primary_address(const char *link)
{
    char line[512] = "";
    char *rest = NULL;
    pid_t child;
    FILE *output = program_open((const char *const[]){"ip", "-4", "-o", "address", "show", "dev", link, NULL}, &child);
    (void)(fgets(line, sizeof line, output) == NULL);
    (void)program_close(output, child);
    for (char *word = strtok_r(line, " /", &rest); word != NULL; word = strtok_r(NULL, " /", &rest)) {
        if (strcmp(word, "inet") == 0) {
            return xstrdup(strtok_r(NULL, " /", &rest));
        }
    }
    refuse(11, "primary nic should have ip address", link);
}

/* Answers to service addresses leave by the NIC the request came in by. */
static void ensure_rules(const json_t *conf)
{
    const char *given = text_at(conf, "interface");
    const char *mark = text_at(conf, "natMark");
    mark = mark[0] == '\0' ? MARK : mark;
    _cleanup_free_ char *address = primary_address(given[0] == '\0' ? "eth0" : given);
    _cleanup_free_ char *in = xasprintf("-j MARK --set-xmark %s/%s -m conntrack --ctorigdst %s", mark, mark, address);
    _cleanup_free_ char *out =
        xasprintf("-j MARK --set-xmark %s/%s -m conntrack --ctorigdst %s", mark, mark, text_at(conf, "serviceCIDR"));
    (void)run_line("iptables -w 10 -t mangle -N HOSTNIC-PREROUTING");
    (void)run_line("iptables -w 10 -t mangle -N HOSTNIC-OUTPUT");
    ensure_rule("PREROUTING", "-j HOSTNIC-PREROUTING");
    ensure_rule("HOSTNIC-PREROUTING", in);
    ensure_rule("OUTPUT", "-j HOSTNIC-OUTPUT");
    ensure_rule("HOSTNIC-OUTPUT", out);
}

/* A word of CNI_ARGS: K8S_POD_NAME=... */
static char *argument(const char *name)
{
    const char *given = getenv("CNI_ARGS");
    _cleanup_free_ char *all = xstrdup(given == NULL ? "" : given);
    char *rest = NULL;
    size_t length = strlen(name);
    for (char *word = strtok_r(all, ";", &rest); word != NULL; word = strtok_r(NULL, ";", &rest)) {
        if (strncmp(word, name, length) == 0 && word[length] == '=') {
            return xstrdup(word + length + 1);
        }
    }
    refuse(4, "failed to load k8s args", name);
}

static json_t *call_agent(const char *verb)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SOCKET};
    _cleanup_free_ char *name = argument("K8S_POD_NAME");
    _cleanup_free_ char *namespace = argument("K8S_POD_NAMESPACE");
    _cleanup_free_ char *container = argument("K8S_POD_INFRA_CONTAINER_ID");
    _cleanup_json_ json_t *request =
        json_pack("{ss ss ss ss}", "verb", verb, "Name", name, "Namespace", namespace, "Containter", container);
    _cleanup_free_ char *text = json_dumps(request, JSON_COMPACT);
    _cleanup_buffer_ struct buffer reply = {0};
    char part[4096];
    ssize_t n = 0;
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
        refuse(11, "failed to connect server " SOCKET, strerror(errno));
    }
    while ((n = read(fd, part, sizeof part)) > 0) {
        buffer_append(&reply, part, (size_t)n);
    }
    json_t *json = reply.data == NULL ? NULL : json_loads(reply.data, 0, NULL);
    if (json == NULL) {
        refuse(11, "failed to call", verb);
    }
    return json;
}

/* Of the pod's end on the machine: vnic and eleven digits of a hash of its name. */
static char *host_link(void)
{
    unsigned char hash[SHA_DIGEST_LENGTH];
    struct buffer text = {0};
    _cleanup_free_ char *name = argument("K8S_POD_NAME");
    _cleanup_free_ char *namespace = argument("K8S_POD_NAMESPACE");
    _cleanup_free_ char *both = xasprintf("%s.%s", namespace, name);
    (void)SHA1((const unsigned char *)both, strlen(both), hash);
    buffer_puts(&text, "vnic");
    for (size_t i = 0; i < 6; i++) {
        buffer_printf(&text, "%02x", hash[i]);
    }
    text.data[15] = '\0';
    return text.data;
}

static void set_rp_filter(const char *link)
{
    _cleanup_free_ char *path = xasprintf("/proc/sys/net/ipv4/conf/%s/rp_filter", link);
    FILE *file = fopen(path, "we");
    if (file != NULL) {
        (void)fputs("0", file);
        (void)fclose(file);
    }
}

static char *mac_of(const char *link)
{
    char text[64] = "";
    _cleanup_free_ char *path = xasprintf("/sys/class/net/%s/address", link);
    FILE *file = fopen(path, "re");
    if (file == NULL || fgets(text, sizeof text, file) == NULL) {
        refuse(11, "failed to lookup link", link);
    }
    (void)fclose(file);
    text[strcspn(text, "\n")] = '\0';
    return xstrdup(text);
}

static void make_pair(const char *host, const char *inside, const char *address, long mtu)
{
    const char *netns = getenv("CNI_NETNS");
    _cleanup_free_ char *lines =
        xasprintf("ip link add %s mtu %ld type veth peer name %s mtu %ld netns %s", host, mtu, inside, mtu, netns);
    must_run_line(lines);
    set_rp_filter(host);
    _cleanup_free_ char *mac = mac_of(host);
    _cleanup_free_ char *up = xasprintf("ip link set dev %s up", host);
    must_run_line(up);
    struct buffer all = {0};
    buffer_printf(&all, "ip address add %s/32 dev %s && ip link set dev %s up && ", address, inside, inside);
    buffer_printf(&all, "ip neigh replace " GATEWAY " lladdr %s dev %s nud permanent && ", mac, inside);
    buffer_printf(&all, "ip route add " GATEWAY "/32 dev %s scope link && ", inside);
    buffer_printf(&all, "ip route add default via " GATEWAY " dev %s src %s", inside, address);
    _cleanup_free_ char *net = xasprintf("--net=%s", netns);
    _cleanup_free_ char *script = all.data;
    if (run_program((const char *const[]){"nsenter", net, "sh", "-c", script, NULL}) != 0) {
        refuse(11, "the pod's interface cannot be set up", script);
    }
}

static void arp_reply(const char *verb, const json_t *reply)
{
    _cleanup_free_ char *line =
        xasprintf("ebtables -t nat %s PREROUTING -p ARP --logical-in br_%lld --arp-op Request --arp-ip-dst %s -j "
                  "arpreply --arpreply-mac %s",
                  verb, (long long)json_integer_value(json_at(reply, "Nic RouteTableNum")), text_at(reply, "IP"),
                  text_at(reply, "Nic HardwareAddr"));
    if (strcmp(verb, "-I") == 0) {
        must_run_line(line);
    } else {
        (void)run_line("%s", line);
    }
}

static void wait_for_link(const char *mac)
{
    for (;;) {
        _cleanup_free_ char *port = link_by_mac(mac, true);
        _cleanup_free_ char *link = link_by_mac(mac, false);
        if (port != NULL || link != NULL) {
            return;
        }
        (void)sleep(1);
    }
}

static int add(const json_t *conf)
{
    _cleanup_json_ json_t *reply = call_agent("ADD");
    _cleanup_free_ char *host = host_link();
    _cleanup_free_ char *there = xasprintf("/sys/class/net/%s", host);
    const char *inside = must_env("CNI_IFNAME");
    const char *address = text_at(reply, "IP");
    long mtu = (long)json_integer_value(json_at(conf, "mtu"));
    if (json_object_get(reply, "error") != NULL) {
        refuse(11, "failed to alloc addr", text_at(reply, "error"));
    }
    wait_for_link(text_at(reply, "Nic HardwareAddr"));
    if (!run_line("sysctl -qw net.ipv4.ip_forward=1")) {
        refuse(11, "could not enable IP forwarding", "sysctl");
    }
    if (access(there, F_OK) != 0) {
        make_pair(host, inside, address, mtu == 0 ? 1500 : mtu);
        _cleanup_free_ char *route = xasprintf("ip route replace %s/32 dev %s scope link", address, host);
        _cleanup_free_ char *rule = xasprintf("ip rule add to %s/32 table main priority 1535", address);
        must_run_line(route);
        (void)run_line("ip rule del to %s/32 table main priority 1535", address);
        must_run_line(rule);
        arp_reply("-I", reply);
    }
    _cleanup_free_ char *cidr = xasprintf("%s/32", address);
    _cleanup_json_ json_t *result =
        json_pack("{ss s[{ss ss} {ss}] s[{ss si ss ss}] s{}}", "cniVersion", text_at(conf, "cniVersion"), "interfaces",
                  "name", inside, "sandbox", getenv("CNI_NETNS"), "name", host, "ips", "version", "4", "interface", 0,
                  "address", cidr, "gateway", GATEWAY, "dns");
    (void)json_dumpf(result, stdout, JSON_COMPACT);
    return 0;
}

static int del(void)
{
    _cleanup_json_ json_t *reply = call_agent("DEL");
    _cleanup_free_ char *host = host_link();
    if (json_object_get(reply, "Nic") == NULL) {
        return 0;
    }
    (void)run_line("ip rule del to %s/32 table main priority 1535", text_at(reply, "IP"));
    arp_reply("-D", reply);
    (void)run_line("ip link del %s", host);
    return 0;
}

int plugin_main(void)
{
    const char *command = getenv("CNI_COMMAND");
    if (command != NULL && strcmp(command, "VERSION") == 0) {
        (void)puts(
            "{\"cniVersion\":\"0.4.0\",\"supportedVersions\":[\"0.1.0\",\"0.2.0\",\"0.3.0\",\"0.3.1\",\"0.4.0\"]}");
        return 0;
    }
    if (command == NULL || getenv("CNI_CONTAINERID") == NULL) {
        refuse(4, "environment", "CNI_COMMAND and CNI_CONTAINERID must be set");
    }
    _cleanup_json_ json_t *conf = read_conf();
    ensure_rules(conf);
    return strcmp(command, "ADD") == 0 ? add(conf) : strcmp(command, "DEL") == 0 ? del() : 0;
}
