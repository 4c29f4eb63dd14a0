#include "hooks/events.h"
#include "hooks/files.h"
#include "lib/log.h"

int event_render(struct run *run, struct error **err)
{
    size_t changed = 0;
    if (files_compare(run, &changed, err) < 0) {
        return -1;
    }
    /* On the machine itself files are written by the events that also do what a changed file needs. */
    if (run->dry_run || run->diff || run->root[0] == '\0') {
        if (files_preview(run, err) < 0) {
            return -1;
        }
        log_notice("%zu of %zu files would change%s", changed, run->rendered->n_files,
                   run->root[0] == '\0' && changed > 0 ? "; `reload` writes them, `render --root DIR` writes below DIR"
                                                       : "");
        return 0;
    }
    if (files_write(run, err) < 0) {
        return -1;
    }
    log_notice("%zu files written below %s, %zu were as they should be", changed, run->root,
               run->rendered->n_files - changed);
    return 0;
}
