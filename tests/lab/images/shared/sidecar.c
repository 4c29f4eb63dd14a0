#include "tests/lab/images/shared/sidecar.h"

#include <string.h>
#include <unistd.h>

#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/csi.h"
#include "tests/lab/images/shared/grpc.h"

static bool leads_alone(const struct flag *flags)
{
    for (const struct flag *f = flags; f->name != NULL; f++) {
        if (strcmp(f->name, "leader-election") == 0 && flag_on(flags, f->name)) {
            return false;
        }
    }
    return true;
}

void sidecar_start(struct sidecar *s, struct flag *flags, char **argv)
{
    char host[256] = "";
    flags_parse(flags, argv);
    end_on_signals();
    cluster_open();
    s->socket = flag_text(flags, "csi-address");
    s->driver = csi_connect(s->socket);
    if (!csi_controller_can(s->socket, s->capability)) {
        fail("CSI driver %s does not support %s", s->driver, s->capability_name);
    }
    (void)gethostname(host, sizeof host - 1);
    if (!leads_alone(flags)) {
        _cleanup_free_ char *lease = csi_lease(s->lease, s->driver);
        const char *namespace = flag_text(flags, "leader-election-namespace");
        cluster_lead(namespace[0] == '\0' ? "kube-system" : namespace, lease, host);
    }
}

char *sidecar_call(const struct sidecar *s, const char *method, const struct buffer *request, struct buffer *reply)
{
    _cleanup_free_ char *why = NULL;
    int status = grpc_call_why(s->socket, method, request, reply, &why);
    return status == GRPC_OK ? NULL
                             : xasprintf("rpc error: code = %s desc = %s", grpc_name(status), why == NULL ? "" : why);
}
