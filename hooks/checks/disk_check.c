#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "hooks/checks/checks.h"
#include "hooks/engine/run.h"

enum { PER_CENT = 100 };

static const char remedy[] = "run `prune-images`, delete what is not needed, or enlarge the volume";

static void compare_limits(const struct check_limits *limits, const char *what, double used, struct finding *finding)
{
    if (used >= (double)limits->fail) {
        finding_fails(finding, remedy, "%s %.0f %% in use, the limit is %ld %%", what, used, limits->fail);
    } else if (used >= (double)limits->warn) {
        finding_warns(finding, remedy, "%s %.0f %% in use", what, used);
    } else {
        finding_ok(finding, "%s %.0f %% in use", what, used);
    }
}

static void probe(const struct check_context *context, bool inodes, struct finding *finding)
{
    const struct check_limits limits = context->limits;
    _cleanup_free_ char *path = run_path_followed(context->run, context->run->conf->paths.data);
    struct statvfs fs;
    if (statvfs(path, &fs) < 0) {
        finding_fails(finding, "see whether the volume is there and mounted", "%s: %s", path, strerrordesc_np(errno));
        return;
    }
    /* As df does: what only root may still use counts as used. A file system without fixed inodes has 0 of them. */
    double total = inodes ? (double)fs.f_files : (double)(fs.f_blocks - fs.f_bfree + fs.f_bavail);
    double available = inodes ? (double)fs.f_favail : (double)fs.f_bavail;
    _cleanup_free_ char *what = xasprintf("%s:%s", path, inodes ? " inodes" : "");
    compare_limits(&limits, what, total > 0 ? (total - available) * PER_CENT / total : 0, finding);
}

static void probe_space(const struct check_context *context, struct finding *finding)
{
    probe(context, false, finding);
}

static void probe_inodes(const struct check_context *context, struct finding *finding)
{
    probe(context, true, finding);
}

const struct check check_data_space = {
    .name = "data-space", .severity = FAILS, .limits = {.warn = 85, .fail = 95}, .probe = probe_space};
const struct check check_data_inodes = {
    .name = "data-inodes", .severity = FAILS, .limits = {.warn = 85, .fail = 95}, .probe = probe_inodes};
