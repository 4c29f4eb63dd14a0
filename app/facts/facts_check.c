#include "app/facts/facts_check.h"

#include <string.h>

#include "lib/core/syntax.h"
#include "lib/core/util.h"

bool facts_host_address(const char *ip)
{
    uint32_t address = 0;
    if (!syntax_ipv4(ip, &address)) {
        return false;
    }
    uint32_t first = address >> 24;
    return first != 0 && first != 127 && first < 224 && address >> 16 != 0xA9FE;
}

static int by_address(const void *a, const void *b)
{
    return strcmp((*(struct host *const *)a)->ip, (*(struct host *const *)b)->ip);
}

static int check_addresses(const struct facts *facts, struct error **err)
{
    /* NOLINTBEGIN(bugprone-sizeof-expression): pointers are what is sorted */
    _cleanup_free_ struct host **sorted = xcalloc(facts->n_hosts + 1, sizeof *sorted);
    for (size_t i = 0; i < facts->n_hosts; i++) {
        sorted[i] = &facts->hosts[i];
    }
    qsort(sorted, facts->n_hosts, sizeof *sorted, by_address);
    /* NOLINTEND(bugprone-sizeof-expression) */
    for (size_t i = 1; i < facts->n_hosts; i++) {
        if (by_address(&sorted[i - 1], &sorted[i]) == 0) {
            return error_new(err, STATUS_METADATA_INVALID, "metadata: %s and %s have the same ip %s",
                             sorted[i - 1]->node_name, sorted[i]->node_name, sorted[i]->ip);
        }
    }
    return 0;
}

int facts_check_hosts(const struct facts *facts, struct error **err)
{
    const struct host *master = NULL;
    for (size_t i = 0; i < facts->n_hosts; i++) {
        const struct host *host = &facts->hosts[i];
        if (master != NULL && host->is->control_plane) {
            return error_new(err, STATUS_METADATA_INVALID,
                             "metadata: /hosts/%s has %s (%s) and %s (%s): a cluster has one master", host->role,
                             master->node_name, master->ip, host->node_name, host->ip);
        }
        master = host->is->control_plane ? host : master;
    }
    return check_addresses(facts, err);
}

/* kubeadm puts these into the API server's certificate, and pods resolve them to its Service: in /etc/hosts they would
 * be other addresses for the same names. */
static bool is_service_of_api(const char *domain)
{
    static const char *const names[] = {"kubernetes", "kubernetes.default", "kubernetes.default.svc",
                                        "kubernetes.default.svc.cluster.local"};
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        if (strcmp(domain, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

void facts_check_names(const struct facts *facts, struct problems *problems)
{
    const char *domain = facts->parameters.api_external_domain;
    const char *registry = facts->parameters.private_registry;
    const char *what = NULL;
    if (domain == NULL) {
        return;
    }
    if (strcmp(domain, "metadata") == 0) {
        what = "the metadata server";
    } else if (strcmp(domain, "localhost") == 0) {
        what = "each machine itself";
    } else if (is_service_of_api(domain)) {
        what = "the API server's Service";
    } else if (strcmp(domain, facts->cluster.api_host) == 0) {
        what = "the cloud's API";
    } else if (registry != NULL && strncmp(registry, domain, strlen(domain)) == 0 &&
               (registry[strlen(domain)] == '\0' || registry[strlen(domain)] == ':')) {
        what = "the private registry";
    } else if (facts_node(facts, domain) != NULL) {
        what = "a host of this cluster";
    }
    if (what != NULL) {
        problem_add(problems, STATUS_PARAMETER,
                    "api_external_domain \"%s\": a DNS name in small letters that is not already the name of %s",
                    domain, what);
    }
}

struct network {
    const char *key;  /* the parameter that sets it; NULL: none */
    const char *what; /* "of the services" */
    char cidr[24];
    uint32_t address;
    int prefix;
};

struct networks {
    struct network list[8];
    size_t n;
};

static void add_network(struct networks *all, const char *key, const char *what, const char *cidr)
{
    struct network *network = &all->list[all->n];
    if (cidr != NULL && syntax_cidr(cidr, &network->address, &network->prefix)) {
        network->key = key;
        network->what = what;
        (void)snprintf(network->cidr, sizeof network->cidr, "%s", cidr);
        all->n++;
    }
}

/* An address, alone: NULL and DNS names have none. */
static const struct network *overlapping(const struct networks *all, const char *ip)
{
    uint32_t address = 0;
    for (size_t i = 0; ip != NULL && syntax_ipv4(ip, &address) && i < all->n; i++) {
        if (cidr_overlap(all->list[i].address, all->list[i].prefix, address, 32)) {
            return &all->list[i];
        }
    }
    return NULL;
}

/* One line for each network that holds hosts, not one for each host. */
static void check_host_addresses(const struct facts *facts, const struct networks *all, struct problems *problems)
{
    size_t count[ELEMENTS(all->list)] = {0};
    for (size_t i = 0; i < facts->n_hosts; i++) {
        const struct host *host = &facts->hosts[i];
        const struct network *network = overlapping(all, host->ip);
        if (network == NULL || count[network - all->list]++ > 0) {
            continue;
        }
        if (network->key != NULL) {
            problem_add(problems, STATUS_PARAMETER, "%s \"%s\": a network apart from %s, the address of %s",
                        network->key, network->cidr, host->ip, host->node_name);
        } else {
            problem_add(problems, STATUS_PARAMETER,
                        "the cluster's vxnet: one whose addresses are not in %s, the network of the %s: %s has %s",
                        network->cidr, network->what, host->node_name, host->ip);
        }
    }
}

/* A server that we send to. It may be a Service of this cluster. */
static void check_server(const char *what, const char *ip, const struct networks *all, struct problems *problems)
{
    const struct network *network = overlapping(all, ip);
    if (network != NULL && network->key != NULL) {
        problem_add(problems, STATUS_PARAMETER, "%s \"%s\": a network apart from %s, the address of %s", network->key,
                    network->cidr, ip, what);
    }
}

static void check_networks_apart(const struct networks *all, struct problems *problems)
{
    for (size_t i = 0; i < all->n; i++) {
        for (size_t j = 0; j < all->n; j++) {
            const struct network *set = &all->list[i];
            const struct network *other = &all->list[j];
            if (i != j && set->key != NULL && cidr_overlap(set->address, set->prefix, other->address, other->prefix)) {
                problem_add(problems, STATUS_PARAMETER, "%s \"%s\": a network apart from %s, that of the %s", set->key,
                            set->cidr, other->cidr, other->what);
            }
        }
    }
}

/* Those that the cluster itself takes. */
static struct networks networks_of(const struct facts *facts)
{
    struct networks all = {.n = 0};
    add_network(&all, NULL, "services", SERVICE_CIDR);
    if (facts->network != NETWORK_HOSTNIC) {
        add_network(&all, NULL, "pods", POD_CIDR);
    }
    add_network(&all, "docker_bip", "containers of Docker", facts->parameters.docker_bip);
    return all;
}

int facts_check_pod_vxnet(const struct facts *facts, const char *vxnet, const char *cidr, struct error **err)
{
    struct networks all = networks_of(facts);
    uint32_t address = 0;
    int prefix = 0;
    for (size_t i = 0; syntax_cidr(cidr, &address, &prefix) && i < all.n; i++) {
        if (cidr_overlap(all.list[i].address, all.list[i].prefix, address, prefix)) {
            return error_new(err, STATUS_PARAMETER,
                             "pod_vxnets \"%s\": a vxnet apart from %s, the network of the %s; this one has %s", vxnet,
                             all.list[i].cidr, all.list[i].what, cidr);
        }
    }
    return 0;
}

void facts_check_networks(const struct facts *facts, struct problems *problems)
{
    struct networks all = networks_of(facts);
    check_networks_apart(&all, problems);
    check_host_addresses(facts, &all, problems);
    check_server("es_server", facts->parameters.es_host, &all, problems);
    check_server("fluent_forward_server", facts->parameters.fluent_forward_host, &all, problems);
    if (facts->log_target == LOG_ELK_LINK) {
        check_server("the linked ELK app", facts->es_host, &all, problems);
    }
    for (size_t i = 0; facts->etcd_linked && facts->etcd_endpoints[i] != NULL; i++) {
        _cleanup_free_ char *ip = xstrdup(facts->etcd_endpoints[i] + strlen("http://"));
        ip[strcspn(ip, ":")] = '\0';
        check_server("the linked etcd", ip, &all, problems);
    }
}
