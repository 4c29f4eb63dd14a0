#include "hooks/clients/image_name.h"

#include <string.h>

#include "lib/core/util.h"

#define HUB "docker.io"
#define OLD_HUB "index.docker.io"

/* The part before the first "/" is a registry only when it looks like one. */
static bool is_registry(const char *part, size_t len)
{
    return memchr(part, '.', len) != NULL || memchr(part, ':', len) != NULL ||
           (len == strlen("localhost") && strncmp(part, "localhost", len) == 0);
}

char *image_name_full(const char *reference)
{
    const char *slash = strchr(reference, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - reference);
    bool registry = slash != NULL && is_registry(reference, len);
    _cleanup_free_ char *host = registry ? xstrndup(reference, len) : xstrdup(HUB);
    const char *path = registry ? slash + 1 : reference;
    bool hub = strcmp(host, HUB) == 0 || strcmp(host, OLD_HUB) == 0;
    const char *library = hub && strchr(path, '/') == NULL ? "library/" : "";
    const char *last = strrchr(path, '/') == NULL ? path : strrchr(path, '/');
    const char *tag = strpbrk(last, ":@") == NULL ? ":latest" : "";
    return xasprintf("%s/%s%s%s", hub ? HUB : host, library, path, tag);
}

bool image_name_same(const char *a, const char *b)
{
    _cleanup_free_ char *full_a = image_name_full(a);
    _cleanup_free_ char *full_b = image_name_full(b);
    return strcmp(full_a, full_b) == 0;
}
