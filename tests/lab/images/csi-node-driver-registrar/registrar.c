/* Stands for csi-node-driver-registrar: tells the kubelet of the driver over the plugin watcher's socket. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/images/shared/csi.h"
#include "tests/lab/images/shared/grpc.h"
#include "tests/lab/images/shared/program.h"
#include "tests/lab/images/shared/protobuf.h"

struct plugin {
    char *driver;
    const char *endpoint;
};

static int answer(const char *method, const struct buffer *request, struct buffer *reply, char **why, void *data)
{
    const struct plugin *plugin = data;
    if (strcmp(method, "/pluginregistration.Registration/GetInfo") == 0) {
        pb_text(reply, 1, "CSIPlugin");
        pb_text(reply, 2, plugin->driver);
        pb_text(reply, 3, plugin->endpoint);
        pb_text(reply, 4, "1.0.0");
        return GRPC_OK;
    }
    if (strcmp(method, "/pluginregistration.Registration/NotifyRegistrationStatus") == 0) {
        _cleanup_free_ char *error = pb_find_text(request, 2);
        if (pb_find_number(request, 1) == 0) {
            fail("Registration process failed with error: %s", error);
        }
        say("%s is registered", plugin->driver);
        return GRPC_OK;
    }
    *why = xasprintf("no method %s", method);
    return GRPC_UNIMPLEMENTED;
}

int main(int argc, char **argv)
{
    struct flag flags[] = {{"csi-address", FLAG_TEXT, false, "/run/csi/socket"},
                           {"kubelet-registration-path", FLAG_TEXT, true, NULL},
                           {"connection-timeout", FLAG_SECONDS, false, "0"},
                           {"plugin-registration-path", FLAG_TEXT, false, "/registration"},
                           {"health-port", FLAG_NUMBER, false, "0"},
                           {"timeout", FLAG_SECONDS, false, "1s"},
                           {"v", FLAG_NUMBER, false, "0"},
                           {NULL, FLAG_TEXT, false, NULL}};
    (void)argc;
    flags_parse(flags, argv);
    end_on_signals();
    struct plugin plugin = {csi_connect(flag_text(flags, "csi-address")),
                            flag_text(flags, "kubelet-registration-path")};
    _cleanup_free_ char *socket =
        xasprintf("%s/%s-reg.sock", flag_text(flags, "plugin-registration-path"), plugin.driver);
    grpc_serve(socket, answer, &plugin);
    for (;;) {
        (void)pause();
    }
}
