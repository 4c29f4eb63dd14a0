#include "hooks/engine/stamp.h"

#include <stdarg.h>
#include <string.h>

#include "hooks/engine/run.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"
#include "lib/system/tree.h"

static char *stamp_path(const struct run *run, const char *name)
{
    _cleanup_free_ char *file = xasprintf("stamps/%s", name);
    return run_state_path(run, file);
}

int stamp_same(const struct run *run, const char *name, const char *value)
{
    _cleanup_free_ char *path = stamp_path(run, name);
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    return file_read(path, 0, &text, &len, NULL) == 0 && strcmp(text, value) == 0;
}

int stamp_put(const struct run *run, const char *name, const char *value, struct error **err)
{
    _cleanup_free_ char *path = stamp_path(run, name);
    _cleanup_free_ char *state = run_state_path(run, "");
    return tree_sync(state, err) < 0 ? -1 : file_put_private(path, value, err);
}

int stamp_remove(const struct run *run, const char *name, struct error **err)
{
    _cleanup_free_ char *path = stamp_path(run, name);
    return file_remove(path, NULL, err);
}

char *stamp_of_files(const struct run *run, ...)
{
    _cleanup_buffer_ struct buffer all = {0};
    va_list paths;
    va_start(paths, run);
    for (const char *path = va_arg(paths, const char *); path != NULL; path = va_arg(paths, const char *)) {
        _cleanup_free_ char *full = run_path_followed(run, path);
        _cleanup_free_ char *text = NULL;
        size_t len = 0;
        if (file_read(full, 0, &text, &len, NULL) == 0) {
            buffer_append(&all, text, len);
        }
        buffer_append(&all, "", 1);
    }
    va_end(paths);
    return sha256_hex(all.data, all.len);
}
