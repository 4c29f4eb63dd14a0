#include "tests/lab/images/shared/csi.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/images/shared/grpc.h"
#include "tests/lab/images/shared/program.h"
#include "tests/lab/images/shared/protobuf.h"

char *csi_connect(const char *socket)
{
    const struct buffer nothing = {0};
    for (int seconds = 0; seconds < 90; seconds++) {
        _cleanup_buffer_ struct buffer probe = {0};
        _cleanup_buffer_ struct buffer info = {0};
        if (grpc_call(socket, "/csi.v1.Identity/Probe", &nothing, &probe) == GRPC_OK &&
            grpc_call(socket, "/csi.v1.Identity/GetPluginInfo", &nothing, &info) == GRPC_OK) {
            return pb_find_text(&info, 1);
        }
        (void)sleep(1);
    }
    fail("no CSI driver answers at %s", socket);
}

bool csi_controller_can(const char *socket, unsigned type)
{
    const struct buffer nothing = {0};
    _cleanup_buffer_ struct buffer all = {0};
    struct pb_field field;
    if (grpc_call(socket, "/csi.v1.Controller/ControllerGetCapabilities", &nothing, &all) != GRPC_OK) {
        return false;
    }
    const char *data = all.data;
    size_t length = all.len;
    while (pb_next(&data, &length, &field)) {
        const struct buffer capability = {.data = (char *)field.data, .len = field.length};
        const struct buffer rpc = pb_find_message(&capability, 1);
        if (pb_find_number(&rpc, 1) == type) {
            return true;
        }
    }
    return false;
}

char *csi_lease(const char *prefix, const char *driver)
{
    char *name = xasprintf("%s%s", prefix, driver);
    for (char *c = name; *c != '\0'; c++) {
        if (*c == '/' || (*prefix != '\0' && *c == '.')) {
            *c = '-';
        }
    }
    return name;
}

uint64_t quantity_bytes(const char *quantity)
{
    static const struct {
        const char *suffix;
        uint64_t bytes;
    } units[] = {{"", 1},         {"k", 1000},     {"M", 1000000},  {"G", 1000000000},
                 {"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"Ti", (uint64_t)1 << 40}};
    char *end;
    uint64_t number = strtoull(quantity, &end, 10);
    for (size_t i = 0; i < ELEMENTS(units); i++) {
        if (strcmp(units[i].suffix, end) == 0) {
            return number * units[i].bytes;
        }
    }
    return 0;
}

const json_t *csi_node_driver(const json_t *node, const char *driver)
{
    size_t i;
    json_t *entry;
    json_array_foreach (json_at(node, "spec drivers"), i, entry) {
        if (strcmp(text_at(entry, "name"), driver) == 0) {
            return entry;
        }
    }
    return NULL;
}

void csi_put_capability(struct buffer *request, unsigned field, const char *fs_type)
{
    _cleanup_buffer_ struct buffer mount = {0};
    _cleanup_buffer_ struct buffer mode = {0};
    _cleanup_buffer_ struct buffer capability = {0};
    pb_text(&mount, 1, fs_type);
    pb_number(&mode, 1, 1);
    pb_message(&capability, 2, &mount);
    pb_message(&capability, 3, &mode);
    pb_message(request, field, &capability);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void csi_lock(void)
{
    pthread_mutex_lock(&lock);
}

void csi_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

struct followed {
    cluster_event *event;
};

static void one_at_a_time(const char *what, const json_t *object, void *data)
{
    const struct followed *followed = data;
    csi_lock();
    followed->event(what, object, NULL);
    csi_unlock();
}

void csi_follow(const char *path, cluster_event *event)
{
    struct followed *followed = xcalloc(1, sizeof *followed);
    followed->event = event;
    cluster_follow(path, one_at_a_time, followed);
}

void csi_each(const char *path, const char *version, const char *kind, cluster_event *event)
{
    _cleanup_json_ json_t *all = cluster_list(path);
    size_t i;
    json_t *one;
    json_array_foreach (all, i, one) {
        json_object_set_new(one, "kind", json_string(kind));
        json_object_set_new(one, "apiVersion", json_string(version));
        event("MODIFIED", one, NULL);
    }
}
