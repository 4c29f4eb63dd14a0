#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/lab/images/coredns/coredns.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/program.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static json_t *services, *endpoints; /* by "namespace/name" */
static bool services_listed, endpoints_listed;
static bool pods;

struct kind {
    json_t **objects;
    bool *listed;
};
static struct kind service_kind = {&services, &services_listed};
static struct kind endpoint_kind = {&endpoints, &endpoints_listed};

static void take(const char *what, const json_t *object, void *data)
{
    struct kind *kind = data;
    (void)pthread_mutex_lock(&lock);
    if (object == NULL && strcmp(what, "LISTING") == 0) {
        json_object_clear(*kind->objects);
    } else if (object == NULL) {
        *kind->listed = true;
    } else {
        _cleanup_free_ char *key =
            xasprintf("%s/%s", text_at(object, "metadata namespace"), text_at(object, "metadata name"));
        if (strcmp(what, "DELETED") == 0) {
            json_object_del(*kind->objects, key);
        } else {
            json_object_set_new(*kind->objects, key, json_deep_copy(object));
        }
    }
    (void)pthread_mutex_unlock(&lock);
}

void zone_open(bool pods_insecure)
{
    pods = pods_insecure;
    services = json_object();
    endpoints = json_object();
    cluster_open();
    cluster_follow("/api/v1/services", take, &service_kind);
    cluster_follow("/api/v1/endpoints", take, &endpoint_kind);
}

bool zone_ready(void)
{
    (void)pthread_mutex_lock(&lock);
    bool ready = services_listed && endpoints_listed;
    (void)pthread_mutex_unlock(&lock);
    return ready;
}

static struct record *push(struct records *found)
{
    found->list = xrealloc(found->list, (found->n + 1) * sizeof *found->list);
    found->list[found->n] = (struct record){0};
    return &found->list[found->n++];
}

static void push_address(struct records *found, const char *text)
{
    struct in_addr in;
    if (inet_pton(AF_INET, text, &in) == 1) {
        struct record *r = push(found);
        r->type = TYPE_A;
        r->address = ntohl(in.s_addr);
    }
}

/* The name of one address of an endpoint: its hostname, or the address with dashes. */
static void endpoint_name(const json_t *address, char *name, size_t size)
{
    const char *hostname = text_at(address, "hostname");
    (void)snprintf(name, size, "%s", hostname[0] != '\0' ? hostname : text_at(address, "ip"));
    if (hostname[0] == '\0') {
        replace_char(name, '.', '-');
    }
}

/* The addresses behind a headless Service, all or the one called WANTED; true when there is any. */
static bool endpoint_addresses(const char *key, const char *wanted, struct records *found)
{
    size_t i, j;
    json_t *subset, *address;
    bool any = false;
    json_array_foreach (json_object_get(json_object_get(endpoints, key), "subsets"), i, subset) {
        json_array_foreach (json_object_get(subset, "addresses"), j, address) {
            char name[256];
            endpoint_name(address, name, sizeof name);
            if (wanted == NULL || strcmp(wanted, name) == 0) {
                push_address(found, text_at(address, "ip"));
                any = true;
            }
        }
    }
    return any;
}

static bool headless(const json_t *service)
{
    return strcmp(text_at(service, "spec clusterIP"), "None") == 0;
}

/* _PORT._PROTOCOL.SERVICE...: one record a port, for a headless Service one an address too. */
static bool find_ports(const json_t *service, const char *key, const char *suffix, const char *port,
                       const char *protocol, struct records *found)
{
    size_t i, j, k;
    json_t *p, *subset, *address;
    bool any = false;
    json_array_foreach (headless(service) ? NULL : json_at(service, "spec ports"), i, p) {
        if (strcmp(text_at(p, "name"), port + 1) == 0 && strcasecmp(text_at(p, "protocol"), protocol + 1) == 0) {
            struct record *r = push(found);
            r->type = TYPE_SRV;
            r->port = (uint16_t)json_integer_value(json_object_get(p, "port"));
            (void)snprintf(r->target, sizeof r->target, "%s", suffix);
            any = true;
        }
    }
    json_array_foreach (headless(service) ? json_object_get(json_object_get(endpoints, key), "subsets") : NULL, k,
                        subset) {
        json_array_foreach (json_object_get(subset, "ports"), i, p) {
            json_array_foreach (json_object_get(subset, "addresses"), j, address) {
                char name[200];
                if (strcmp(text_at(p, "name"), port + 1) != 0 ||
                    strcasecmp(text_at(p, "protocol"), protocol + 1) != 0) {
                    continue;
                }
                struct record *r = push(found);
                endpoint_name(address, name, sizeof name);
                r->type = TYPE_SRV;
                r->port = (uint16_t)json_integer_value(json_object_get(p, "port"));
                (void)snprintf(r->target, sizeof r->target, "%.100s.%.150s", name, suffix);
                any = true;
            }
        }
    }
    return any;
}

/* LABELS before the service's own name, nearest last. */
static bool find_service(char **labels, size_t n, const char *name, const char *namespace, struct records *found)
{
    _cleanup_free_ char *key = xasprintf("%s/%s", namespace, name);
    const json_t *service = json_object_get(services, key);
    if (service == NULL) {
        return false;
    }
    const char *external = text_at(service, "spec externalName");
    if (n == 0 && strcmp(text_at(service, "spec type"), "ExternalName") == 0) {
        struct record *r = push(found);
        r->type = TYPE_CNAME;
        (void)snprintf(r->target, sizeof r->target, "%s", external);
        return true;
    }
    if (n == 0 && !headless(service)) {
        push_address(found, text_at(service, "spec clusterIP"));
        return true;
    }
    if (n == 2 && labels[0][0] == '_' && labels[1][0] == '_') {
        _cleanup_free_ char *suffix = xasprintf("%s.%s.svc." ZONE, name, namespace);
        return find_ports(service, key, suffix, labels[0], labels[1], found);
    }
    return n <= 1 && endpoint_addresses(key, n == 1 ? labels[0] : NULL, found);
}

static bool find_pod(char **labels, size_t n, struct records *found)
{
    char address[64];
    if (!pods || n != 2) {
        return false;
    }
    (void)snprintf(address, sizeof address, "%s", labels[0]);
    replace_char(address, '-', '.');
    size_t before = found->n;
    push_address(found, address);
    return found->n > before;
}

static bool find_forward(const char *name, struct records *found)
{
    char copy[256];
    char **labels = NULL;
    size_t n = 0;
    char *rest = NULL;
    (void)snprintf(copy, sizeof copy, "%s", name);
    size_t zone = strlen(copy) - strlen(ZONE);
    copy[zone > 0 ? zone - 1 : 0] = '\0';
    for (char *label = strtok_r(copy, ".", &rest); label != NULL; label = strtok_r(NULL, ".", &rest)) {
        strv_push(&labels, label);
        n++;
    }
    bool there = n == 0 || (n == 1 && (strcmp(labels[0], "svc") == 0 || strcmp(labels[0], "pod") == 0));
    if (n == 1 && strcmp(labels[0], "dns-version") == 0) {
        there = true;
    } else if (n >= 3 && strcmp(labels[n - 1], "svc") == 0) {
        there = find_service(labels, n - 3, labels[n - 3], labels[n - 2], found);
    } else if (n >= 2 && strcmp(labels[n - 1], "pod") == 0) {
        there = find_pod(labels, n - 1, found);
    }
    strv_free(labels);
    return there;
}

/* 1.0.96.10.in-addr.arpa: a Service's, or an address behind a headless one. */
static bool find_reverse(const char *name, struct records *found)
{
    char address[64];
    char copy[64];
    char *rest = NULL;
    const char *key;
    json_t *object;
    const char *bytes[4] = {0};
    (void)snprintf(copy, sizeof copy, "%s", name);
    for (size_t i = 4; i > 0; i--) {
        bytes[i - 1] = strtok_r(i == 4 ? copy : NULL, ".", &rest);
    }
    if (bytes[0] == NULL) {
        return false;
    }
    (void)snprintf(address, sizeof address, "%s.%s.%s.%s", bytes[0], bytes[1], bytes[2], bytes[3]);
    json_object_foreach (services, key, object) {
        if (strcmp(text_at(object, "spec clusterIP"), address) == 0) {
            struct record *r = push(found);
            r->type = TYPE_PTR;
            (void)snprintf(r->target, sizeof r->target, "%s.%s.svc." ZONE, text_at(object, "metadata name"),
                           text_at(object, "metadata namespace"));
            return true;
        }
    }
    return false;
}

bool zone_find(const char *name, uint16_t type, struct records *found, int *code)
{
    size_t len = strlen(name);
    size_t zone = strlen(ZONE);
    bool ours = len >= zone && strcmp(name + len - zone, ZONE) == 0 && (len == zone || name[len - zone - 1] == '.');
    bool reverse = type == TYPE_PTR && len > 13 && strcmp(name + len - 13, ".in-addr.arpa") == 0;
    if (!ours && !reverse) {
        return false;
    }
    struct records all = {0};
    (void)pthread_mutex_lock(&lock);
    bool there = ours ? find_forward(name, &all) : find_reverse(name, &all);
    (void)pthread_mutex_unlock(&lock);
    *code = there ? NOERROR : NXDOMAIN;
    for (size_t i = 0; i < all.n; i++) {
        if (all.list[i].type == type || type == TYPE_ANY || all.list[i].type == TYPE_CNAME) {
            *push(found) = all.list[i];
        }
    }
    free(all.list);
    return ours || there; /* "fallthrough in-addr.arpa" */
}
