#include "bake/output/output.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "bake/output/bom.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"

#define OUTPUT_DEADLINE_MS (60L * 60 * 1000)

int output_kind(const char *path, bool *disk, struct error **err)
{
    *disk = str_ends(path, ".qcow2");
    if (!*disk && !str_ends(path, ".tar.zst")) {
        return error_new(err, STATUS_USAGE, "--output %s: a name that ends in .tar.zst or .qcow2 is expected", path);
    }
    return 0;
}

int output_fresh(const char *path, const char *inputs, struct error **err)
{
    _cleanup_free_ char *file = xasprintf("%s.inputs", path);
    _cleanup_free_ char *recorded = NULL;
    size_t len = 0;
    if (access(path, F_OK) < 0 || access(file, F_OK) < 0) {
        return 0;
    }
    if (file_read(file, 1024, &recorded, &len, err) < 0) {
        return -1;
    }
    return strcmp(recorded, inputs) == 0 ? 1 : 0;
}

static int write_file(const char *path, const char *text, struct error **err)
{
    struct file_spec spec = {
        .path = path, .data = text, .len = strlen(text), .mode = 0644, .uid = geteuid(), .gid = getegid()};
    return file_put(&spec, NULL, err);
}

/* What the bake changed by other programs has the time of the bake. */
static int clamp_times(const struct bake *bake, struct error **err)
{
    _cleanup_free_ char *epoch = xasprintf("@%ld", bake->epoch);
    _cleanup_free_ char *date = xasprintf("--date=@%ld", bake->epoch);
    return proc_exec(deadline_in(OUTPUT_DEADLINE_MS), err, "find", bake->root.path, "-newermt", epoch, "-exec", "touch",
                     "--no-dereference", date, "{}", "+", NULL);
}

/* The same bytes for the same files: sorted, nothing of this machine in the headers. */
static int make_tar(const struct bake *bake, const char *path, struct error **err)
{
    const char *argv[] = {"tar",
                          "--create",
                          "--sort=name",
                          "--format=posix",
                          "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
                          "--numeric-owner",
                          "--xattrs",
                          "--acls",
                          "--use-compress-program=zstd -T0 -6",
                          "--file",
                          path,
                          "--directory",
                          bake->root.path,
                          ".",
                          NULL};
    struct proc proc = {.argv = argv, .deadline = deadline_in(OUTPUT_DEADLINE_MS)};
    return proc_run(&proc, NULL, err);
}

static int write_manifest(const struct bake *bake, const char *output, struct error **err)
{
    _cleanup_free_ char *path = xasprintf("%s.manifest.json", output);
    _cleanup_free_ char *text = root_read(&bake->root, MANIFEST_PATH, NULL);
    return text == NULL ? error_errno(err, STATUS_FILE, errno, "cannot read %s of the root", MANIFEST_PATH)
                        : write_file(path, text, err);
}

int output_make(struct bake *bake, const char *inputs, struct error **err)
{
    const char *output = bake->options->output;
    _cleanup_free_ char *part = xasprintf("%s.part", output);
    _cleanup_free_ char *record = xasprintf("%s.inputs", output);
    _cleanup_free_ char *id = uuid_of(inputs);
    int64_t begin = clock_ms();
    log_info("writing %s", output);
    int result = clamp_times(bake, err);
    if (result == 0) {
        result = bake->disk ? disk_make(bake, id, part, err) : make_tar(bake, part, err);
    }
    if (result < 0) {
        (void)unlink(part);
        return error_wrap(err, "%s", output);
    }
    if (file_remove(record, NULL, err) < 0) {
        return -1;
    }
    if (rename(part, output) < 0) {
        return error_errno(err, STATUS_FILE, errno, "cannot make %s", output);
    }
    if (write_manifest(bake, output, err) < 0 || write_file(record, inputs, err) < 0) {
        return -1;
    }
    log_timed(LOG_LEVEL_NOTICE, clock_ms() - begin, "%s is made", output);
    return 0;
}
