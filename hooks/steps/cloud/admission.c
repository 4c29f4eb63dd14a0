#include <time.h>

#include "app/paths.h"
#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"
#include "lib/crypto/crypto.h"
#include "lib/crypto/issue.h"
#include "lib/system/file.h"

/* The certificate is its own CA, and the API server is given it with the address (addons/admission.yaml): the cluster's
 * CA key stays out of what listens. */
enum { VALID_DAYS = 3650, RENEW_DAYS = 30 };

static int admission_done(struct run *run, struct error **err)
{
    (void)err;
    struct cert_info info = {0};
    _cleanup_free_ char *cert = run_state_path(run, ADMISSION_CERTIFICATE);
    _cleanup_free_ char *key = run_state_path(run, ADMISSION_KEY);
    bool fits = key_pair_verify(cert, key, NULL) == 0 && cert_read(cert, &info, NULL) == 0 &&
                cert_days_left(&info, time(NULL)) >= RENEW_DAYS;
    cert_info_free(&info);
    return fits;
}

/* The key first: killed between both, the pair does not fit and is made again. */
static int admission_apply(struct run *run, struct error **err)
{
    _cleanup_free_ char *cert_path = run_state_path(run, ADMISSION_CERTIFICATE);
    _cleanup_free_ char *key_path = run_state_path(run, ADMISSION_KEY);
    _cleanup_free_ char *cert = NULL;
    _cleanup_secret_ char *key = NULL;
    return issue_loopback_server("k8s-admission", VALID_DAYS, &cert, &key, err) < 0 ||
                   file_put_private(key_path, key, err) < 0 || file_put_private(cert_path, cert, err) < 0
               ? -1
               : 0;
}

const struct step step_issue_admission_certificate = {"issue admission certificate", admission_done, admission_apply,
                                                      NULL};
