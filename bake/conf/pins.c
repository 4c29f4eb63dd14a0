#include "bake/conf/pins.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "lib/system/file.h"

int lock_parse(const char *name, const char *text, size_t len, json_t **lock, struct error **err)
{
    json_error_t why;
    _cleanup_json_ json_t *parsed = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    if (parsed == NULL) {
        return error_new(err, STATUS_CONFIG, "%s:%d: %s", name, why.line, why.text);
    }
    if (!json_is_object(json_object_get(parsed, "artifacts")) || !json_is_object(json_object_get(parsed, "images"))) {
        return error_new(err, STATUS_CONFIG, "%s: objects \"artifacts\" and \"images\" are expected", name);
    }
    *lock = STEAL(parsed);
    return 0;
}

int lock_load(const char *path, json_t **lock, struct error **err)
{
    if (access(path, F_OK) < 0 && errno == ENOENT) {
        *lock = json_pack("{s:{}, s:{}}", "artifacts", "images");
        return 0;
    }
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    return file_read(path, 0, &text, &len, err) < 0 ? -1 : lock_parse(path, text, len, lock, err);
}

int lock_save(const char *path, const json_t *lock, struct error **err)
{
    _cleanup_free_ char *text = json_dumps(lock, JSON_INDENT(2) | JSON_SORT_KEYS);
    _cleanup_free_ char *lines = xasprintf("%s\n", text);
    struct file_spec spec = {
        .path = path, .data = lines, .len = strlen(lines), .mode = 0644, .uid = geteuid(), .gid = getegid()};
    return file_put(&spec, NULL, err);
}

static const char *pin(const json_t *lock, const char *part, const char *from)
{
    return json_text_at(lock, part, from, NULL);
}

const char *lock_sha256(const json_t *lock, const char *url)
{
    return pin(lock, "artifacts", url);
}

const char *lock_digest(const json_t *lock, const char *source)
{
    return pin(lock, "images", source);
}

void lock_set_sha256(json_t *lock, const char *url, const char *sha256)
{
    json_object_set_new(json_object_get(lock, "artifacts"), url, json_string(sha256));
}

void lock_set_digest(json_t *lock, const char *source, const char *digest)
{
    json_object_set_new(json_object_get(lock, "images"), source, json_string(digest));
}
