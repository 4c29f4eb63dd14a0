#include <stdlib.h>

#include "lib/core/interrupt.h"
#include "tests/lab/lab/cluster/scenario.h"
#include "tests/lab/lab/machine/network.h"

/* As a user runs it: a process of its own, outside of the lab's network, from where an image is made; its changes of
 * the machines are ours then. */
int run_lab(struct scenario *s, char *arguments, struct error **err)
{
    _cleanup_error_ struct error *why = NULL;
    _cleanup_strv_ char **words = strv_split(arguments);
    _cleanup_strv_ char **argv = xcalloc(1, sizeof *argv);
    _cleanup_free_ char *program = xasprintf("%s/lab", s->lab->bin);
    strv_push(&argv, program);
    strv_push(&argv, "--name");
    strv_push(&argv, s->lab->name);
    for (char **word = words; *word != NULL; word++) {
        strv_push(&argv, *word);
    }
    /* what decides of an image is the same as for ours */
    const char *releases = getenv("UPSTREAM");
    _cleanup_free_ char *cache = xasprintf("K8S_HOOKS_CACHE=%s", s->lab->cache);
    _cleanup_free_ char *upstream = releases == NULL ? NULL : xasprintf("UPSTREAM=%s", releases);
    const char *environment[] = {cache, upstream, NULL};
    struct proc proc = {.argv = (const char *const *)argv,
                        .environment = environment,
                        .keep_output = true,
                        .deadline = deadline_in(s->timeout_s * 1000L)};
    proc_result_free(&s->last);
    s->last = (struct proc_result){0};
    network_leave();
    int r = proc_run(&proc, &s->last, &why);
    s->status = r == 0 ? 0 : s->last.status != 0 ? s->last.status : (int)why->status;
    if ((network_is_up(s->lab) && network_enter(s->lab, err) != 0) || lab_refresh(s->lab, err) != 0 ||
        interrupt_check(err) != 0) {
        return -1;
    }
    return r == 0 || status_follows(s) ? 0 : error_move(err, &why);
}
