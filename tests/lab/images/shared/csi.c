#include "tests/lab/images/shared/csi.h"

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
