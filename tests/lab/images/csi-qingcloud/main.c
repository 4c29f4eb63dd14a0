/* Stands for QingCloud's CSI driver v1.1.1: its flags and configuration, its Identity, Controller and Node services,
 * the calls it makes of the cloud's API in their order, and its errors. Volumes are what the cloud attaches to the
 * machine. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/images/csi-qingcloud/driver.h"
#include "tests/lab/images/shared/grpc.h"
#include "tests/lab/images/shared/program.h"
#include "tests/lab/images/shared/protobuf.h"
#include "tests/lab/images/shared/qingcloud.h"

struct driver driver;

int refuse(char **why, int status, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    free(*why);
    *why = xstrdup(text);
    return status;
}

void put_capabilities(struct buffer *reply, const unsigned *types, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        _cleanup_buffer_ struct buffer rpc = {0};
        _cleanup_buffer_ struct buffer capability = {0};
        pb_number(&rpc, 1, types[i]);
        pb_message(&capability, 1, &rpc);
        pb_message(reply, 1, &capability);
    }
}

static void put_plugin_capability(struct buffer *reply, unsigned field, unsigned type)
{
    _cleanup_buffer_ struct buffer inner = {0};
    _cleanup_buffer_ struct buffer capability = {0};
    pb_number(&inner, 1, type);
    pb_message(&capability, field, &inner);
    pb_message(reply, 1, &capability);
}

int identity_call(const char *method, struct buffer *reply, char **why)
{
    enum { SERVICE = 1, EXPANSION = 2, CONTROLLER = 1, TOPOLOGY = 2, OFFLINE = 2 };
    if (strcmp(method, "Probe") == 0) {
        _cleanup_free_ char *error = NULL;
        _cleanup_json_ json_t *zones = qingcloud_call("DescribeZones", json_pack("{sn}", "zone"), &error);
        _cleanup_buffer_ struct buffer ready = {0};
        if (zones == NULL) {
            return refuse(why, GRPC_FAILED_PRECONDITION, "%s", error);
        }
        pb_number(&ready, 1, 1);
        pb_message(reply, 1, &ready);
        return GRPC_OK;
    }
    if (strcmp(method, "GetPluginInfo") == 0) {
        pb_text(reply, 1, driver.name);
        pb_text(reply, 2, "v1.1.1");
        return GRPC_OK;
    }
    if (strcmp(method, "GetPluginCapabilities") == 0) {
        put_plugin_capability(reply, SERVICE, CONTROLLER);
        put_plugin_capability(reply, EXPANSION, OFFLINE);
        put_plugin_capability(reply, SERVICE, TOPOLOGY);
        return GRPC_OK;
    }
    return refuse(why, GRPC_UNIMPLEMENTED, "%s", method);
}

static int answer(const char *method, const struct buffer *request, struct buffer *reply, char **why, void *data)
{
    static const char *const services[] = {"/csi.v1.Identity/", "/csi.v1.Controller/", "/csi.v1.Node/"};
    (void)data;
    const char *name = strrchr(method, '/') == NULL ? "" : strrchr(method, '/') + 1;
    *why = NULL;
    if (strncmp(method, services[0], strlen(services[0])) == 0) {
        return identity_call(name, reply, why);
    }
    if (strncmp(method, services[1], strlen(services[1])) == 0) {
        return strstr(name, "Snapshot") != NULL ? snapshot_call(name, request, reply, why)
                                                : controller_call(name, request, reply, why);
    }
    return strncmp(method, services[2], strlen(services[2])) == 0 ? node_call(name, request, reply, why)
                                                                  : refuse(why, GRPC_UNIMPLEMENTED, "%s", method);
}

int main(int argc, char **argv)
{
    struct flag flags[] = {{"config", FLAG_FILE, false, "/etc/config/config.yaml"},
                           {"drivername", FLAG_TEXT, false, "disk.csi.qingcloud.com"},
                           {"endpoint", FLAG_TEXT, false, "unix://tmp/csi.sock"},
                           {"maxvolume", FLAG_NUMBER, false, "10"},
                           {"nodeid", FLAG_TEXT, false, ""},
                           {"retry-interval-max", FLAG_SECONDS, false, "2m"},
                           {"retry-times-max", FLAG_NUMBER, false, "10"},
                           {"v", FLAG_NUMBER, false, "0"},
                           {NULL, FLAG_TEXT, false, NULL}};
    (void)argc;
    flags_parse(flags, argv);
    end_on_signals();
    qingcloud_open(flag_text(flags, "config"));
    driver = (struct driver){flag_text(flags, "drivername"), flag_text(flags, "nodeid"),
                             (uint64_t)flag_number(flags, "maxvolume"), (int)flag_number(flags, "retry-times-max")};
    /* where the image of the machine says which instance it is, that counts */
    if (access("/etc/qingcloud/instance-id", R_OK) == 0) {
        char *id = must_read("/etc/qingcloud/instance-id");
        id[strcspn(id, "\n")] = '\0';
        driver.node_id = id;
    }
    const char *endpoint = flag_text(flags, "endpoint");
    if (strncmp(endpoint, "unix://", 7) != 0) {
        fail("--endpoint=%s: not a Unix socket", endpoint);
    }
    _cleanup_free_ char *socket = xasprintf("%s%s", endpoint[7] == '/' ? "" : "/", endpoint + 7);
    grpc_serve(socket, answer, NULL);
    say("%s: node %s, listening at %s", driver.name, driver.node_id, socket);
    for (;;) {
        (void)pause();
    }
}
