#include "hooks/addons/addons_files.h"
#include "hooks/events/events.h"
#include "hooks/files/files.h"
#include "lib/core/logger.h"

/* On the machine itself files are written by the events that also do what a changed file needs. */
static bool shows(const struct run *run)
{
    return run->dry_run || run->diff || run->root[0] == '\0';
}

int event_render(struct run *run, struct error **err)
{
    _cleanup_rendered_addons_ struct rendered_addons addons = {0};
    size_t files = 0;
    size_t manifests = 0;
    if (files_compare(run, &files, err) < 0 || addons_files_render(run, true, &addons, err) < 0) {
        return -1;
    }
    size_t all = run->rendered->n_files + addons.n;
    if (shows(run)) {
        if (files_preview(run, err) < 0 || addons_files_preview(run, &addons, &manifests, err) < 0) {
            return -1;
        }
        log_notice("%zu of %zu files would change%s", files + manifests, all,
                   run->root[0] == '\0' && files + manifests > 0
                       ? "; `reload` writes them, `render --root DIR` writes below DIR"
                       : "");
        return 0;
    }
    if (files_write(run, err) < 0 || addons_files_write(run, &addons, &manifests, err) < 0) {
        return -1;
    }
    log_notice("%zu files written below %s, %zu were as they should be", files + manifests, run->root,
               all - files - manifests);
    return 0;
}
