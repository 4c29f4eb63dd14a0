#include <stdint.h>
#include <string.h>

#include "tests/lab/images/shared/cluster.h"

json_t *json_at(const json_t *object, const char *path)
{
    while (object != NULL && *path != '\0') {
        char name[256];
        size_t len = strcspn(path, " ");
        if (len >= sizeof name) {
            return NULL;
        }
        memcpy(name, path, len);
        name[len] = '\0';
        object = json_object_get(object, name);
        path += len + (path[len] == ' ');
    }
    return (json_t *)object;
}

const char *text_at(const json_t *object, const char *path)
{
    const char *text = json_string_value(json_at(object, path));
    return text == NULL ? "" : text;
}
