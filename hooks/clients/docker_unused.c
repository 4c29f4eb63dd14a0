#include "hooks/clients/docker_unused.h"

#include <string.h>

#include "hooks/clients/docker.h"
#include "hooks/clients/image_name.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"

static bool used(const char *id, const json_t *containers)
{
    size_t i = 0;
    const json_t *container = NULL;
    json_array_foreach (containers, i, container) {
        const char *image = json_text(container, "ImageID");
        if (image != NULL && strcmp(image, id) == 0) {
            return true;
        }
    }
    return false;
}

static bool kept(const json_t *names, const json_t *keep)
{
    size_t i = 0;
    const json_t *name = NULL;
    json_array_foreach (names, i, name) {
        const char *key = NULL;
        json_t *reference = NULL;
        json_object_foreach ((json_t *)keep, key, reference) {
            if (json_is_string(name) && json_is_string(reference) &&
                image_name_same(json_string_value(name), json_string_value(reference))) {
                return true;
            }
        }
    }
    return false;
}

char **docker_unused_images(const json_t *images, const json_t *containers, const json_t *keep, int64_t before)
{
    char **ids = xcalloc(1, sizeof *ids);
    size_t i = 0;
    const json_t *image = NULL;
    json_array_foreach (images, i, image) {
        const char *id = json_text(image, "Id");
        bool old = before == 0 || json_integer_value(json_object_get(image, "Created")) <= before;
        if (id != NULL && old && !used(id, containers) && !kept(json_object_get(image, "RepoTags"), keep) &&
            !kept(json_object_get(image, "RepoDigests"), keep)) {
            strv_push(&ids, id);
        }
    }
    return ids;
}

int docker_remove_stopped(struct deadline deadline, struct error **err)
{
    return docker_call("POST", "/containers/prune", deadline, NULL, err);
}

int docker_remove_unused(const json_t *keep, int64_t before, struct deadline deadline, size_t *removed,
                         struct error **err)
{
    _cleanup_json_ json_t *images = NULL;
    _cleanup_json_ json_t *containers = NULL;
    *removed = 0;
    if (docker_call("GET", "/images/json", deadline, &images, err) < 0 ||
        docker_call("GET", "/containers/json?all=1", deadline, &containers, err) < 0) {
        return -1;
    }
    _cleanup_strv_ char **ids = docker_unused_images(images, containers, keep, before);
    for (char **id = ids; *id != NULL; id++) {
        /* One that is another's parent, or that a container has begun to use since, is refused: it stays. */
        _cleanup_error_ struct error *refusal = NULL;
        _cleanup_free_ char *path = xasprintf("/images/%s?force=1", *id);
        if (docker_call("DELETE", path, deadline, NULL, &refusal) == 0) {
            (*removed)++;
        } else if (refusal->status != STATUS_COMMAND) {
            return error_move(err, &refusal);
        } else {
            log_debug("%s", refusal->message);
        }
    }
    return 0;
}
