#include "hooks/clients/kubectl.h"

#include <string.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/engine/run.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"

int kubectl(const struct run *run, const char *const *arguments, const char *input, char **output, struct error **err)
{
    _cleanup_free_ char *kubeconfig = run_path_followed(run, ADMIN_KUBECONFIG);
    _cleanup_free_ char *environment = xasprintf("KUBECONFIG=%s", kubeconfig);
    _cleanup_free_ char *own = path_join(run->conf->paths.opt, "bin/kubectl");
    _cleanup_free_ const char **argv = xcalloc(2, sizeof *argv);
    size_t n = 0;
    argv[n++] = access(own, X_OK) == 0 ? own : "kubectl";
    for (; *arguments != NULL; arguments++) {
        argv = xrealloc(argv, (n + 2) * sizeof *argv);
        argv[n++] = *arguments;
    }
    argv[n] = NULL;
    const struct proc proc = {
        .argv = argv,
        .environment = (const char *const[]){environment, NULL},
        .input = input,
        .keep_output = output != NULL,
        .deadline = run->deadline,
    };
    _cleanup_proc_ struct proc_result result = {0};
    if (proc_run(&proc, &result, err) < 0) {
        return -1;
    }
    if (output != NULL) {
        *output = STEAL(result.output);
    }
    return 0;
}

bool kubectl_kind_unknown(const struct error *err)
{
    return err != NULL && err->status == STATUS_COMMAND && strstr(err->message, "no matches for kind") != NULL;
}

bool kubectl_ready(const struct run *run)
{
    _cleanup_free_ char *kubeconfig = run_path_followed(run, ADMIN_KUBECONFIG);
    return access(kubeconfig, R_OK) == 0;
}
