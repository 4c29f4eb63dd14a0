#include "bake/bake.h"
#include "lib/system/file.h"

char *cache_path(const char *cache, const char *kind, const char *name, struct error **err)
{
    _cleanup_free_ char *dir = path_join(cache, kind);
    return dir_make(dir, 0755, err) < 0 ? NULL : path_join(dir, name);
}
