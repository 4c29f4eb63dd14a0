/* The CNI plugin of type "flannel": reads what flanneld found out (/run/flannel/subnet.env), makes the configuration of
 * another plugin of it, and runs that one (flannel-io/cni-plugin; CNI specification 0.3.1). */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "lib/core/util.h"
#include "tests/lab/images/shared/cluster.h"

#define USUAL_SUBNET_FILE "/run/flannel/subnet.env"
#define USUAL_DATA "/var/lib/cni/flannel"

struct subnet {
    char network[64], subnet[64];
    int mtu;
    bool masquerade;
};

static _Noreturn void refuse(int code, const char *what, const char *why)
{
    _cleanup_free_ char *message = xasprintf("%s: %s", what, why);
    _cleanup_json_ json_t *error = json_pack("{ss si ss}", "cniVersion", "0.3.1", "code", code, "msg", message);
    (void)json_dumpf(error, stdout, JSON_COMPACT);
    exit(1);
}

static json_t *read_configuration(void)
{
    json_error_t why;
    json_t *conf = json_loadf(stdin, 0, &why);
    if (conf == NULL) {
        refuse(6, "the network's configuration", why.text);
    }
    return conf;
}

static void read_subnet(const char *path, struct subnet *subnet)
{
    char line[256];
    char masquerade[16] = "";
    *subnet = (struct subnet){0};
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        refuse(11, "loadFlannelSubnetEnv failed", path);
    }
    while (fgets(line, sizeof line, file) != NULL) {
        (void)sscanf(line, "FLANNEL_NETWORK=%63s", subnet->network);
        (void)sscanf(line, "FLANNEL_SUBNET=%63s", subnet->subnet);
        if (strncmp(line, "FLANNEL_MTU=", 12) == 0) {
            subnet->mtu = (int)strtol(line + 12, NULL, 10);
        }
        (void)sscanf(line, "FLANNEL_IPMASQ=%15s", masquerade);
    }
    (void)fclose(file);
    if (subnet->network[0] == '\0' || subnet->subnet[0] == '\0' || subnet->mtu == 0 || masquerade[0] == '\0') {
        refuse(11, path, "it lacks FLANNEL_NETWORK, FLANNEL_SUBNET, FLANNEL_MTU or FLANNEL_IPMASQ");
    }
    subnet->masquerade = strcmp(masquerade, "true") == 0;
}

static void set_unless_there(json_t *object, const char *key, json_t *value)
{
    if (json_object_get(object, key) == NULL) {
        json_object_set(object, key, value);
    }
    json_decref(value);
}

/* FLANNEL_SUBNET holds the gateway's address; a range is named by its first. */
static char *range_of(const char *subnet)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr in;
    size_t len = strcspn(subnet, "/");
    _cleanup_free_ char *address = xstrndup(subnet, len);
    long bits = subnet[len] == '/' ? strtol(subnet + len + 1, NULL, 10) : 0;
    if (inet_pton(AF_INET, address, &in) != 1 || bits > 30 || bits < 1) {
        refuse(11, "FLANNEL_SUBNET", subnet);
    }
    in.s_addr = htonl(ntohl(in.s_addr) & ~0U << (32 - bits));
    return xasprintf("%s/%ld", inet_ntop(AF_INET, &in, text, sizeof text), bits);
}

static json_t *delegate_of(const json_t *conf, const struct subnet *subnet)
{
    json_t *given = json_object_get(conf, "delegate");
    json_t *delegate = given == NULL ? json_object() : json_deep_copy(given);
    _cleanup_free_ char *range = range_of(subnet->subnet);
    json_object_set_new(delegate, "name", json_string(text_at(conf, "name")));
    json_object_set_new(delegate, "cniVersion", json_string(text_at(conf, "cniVersion")));
    set_unless_there(delegate, "type", json_string("bridge"));
    set_unless_there(delegate, "ipMasq", json_boolean(!subnet->masquerade));
    set_unless_there(delegate, "mtu", json_integer(subnet->mtu));
    if (strcmp(text_at(delegate, "type"), "bridge") == 0) {
        set_unless_there(delegate, "isGateway", json_true());
    }
    json_object_set_new(delegate, "ipam",
                        json_pack("{ss s[[{ss}]] s[{ss}]}", "type", "host-local", "ranges", "subnet", range, "routes",
                                  "dst", subnet->network));
    return delegate;
}

static char *find_plugin(const char *type)
{
    const char *given = getenv("CNI_PATH");
    _cleanup_free_ char *path = xstrdup(given == NULL ? "" : given);
    char *rest = NULL;
    for (char *dir = strtok_r(path, ":", &rest); dir != NULL; dir = strtok_r(NULL, ":", &rest)) {
        char *program = xasprintf("%s/%s", dir, type);
        if (access(program, X_OK) == 0) {
            return program;
        }
        free(program);
    }
    refuse(7, type, "no plugin of this type below CNI_PATH");
}

/* Its output and status are ours. */
static int run_delegate(const json_t *delegate)
{
    _cleanup_free_ char *program = find_plugin(text_at(delegate, "type"));
    _cleanup_free_ char *text = json_dumps(delegate, JSON_COMPACT);
    int fds[2];
    int status = 0;
    if (pipe(fds) != 0) {
        refuse(11, "pipe", strerror(errno));
    }
    pid_t child = fork();
    if (child == 0) {
        (void)dup2(fds[0], STDIN_FILENO);
        close(fds[0]);
        close(fds[1]);
        execl(program, program, NULL);
        _exit(127);
    }
    close(fds[0]);
    if (child < 0 || write(fds[1], text, strlen(text)) != (ssize_t)strlen(text)) {
        refuse(11, program, strerror(errno));
    }
    close(fds[1]);
    (void)waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int add(const json_t *conf, const char *data)
{
    struct subnet subnet;
    const char *file = text_at(conf, "subnetFile");
    read_subnet(file[0] == '\0' ? USUAL_SUBNET_FILE : file, &subnet);
    _cleanup_json_ json_t *delegate = delegate_of(conf, &subnet);
    _cleanup_free_ char *path = xasprintf("%s/%s", data, getenv("CNI_CONTAINERID"));
    (void)mkdir("/var/lib/cni", 0755);
    if ((mkdir(data, 0700) != 0 && errno != EEXIST) || json_dump_file(delegate, path, JSON_COMPACT) != 0) {
        refuse(11, path, strerror(errno));
    }
    return run_delegate(delegate);
}

static int del(const char *data)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", data, getenv("CNI_CONTAINERID"));
    _cleanup_json_ json_t *delegate = json_load_file(path, 0, NULL);
    if (delegate == NULL) {
        return 0; /* never added, or deleted before */
    }
    int r = run_delegate(delegate);
    if (r == 0) {
        (void)unlink(path);
    }
    return r;
}

int main(void)
{
    const char *command = getenv("CNI_COMMAND");
    if (command != NULL && strcmp(command, "VERSION") == 0) {
        (void)puts("{\"cniVersion\":\"1.0.0\",\"supportedVersions\":[\"0.1.0\",\"0.2.0\",\"0.3.0\",\"0.3.1\",\"0.4.0\","
                   "\"1.0.0\"]}");
        return 0;
    }
    if (command == NULL || getenv("CNI_CONTAINERID") == NULL || getenv("CNI_NETNS") == NULL) {
        refuse(4, "environment", "CNI_COMMAND, CNI_CONTAINERID and CNI_NETNS must be set");
    }
    _cleanup_json_ json_t *conf = read_configuration();
    const char *given = text_at(conf, "dataDir");
    const char *data = given[0] == '\0' ? USUAL_DATA : given;
    return strcmp(command, "ADD") == 0 ? add(conf, data) : strcmp(command, "DEL") == 0 ? del(data) : 0;
}
