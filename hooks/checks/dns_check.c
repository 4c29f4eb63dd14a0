#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <string.h>

#include "hooks/checks/checks.h"

static void probe_dns(const struct check_context *context, struct finding *finding)
{
    static const char name[] = "kubernetes.default.svc." CLUSTER_DOMAIN;
    static const char remedy[] =
        "see `kubectl -n kube-system get pods -l k8s-app=kube-dns` and the route to " SERVICE_CIDR " (`ip route`)";
    unsigned char answer[NS_PACKETSZ];
    struct __res_state state = {0};
    (void)context;
    if (res_ninit(&state) < 0) {
        finding_fails(finding, "check /etc/resolv.conf", "the resolver cannot be set up");
        return;
    }
    /* One try of a second for each name server, whatever resolv.conf says. */
    state.retrans = 1;
    state.retry = 1;
    int len = res_nquery(&state, name, ns_c_in, ns_t_a, answer, sizeof answer);
    int why = state.res_h_errno;
    res_nclose(&state);
    if (len >= (int)sizeof(HEADER) && ntohs(((const HEADER *)(const void *)answer)->ancount) > 0) {
        finding_ok(finding, "%s is known", name);
    } else {
        finding_fails(finding, remedy, "looking up %s: %s", name, hstrerror(why));
    }
}

/* Names are a convenience on the client: the API server is reached by its address. */
const struct check check_cluster_dns = {.name = "cluster-dns", .severity = WARNS, .probe = probe_dns};
