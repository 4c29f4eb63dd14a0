/* Stands for QingCloud's CSI driver v1.1: its flags and configuration, its Identity, Controller and Node services.
 * There is no cloud behind it yet: a volume is a directory of the node where it is attached, below the driver's own. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/csi.h"
#include "tests/lab/images/shared/grpc.h"
#include "tests/lab/images/shared/program.h"
#include "tests/lab/images/shared/protobuf.h"
#include "tests/lab/images/shared/yaml.h"

static const char *driver, *node_id;
static uint64_t max_volumes;

static int refuse(char **why, int status, const char *text)
{
    *why = xstrdup(text);
    return status;
}

static int identity(const char *method, struct buffer *reply, char **why)
{
    if (strcmp(method, "Probe") == 0) {
        return GRPC_OK;
    }
    if (strcmp(method, "GetPluginInfo") == 0) {
        pb_text(reply, 1, driver);
        pb_text(reply, 2, "v1.1.1");
        return GRPC_OK;
    }
    if (strcmp(method, "GetPluginCapabilities") == 0) {
        for (unsigned type = 1; type <= 2; type++) { /* controller service, topology */
            _cleanup_buffer_ struct buffer service = {0};
            _cleanup_buffer_ struct buffer capability = {0};
            pb_number(&service, 1, type);
            pb_message(&capability, 1, &service);
            pb_message(reply, 1, &capability);
        }
        return GRPC_OK;
    }
    return refuse(why, GRPC_UNIMPLEMENTED, method);
}

static void put_capabilities(struct buffer *reply, const unsigned *types, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        _cleanup_buffer_ struct buffer rpc = {0};
        _cleanup_buffer_ struct buffer capability = {0};
        pb_number(&rpc, 1, types[i]);
        pb_message(&capability, 1, &rpc);
        pb_message(reply, 1, &capability);
    }
}

/* The same name always gets the same volume: a call that is repeated makes no second one. */
static char *volume_id(const char *name)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    (void)SHA256((const unsigned char *)name, strlen(name), hash);
    return xasprintf("vol-%02x%02x%02x%02x", hash[0], hash[1], hash[2], hash[3]);
}

static int create_volume(const struct buffer *request, struct buffer *reply, char **why)
{
    _cleanup_free_ char *name = pb_find_text(request, 1);
    const struct buffer range = pb_find_message(request, 2);
    if (name[0] == '\0' || pb_find_message(request, 3).len == 0) {
        return refuse(why, GRPC_INVALID_ARGUMENT, "volume name and capabilities must be given");
    }
    _cleanup_free_ char *id = volume_id(name);
    _cleanup_buffer_ struct buffer volume = {0};
    uint64_t bytes = pb_find_number(&range, 1);
    uint64_t step = (uint64_t)10 << 30; /* the cloud's sizes: multiples of 10 GiB */
    pb_number(&volume, 1, bytes == 0 ? step : (bytes + step - 1) / step * step);
    pb_text(&volume, 2, id);
    pb_message(reply, 1, &volume);
    return GRPC_OK;
}

static int controller(const char *method, const struct buffer *request, struct buffer *reply, char **why)
{
    static const unsigned types[] = {CSI_CREATE_DELETE_VOLUME, CSI_PUBLISH_UNPUBLISH, CSI_SNAPSHOT, CSI_CLONE,
                                     CSI_EXPAND};
    _cleanup_free_ char *first = pb_find_text(request, 1);
    if (strcmp(method, "ControllerGetCapabilities") == 0) {
        put_capabilities(reply, types, ELEMENTS(types));
        return GRPC_OK;
    }
    if (strcmp(method, "CreateVolume") == 0) {
        return create_volume(request, reply, why);
    }
    if (first[0] == '\0') {
        return refuse(why, GRPC_INVALID_ARGUMENT, "Volume ID missing in request");
    }
    if (strcmp(method, "ControllerPublishVolume") == 0 || strcmp(method, "ControllerUnpublishVolume") == 0) {
        _cleanup_free_ char *node = pb_find_text(request, 2);
        return strncmp(node, "i-", 2) == 0 ? GRPC_OK
                                           : refuse(why, GRPC_NOT_FOUND, "Node ID is no instance of the cloud");
    }
    if (strcmp(method, "ControllerExpandVolume") == 0) {
        const struct buffer range = pb_find_message(request, 2);
        pb_number(reply, 1, pb_find_number(&range, 1));
        pb_number(reply, 2, 1);
        return GRPC_OK;
    }
    return strcmp(method, "DeleteVolume") == 0 ? GRPC_OK : refuse(why, GRPC_UNIMPLEMENTED, method);
}

static bool make_directories(const char *path)
{
    _cleanup_free_ char *copy = xstrdup(path);
    for (char *slash = strchr(copy + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0750) != 0 && errno != EEXIST) {
            return false;
        }
        *slash = '/';
    }
    return mkdir(copy, 0750) == 0 || errno == EEXIST;
}

static bool is_mounted(const char *path)
{
    struct stat here, above;
    _cleanup_free_ char *parent = xasprintf("%s/..", path);
    bool there = false;
    _cleanup_free_ char *wanted = xasprintf(" %s ", path);
    _cleanup_fclose_ FILE *mounts = fopen("/proc/self/mountinfo", "re");
    char line[4096];
    if (stat(path, &here) != 0 || stat(parent, &above) != 0) {
        return false;
    }
    while (mounts != NULL && fgets(line, sizeof line, mounts) != NULL) {
        there = there || strstr(line, wanted) != NULL;
    }
    return there;
}

static int bind_to(const char *from, const char *to, char **why)
{
    if (!make_directories(to)) {
        *why = xasprintf("%s: %s", to, strerror(errno));
        return GRPC_INTERNAL;
    }
    if (!is_mounted(to) && mount(from, to, NULL, MS_BIND, NULL) != 0) {
        *why = xasprintf("mounting %s at %s: %s", from, to, strerror(errno));
        return GRPC_INTERNAL;
    }
    return GRPC_OK;
}

static int unbind(const char *path, char **why)
{
    if (is_mounted(path) && umount2(path, 0) != 0) {
        *why = xasprintf("unmounting %s: %s", path, strerror(errno));
        return GRPC_INTERNAL;
    }
    (void)rmdir(path);
    return GRPC_OK;
}

/* The kubelet's own directory is what stands before /plugins/ in the path it names. */
static int stage(const struct buffer *request, char **why)
{
    _cleanup_free_ char *id = pb_find_text(request, 1);
    _cleanup_free_ char *target = pb_find_text(request, 3);
    const char *plugins = strstr(target, "/plugins/");
    if (plugins == NULL || strncmp(id, "vol-", 4) != 0) {
        return refuse(why, GRPC_INVALID_ARGUMENT, "volume id and staging path of the kubelet must be given");
    }
    _cleanup_free_ char *volume = xasprintf("%.*s/plugins/%s/volumes/%s", (int)(plugins - target), target, driver, id);
    if (!make_directories(volume)) {
        *why =
            xasprintf("%s: %s: is the kubelet's directory mounted here under its own path?", volume, strerror(errno));
        return GRPC_INTERNAL;
    }
    return bind_to(volume, target, why);
}

static int stats(const struct buffer *request, struct buffer *reply, char **why)
{
    _cleanup_free_ char *path = pb_find_text(request, 2);
    _cleanup_buffer_ struct buffer usage = {0};
    struct statvfs fs;
    if (statvfs(path, &fs) != 0) {
        return refuse(why, GRPC_NOT_FOUND, path);
    }
    pb_number(&usage, 1, (uint64_t)fs.f_bavail * fs.f_frsize);
    pb_number(&usage, 2, (uint64_t)fs.f_blocks * fs.f_frsize);
    pb_number(&usage, 3, (uint64_t)(fs.f_blocks - fs.f_bfree) * fs.f_frsize);
    pb_number(&usage, 4, 1);
    pb_message(reply, 1, &usage);
    return GRPC_OK;
}

static int node(const char *method, const struct buffer *request, struct buffer *reply, char **why)
{
    static const unsigned types[] = {1, 2, 3}; /* staging, statistics, expansion */
    if (strcmp(method, "NodeGetCapabilities") == 0) {
        put_capabilities(reply, types, ELEMENTS(types));
        return GRPC_OK;
    }
    if (strcmp(method, "NodeGetInfo") == 0) {
        pb_text(reply, 1, node_id);
        pb_number(reply, 2, max_volumes);
        return GRPC_OK;
    }
    if (strcmp(method, "NodeStageVolume") == 0) {
        return stage(request, why);
    }
    if (strcmp(method, "NodePublishVolume") == 0) {
        _cleanup_free_ char *from = pb_find_text(request, 3);
        _cleanup_free_ char *to = pb_find_text(request, 4);
        return bind_to(from, to, why);
    }
    if (strcmp(method, "NodeUnpublishVolume") == 0 || strcmp(method, "NodeUnstageVolume") == 0) {
        _cleanup_free_ char *path = pb_find_text(request, 2);
        return unbind(path, why);
    }
    if (strcmp(method, "NodeGetVolumeStats") == 0) {
        return stats(request, reply, why);
    }
    if (strcmp(method, "NodeExpandVolume") == 0) {
        const struct buffer range = pb_find_message(request, 3);
        pb_number(reply, 1, pb_find_number(&range, 1));
        return GRPC_OK;
    }
    return refuse(why, GRPC_UNIMPLEMENTED, method);
}

static int answer(const char *method, const struct buffer *request, struct buffer *reply, char **why, void *data)
{
    static const char *const services[] = {"/csi.v1.Identity/", "/csi.v1.Controller/", "/csi.v1.Node/"};
    (void)data;
    const char *name = strrchr(method, '/') == NULL ? "" : strrchr(method, '/') + 1;
    if (strncmp(method, services[0], strlen(services[0])) == 0) {
        return identity(name, reply, why);
    }
    if (strncmp(method, services[1], strlen(services[1])) == 0) {
        return controller(name, request, reply, why);
    }
    return strncmp(method, services[2], strlen(services[2])) == 0 ? node(name, request, reply, why)
                                                                  : refuse(why, GRPC_UNIMPLEMENTED, method);
}

static void check_conf(const char *path)
{
    static const char *const keys[] = {
        "qy_access_key_id", "qy_secret_access_key", "zone", "host", "port", "protocol", "uri"};
    _cleanup_json_ json_t *conf = yaml_read(path);
    for (size_t i = 0; i < ELEMENTS(keys); i++) {
        const json_t *value = json_object_get(conf, keys[i]);
        if (value == NULL || (json_is_string(value) && json_string_length(value) == 0)) {
            fail("%s: '%s' is missing", path, keys[i]);
        }
    }
}

int main(int argc, char **argv)
{
    struct flag flags[] = {{"config", FLAG_FILE, false, "/etc/config/config.yaml"},
                           {"drivername", FLAG_TEXT, false, "disk.csi.qingcloud.com"},
                           {"endpoint", FLAG_TEXT, false, "unix://tmp/csi.sock"},
                           {"maxvolume", FLAG_NUMBER, false, "10"},
                           {"nodeid", FLAG_TEXT, true, NULL},
                           {"retry-detach-times-max", FLAG_NUMBER, false, "100"},
                           {"v", FLAG_NUMBER, false, "0"},
                           {NULL, FLAG_TEXT, false, NULL}};
    (void)argc;
    flags_parse(flags, argv);
    end_on_signals();
    check_conf(flag_text(flags, "config"));
    driver = flag_text(flags, "drivername");
    max_volumes = (uint64_t)flag_number(flags, "maxvolume");
    /* the node's name is the Kubernetes node's; where the image of the machine says which instance it is, that counts
     */
    node_id = flag_text(flags, "nodeid");
    if (access("/etc/qingcloud/instance-id", R_OK) == 0) {
        char *id = must_read("/etc/qingcloud/instance-id");
        id[strcspn(id, "\n")] = '\0';
        node_id = id;
    }
    const char *endpoint = flag_text(flags, "endpoint");
    if (strncmp(endpoint, "unix://", 7) != 0) {
        fail("--endpoint=%s: not a Unix socket", endpoint);
    }
    _cleanup_free_ char *socket = xasprintf("%s%s", endpoint[7] == '/' ? "" : "/", endpoint + 7);
    grpc_serve(socket, answer, NULL);
    say("%s: node %s, listening at %s", driver, node_id, socket);
    for (;;) {
        (void)pause();
    }
}
