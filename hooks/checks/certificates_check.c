#include <time.h>

#include "hooks/checks/checks.h"
#include "hooks/files/certificates.h"

static void probe_certificates(const struct check_context *context, struct finding *finding)
{
    static const char remedy[] = "run `renew-certs` on the master, `start` elsewhere";
    const struct check_limits limits = context->limits;
    struct certificates all __attribute__((cleanup(certificates_free)));
    certificates_find(context->run, &all);
    const struct certificate *first = certificates_first_to_end(&all);
    if (first == NULL) {
        finding_warns(finding, "run `init` and `start`", "there is no certificate yet");
        return;
    }
    if (first->problem != NULL) {
        finding_fails(finding, "put it back from a backup, or run `renew-certs` on the master", "%s", first->problem);
        return;
    }
    long left = cert_days_left(&first->info, time(NULL));
    if (left < 0) {
        finding_fails(finding, remedy, "%s expired %ld days ago", first->path, -left);
    } else if (left < limits.fail) {
        finding_fails(finding, remedy, "%s expires in %ld days", first->path, left);
    } else if (left < limits.warn) {
        finding_warns(finding, remedy, "%s expires in %ld days", first->path, left);
    } else {
        finding_ok(finding, "%zu certificates, the first expires in %ld days", all.n, left);
    }
}

const struct check check_certificates = {
    .name = "certificates", .severity = FAILS, .limits = {.warn = 30, .fail = 0}, .probe = probe_certificates};
