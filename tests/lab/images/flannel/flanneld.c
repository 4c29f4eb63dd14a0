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
    const char *slash = strchr(text, '/');
    if (slash == NULL || (size_t)(slash - text) >= sizeof address) {
        fail("'%s' is not a network", text);
    }
    memcpy(address, text, (size_t)(slash - text));
    net.bits = atoi(slash + 1);
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
    json_object_foreach ((json_t *)(uintptr_t)backend, key, value) {
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

/* The first word after NAME in the output of a command. */
static char *word_after(const char *command, const char *name)
{
    char line[1024] = "";
    char *rest = NULL;
    FILE *pipe = popen(command, "re");
    size_t n = pipe == NULL ? 0 : fread(line, 1, sizeof line - 1, pipe);
    line[n] = '\0';
    if (pipe == NULL || pclose(pipe) != 0) {
        fail("'%s' failed", command);
    }
    for (char *word = strtok_r(line, " \n", &rest); word != NULL; word = strtok_r(NULL, " \n", &rest)) {
        if (strcmp(word, name) == 0) {
            word = strtok_r(NULL, " \n", &rest);
            return xstrdup(word);
        }
    }
    return NULL;
}

static void find_external(void)
{
    us.link = word_after("ip -4 route show default", "dev");
    if (us.link == NULL) {
        fail("no default route: which interface is external?");
    }
    _cleanup_free_ char *show = xasprintf("ip -4 -o address show dev %s scope global", us.link);
    _cleanup_free_ char *address = word_after(show, "inet");
    _cleanup_free_ char *links = xasprintf("ip link show dev %s", us.link);
    _cleanup_free_ char *mtu = word_after(links, "mtu");
    if (address == NULL || mtu == NULL) {
        fail("%s has no address", us.link);
    }
    address[strcspn(address, "/")] = '\0';
    us.external = STEAL(address);
    us.mtu = atoi(mtu) - OVERHEAD;
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
    us.mac = word_after("ip link show dev " DEVICE, "link/ether");
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

static void rule(const char *table, const char *chain, const char *text)
{
    _cleanup_free_ char *check = xasprintf("iptables -w 10 -t %s -C %s %s 2>/dev/null", table, chain, text);
    _cleanup_free_ char *add = xasprintf("iptables -w 10 -t %s -A %s %s", table, chain, text);
    if (system(check) != 0 && system(add) != 0) {
        fail("'%s' failed", add);
    }
}

static void ensure_rules(bool masquerade)
{
    static const char comment[] = "-m comment --comment \"flanneld masq\"";
    (void)!system(
        "iptables -w 10 -t filter -N FLANNEL-FWD 2>/dev/null; iptables -w 10 -t nat -N FLANNEL-POSTRTG 2>/dev/null");
    _cleanup_free_ char *from = xasprintf("-s %s -m comment --comment \"flanneld forward\" -j ACCEPT", us.network);
    _cleanup_free_ char *to = xasprintf("-d %s -m comment --comment \"flanneld forward\" -j ACCEPT", us.network);
    rule("filter", "FORWARD", "-m comment --comment \"flanneld forward\" -j FLANNEL-FWD");
    rule("filter", "FLANNEL-FWD", from);
    rule("filter", "FLANNEL-FWD", to);
    if (!masquerade) {
        return;
    }
    const char *const rules[][3] = {
        {"-m mark --mark 0x4000/0x4000", "", "RETURN"},
        {"-s", us.subnet, us.network},
        {"-s", us.network, us.subnet},
        {"! -s", us.network, us.subnet},
    };
    rule("nat", "POSTROUTING", "-m comment --comment \"flanneld masq\" -j FLANNEL-POSTRTG");
    for (size_t i = 0; i < ELEMENTS(rules); i++) {
        _cleanup_free_ char *text =
            i == 0 ? xasprintf("%s %s -j RETURN", rules[i][0], comment)
                   : xasprintf("%s %s -d %s %s -j RETURN", rules[i][0], rules[i][1], rules[i][2], comment);
        rule("nat", "FLANNEL-POSTRTG", text);
    }
    _cleanup_free_ char *out = xasprintf("-s %s ! -d 224.0.0.0/4 %s -j MASQUERADE --random-fully", us.network, comment);
    _cleanup_free_ char *in =
        xasprintf("! -s %s -d %s %s -j MASQUERADE --random-fully", us.network, us.network, comment);
    rule("nat", "FLANNEL-POSTRTG", out);
    rule("nat", "FLANNEL-POSTRTG", in);
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
    struct flag flags[] = {{"ip-masq", FLAG_SWITCH, "false", false},
                           {"kube-subnet-mgr", FLAG_SWITCH, "false", false},
                           {"healthz-port", FLAG_NUMBER, "0", false},
                           {"iface", FLAG_TEXT, NULL, false},
                           {"v", FLAG_NUMBER, "0", false},
                           {NULL, FLAG_TEXT, NULL, false}};
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
