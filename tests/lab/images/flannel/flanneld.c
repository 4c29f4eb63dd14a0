/* Stands for flanneld, the kube subnet manager with the vxlan backend: the same arguments, environment, files, node
 * annotations, device, routes and rules (flannel-io/flannel, v0.14 to v0.28: pkg/subnet/kube, pkg/backend/vxlan,
 * pkg/trafficmngr/iptables). What it does not know it refuses. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/core/util.h"
#include "tests/lab/images/flannel/install_conf.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/http.h"
#include "tests/lab/images/shared/program.h"

#define NET_CONF "/etc/kube-flannel/net-conf.json"
#define SUBNET_FILE "/run/flannel/subnet.env"
#define DEVICE "flannel.1"
#define PREFIX "flannel.alpha.coreos.com/"
#define OVERHEAD 50 /* of a frame within UDP */

static struct {
    char *node;
    char *network;  /* 10.244.0.0/16 */
    char *subnet;   /* 10.244.1.0/24 */
    char *vtep;     /* 10.244.1.0 */
    char *external; /* the machine's address */
    char *link;     /* of the default route */
    char *mac;      /* of the vxlan device */
    int vni, port, mtu;
    bool ready;
} us = {.vni = 1, .port = 8472};

static void must_run(const char *const *argv)
{
    int status = run_program(argv);
    if (status != 0) {
        fail("%s %s %s: status %d", argv[0], argv[1], argv[2], status);
    }
}

#define RUN(...) must_run((const char *const[]){__VA_ARGS__, NULL})

struct net {
    uint32_t address;
    int bits;
};

static struct net parse_net(const char *text)
{
    char address[INET_ADDRSTRLEN] = "";
    struct in_addr in;
    struct net net = {0};
    const char *slash = text == NULL ? NULL : strchr(text, '/');
    if (slash == NULL || (size_t)(slash - text) >= sizeof address) {
        fail("'%s' is not a network", text);
    }
    memcpy(address, text, (size_t)(slash - text));
    net.bits = number_of(slash + 1);
    if (inet_pton(AF_INET, address, &in) != 1 || net.bits < 1 || net.bits > 30) {
        fail("'%s' is not a network", text);
    }
    net.address = ntohl(in.s_addr);
    return net;
}

static char *address_text(uint32_t address)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr in = {htonl(address)};
    return xstrdup(inet_ntop(AF_INET, &in, text, sizeof text));
}

static void read_backend(const json_t *backend)
{
    const char *key;
    json_t *value;
    if (strcmp(text_at(backend, "Type"), "vxlan") != 0) {
        fail(NET_CONF ": backend '%s': this program has vxlan only", text_at(backend, "Type"));
    }
    json_object_foreach ((json_t *)backend, key, value) {
        if (strcmp(key, "VNI") == 0) {
            us.vni = (int)json_integer_value(value);
        } else if (strcmp(key, "Port") == 0) {
            us.port = (int)json_integer_value(value);
        } else if (strcmp(key, "Type") != 0) {
            fail(NET_CONF ": backend: '%s' is not known here", key);
        }
    }
    if (us.vni != 1) {
        fail(NET_CONF ": VNI %d: this program has 1 only", us.vni);
    }
}

static void read_net_conf(void)
{
    static const char *const known[] = {"Network", "Backend", "EnableIPv4", "EnableIPv6", "EnableNFTables"};
    _cleanup_free_ char *text = must_read(NET_CONF);
    json_error_t why;
    _cleanup_json_ json_t *conf = json_loads(text, JSON_REJECT_DUPLICATES, &why);
    const char *key;
    json_t *value;
    if (conf == NULL) {
        fail(NET_CONF ":%d: %s", why.line, why.text);
    }
    json_object_foreach (conf, key, value) {
        bool is_known = false;
        for (size_t i = 0; i < ELEMENTS(known); i++) {
            is_known = is_known || strcmp(known[i], key) == 0;
        }
        if (!is_known || (strncmp(key, "EnableI", 7) == 0 && strcmp(key, "EnableIPv4") != 0 && json_is_true(value)) ||
            (strcmp(key, "EnableNFTables") == 0 && json_is_true(value))) {
            fail(NET_CONF ": '%s' is not known here", key);
        }
    }
    us.network = xstrdup(text_at(conf, "Network"));
    (void)parse_net(us.network);
    read_backend(json_object_get(conf, "Backend"));
}

/* The first word after NAME in the output of a command; the caller frees. */
static char *word_after(const char *const *argv, const char *name)
{
    char text[1024] = "";
    char *rest = NULL;
    pid_t child;
    FILE *output = program_open(argv, &child);
    text[fread(text, 1, sizeof text - 1, output)] = '\0';
    if (program_close(output, child) != 0) {
        fail("%s %s failed", argv[0], argv[1]);
    }
    for (char *word = strtok_r(text, " \n", &rest); word != NULL; word = strtok_r(NULL, " \n", &rest)) {
        if (strcmp(word, name) == 0) {
            return xstrdup(strtok_r(NULL, " \n", &rest));
        }
    }
    return NULL;
}

#define WORD_AFTER(name, ...) word_after((const char *const[]){__VA_ARGS__, NULL}, name)

static void find_external(void)
{
    us.link = WORD_AFTER("dev", "ip", "-4", "route", "show", "default");
    if (us.link == NULL) {
        fail("no default route: which interface is external?");
    }
    _cleanup_free_ char *address =
        WORD_AFTER("inet", "ip", "-4", "-o", "address", "show", "dev", us.link, "scope", "global");
    _cleanup_free_ char *mtu = WORD_AFTER("mtu", "ip", "link", "show", "dev", us.link);
    if (address == NULL || mtu == NULL) {
        fail("%s has no address", us.link);
    }
    address[strcspn(address, "/")] = '\0';
    us.external = STEAL(address);
    us.mtu = number_of(mtu) - OVERHEAD;
}

static void find_node(void)
{
    const char *given = getenv("NODE_NAME");
    if (given != NULL && given[0] != '\0') {
        us.node = xstrdup(given);
        return;
    }
    _cleanup_free_ char *path =
        xasprintf("/api/v1/namespaces/%s/pods/%s", must_env("POD_NAMESPACE"), must_env("POD_NAME"));
    _cleanup_json_ json_t *pod = cluster_get(path);
    if (pod == NULL) {
        fail("cannot read this pod, %s", path);
    }
    us.node = xstrdup(text_at(pod, "spec nodeName"));
}

static void find_subnet(void)
{
    _cleanup_free_ char *path = xasprintf("/api/v1/nodes?fieldSelector=metadata.name%%3D%s", us.node);
    _cleanup_json_ json_t *nodes = cluster_list(path);
    const char *cidr = text_at(json_array_get(nodes, 0), "spec podCIDR");
    if (cidr[0] == '\0') {
        fail("node %s pod cidr not assigned", us.node);
    }
    struct net subnet = parse_net(cidr);
    struct net network = parse_net(us.network);
    if (subnet.bits < network.bits || subnet.address >> (32 - network.bits) != network.address >> (32 - network.bits)) {
        fail("node %s: its pod network %s is not within %s of " NET_CONF, us.node, cidr, us.network);
    }
    us.subnet = xstrdup(cidr);
    us.vtep = address_text(subnet.address);
}

/* Kept when it is as it should be: pods go on talking while this program restarts. */
static void make_device(void)
{
    _cleanup_free_ char *vni = xasprintf("%d", us.vni);
    _cleanup_free_ char *port = xasprintf("%d", us.port);
    _cleanup_free_ char *mtu = xasprintf("%d", us.mtu);
    _cleanup_free_ char *address = xasprintf("%s/32", us.vtep);
    if (access("/sys/class/net/" DEVICE, F_OK) != 0) {
        RUN("ip", "link", "add", DEVICE, "type", "vxlan", "id", vni, "local", us.external, "dev", us.link, "dstport",
            port, "nolearning");
    }
    RUN("ip", "link", "set", "dev", DEVICE, "mtu", mtu);
    RUN("ip", "address", "flush", "dev", DEVICE);
    RUN("ip", "address", "add", address, "dev", DEVICE);
    RUN("ip", "link", "set", "dev", DEVICE, "up");
    us.mac = WORD_AFTER("link/ether", "ip", "link", "show", "dev", DEVICE);
    if (us.mac == NULL) {
        fail(DEVICE " has no address");
    }
}

static void publish(void)
{
    _cleanup_free_ char *path = xasprintf("/api/v1/nodes/%s/status", us.node);
    _cleanup_free_ char *data = xasprintf("{\"VNI\":%d,\"VtepMAC\":\"%s\"}", us.vni, us.mac);
    _cleanup_json_ json_t *patch =
        json_pack("{s{s{ss ss ss ss}}}", "metadata", "annotations", PREFIX "backend-data", data, PREFIX "backend-type",
                  "vxlan", PREFIX "kube-subnet-manager", "true", PREFIX "public-ip", us.external);
    if (!cluster_patch(path, patch)) {
        fail("cannot annotate node %s", us.node);
    }
}

static void write_subnet_file(bool masquerade)
{
    struct net subnet = parse_net(us.subnet);
    _cleanup_free_ char *gateway = address_text(subnet.address + 1);
    FILE *file = fopen(SUBNET_FILE ".new", "we");
    if (file == NULL ||
        fprintf(file, "FLANNEL_NETWORK=%s\nFLANNEL_SUBNET=%s/%d\nFLANNEL_MTU=%d\nFLANNEL_IPMASQ=%s\n", us.network,
                gateway, subnet.bits, us.mtu, masquerade ? "true" : "false") < 0 ||
        fclose(file) != 0 || rename(SUBNET_FILE ".new", SUBNET_FILE) != 0) {
        fail("writing " SUBNET_FILE ": %s", strerror(errno));
    }
}

static int iptables(const char *table, const char *verb, const char *chain, const char *match, const char *comment,
                    const char *target)
{
    _cleanup_strv_ char **argv = strv_split("iptables -w 10 -t");
    _cleanup_strv_ char **words = strv_split(match);
    strv_push(&argv, table);
    strv_push(&argv, verb);
    strv_push(&argv, chain);
    for (char **word = words; *word != NULL; word++) {
        strv_push(&argv, *word);
    }
    if (comment != NULL) {
        const char *const rest[] = {"-m", "comment", "--comment", comment, "-j", target};
        for (size_t i = 0; i < ELEMENTS(rest); i++) {
            strv_push(&argv, rest[i]);
        }
        if (strcmp(target, "MASQUERADE") == 0) {
            strv_push(&argv, "--random-fully");
        }
    }
    return run_program((const char *const *)argv);
}

static void rule(const char *table, const char *chain, const char *match, const char *comment, const char *target)
{
    if (iptables(table, "-C", chain, match, comment, target) != 0 &&
        iptables(table, "-A", chain, match, comment, target) != 0) {
        fail("iptables -t %s -A %s %s -j %s failed", table, chain, match, target);
    }
}

static void ensure_rules(bool masquerade)
{
    static const char masq[] = "flanneld masq";
    static const char forward[] = "flanneld forward";
    (void)iptables("filter", "-N", "FLANNEL-FWD", "", NULL, NULL);
    _cleanup_free_ char *from = xasprintf("-s %s", us.network);
    _cleanup_free_ char *to = xasprintf("-d %s", us.network);
    rule("filter", "FORWARD", "", forward, "FLANNEL-FWD");
    rule("filter", "FLANNEL-FWD", from, forward, "ACCEPT");
    rule("filter", "FLANNEL-FWD", to, forward, "ACCEPT");
    if (!masquerade) {
        return;
    }
    _cleanup_free_ char *out = xasprintf("-s %s -d %s", us.subnet, us.network);
    _cleanup_free_ char *in = xasprintf("-s %s -d %s", us.network, us.subnet);
    _cleanup_free_ char *outside = xasprintf("! -s %s -d %s", us.network, us.subnet);
    _cleanup_free_ char *leaving = xasprintf("-s %s ! -d 224.0.0.0/4", us.network);
    _cleanup_free_ char *entering = xasprintf("! -s %s -d %s", us.network, us.network);
    const char *const returned[] = {"-m mark --mark 0x4000/0x4000", out, in, outside};
    (void)iptables("nat", "-N", "FLANNEL-POSTRTG", "", NULL, NULL);
    rule("nat", "POSTROUTING", "", masq, "FLANNEL-POSTRTG");
    for (size_t i = 0; i < ELEMENTS(returned); i++) {
        rule("nat", "FLANNEL-POSTRTG", returned[i], masq, "RETURN");
    }
    rule("nat", "FLANNEL-POSTRTG", leaving, masq, "MASQUERADE");
    rule("nat", "FLANNEL-POSTRTG", entering, masq, "MASQUERADE");
}

/* How another node is reached: its device's hardware address, the machine behind it, its network. */
static void node_event(const char *what, const json_t *node, void *data)
{
    (void)data;
    if (strcmp(what, "LISTED") == 0) {
        us.ready = true;
    }
    if (node == NULL || strcmp(text_at(node, "metadata name"), us.node) == 0) {
        return;
    }
    const json_t *notes = json_at(node, "metadata annotations");
    const char *machine = text_at(notes, PREFIX "public-ip");
    const char *cidr = text_at(node, "spec podCIDR");
    _cleanup_json_ json_t *backend = json_loads(text_at(notes, PREFIX "backend-data"), 0, NULL);
    const char *mac = text_at(backend, "VtepMAC");
    if (machine[0] == '\0' || cidr[0] == '\0' || mac[0] == '\0') {
        return;
    }
    struct net subnet = parse_net(cidr);
    _cleanup_free_ char *vtep = address_text(subnet.address);
    if (strcmp(what, "DELETED") == 0) {
        say("%s at %s left", cidr, machine);
        (void)run_program((const char *const[]){"ip", "route", "del", cidr, "dev", DEVICE, NULL});
        (void)run_program((const char *const[]){"bridge", "fdb", "del", mac, "dev", DEVICE, "dst", machine, NULL});
        (void)run_program((const char *const[]){"ip", "neigh", "del", vtep, "dev", DEVICE, NULL});
        return;
    }
    RUN("ip", "neigh", "replace", vtep, "lladdr", mac, "dev", DEVICE, "nud", "permanent");
    RUN("bridge", "fdb", "replace", mac, "dev", DEVICE, "dst", machine);
    RUN("ip", "route", "replace", cidr, "via", vtep, "dev", DEVICE, "onlink");
}

static void answer_health(const struct http_request *request, struct http_reply *reply, void *data)
{
    (void)data;
    bool known = strcmp(request->path, "/healthz") == 0 || strcmp(request->path, "/readyz") == 0;
    reply->status = !known ? 404 : strcmp(request->path, "/healthz") == 0 || us.ready ? 200 : 503;
    reply->type = "text/plain";
    buffer_puts(&reply->body, reply->status == 200 ? "flanneld is running\n" : "not ready\n");
}

int main(int argc, char **argv)
{
    struct flag flags[] = {{"ip-masq", FLAG_SWITCH, false, "false"},
                           {"kube-subnet-mgr", FLAG_SWITCH, false, "false"},
                           {"healthz-port", FLAG_NUMBER, false, "0"},
                           {"iface", FLAG_TEXT, false, NULL},
                           {"v", FLAG_NUMBER, false, "0"},
                           {NULL, FLAG_TEXT, false, NULL}};
    if (strcmp(program_invocation_short_name, "install-conf") == 0) {
        return argc == 3 ? install_conf(argv[1], argv[2]) : 2;
    }
    flags_parse(flags, argv);
    if (!flag_on(flags, "kube-subnet-mgr") || flag_text(flags, "iface") != NULL) {
        fail("this program has the kube subnet manager only, on the default route's interface");
    }
    end_on_signals();
    cluster_open();
    if (flag_number(flags, "healthz-port") > 0) {
        http_serve((int)flag_number(flags, "healthz-port"), NULL, answer_health, NULL);
    }
    read_net_conf();
    find_external();
    find_node();
    find_subnet();
    make_device();
    publish();
    write_subnet_file(flag_on(flags, "ip-masq"));
    ensure_rules(flag_on(flags, "ip-masq"));
    say("%s: %s of %s over %s (%s), " DEVICE " %s", us.node, us.subnet, us.network, us.link, us.external, us.mac);
    cluster_follow("/api/v1/nodes", node_event, NULL);
    for (;;) {
        (void)sleep(5); /* what somebody flushes comes back, as the real program's resync has it */
        ensure_rules(flag_on(flags, "ip-masq"));
    }
}
