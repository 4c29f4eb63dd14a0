#include "app/metadata/meta_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/core/util.h"
#include "lib/system/file.h"

static const char *kind_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_ARRAY:
        return "a list";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_NULL:
        return "null";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    default:
        return "a string";
    }
}

/* The path of the first leaf that is not a string, with *leaf that leaf; NULL when there is none. The caller frees. */
static char *find_wrong_leaf(const json_t *value, const json_t **leaf)
{
    if (json_is_string(value)) {
        return NULL;
    }
    if (!json_is_object(value)) {
        *leaf = value;
        return xstrdup("");
    }
    const char *key = NULL;
    json_t *member = NULL;
    json_object_foreach ((json_t *)value, key, member) {
        _cleanup_free_ char *below = find_wrong_leaf(member, leaf);
        if (below != NULL) {
            return xasprintf("/%s%s", key, below);
        }
    }
    return NULL;
}

/* JSON (may be NULL, then REASON says why) as a tree. Messages quote no text of it: it holds secrets. */
static int check(json_t *json, const json_error_t *reason, json_t **tree, struct error **err)
{
    if (json == NULL && json_error_code(reason) == json_error_premature_end_of_input) {
        return error_new(err, STATUS_METADATA_INVALID, "the JSON ends too early, at line %d column %d", reason->line,
                         reason->column);
    }
    if (json == NULL) {
        return error_new(err, STATUS_METADATA_INVALID, "not JSON: wrong at line %d column %d", reason->line,
                         reason->column);
    }
    if (!json_is_object(json)) {
        return error_new(err, STATUS_METADATA_INVALID, "expected a JSON object, got %s", kind_of(json));
    }
    const json_t *leaf = NULL;
    _cleanup_free_ char *path = find_wrong_leaf(json, &leaf);
    if (path != NULL) {
        return error_new(err, STATUS_METADATA_INVALID, "%s is %s; every leaf must be a string", path, kind_of(leaf));
    }
    *tree = json_incref(json);
    return 0;
}

int meta_tree_parse(const char *text, size_t len, json_t **tree, struct error **err)
{
    json_error_t reason;
    _cleanup_json_ json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &reason);
    return check(json, &reason, tree, err);
}

static int load(FILE *file, json_t **tree, struct error **err)
{
    _cleanup_buffer_ struct buffer text = {0};
    char block[16384];
    buffer_puts(&text, "");
    for (size_t len = 0; (len = fread(block, 1, sizeof block, file)) > 0;) {
        buffer_append(&text, block, len);
    }
    json_error_t reason;
    _cleanup_json_ json_t *json = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &reason);
    json_t *self = json_object_get(json, "self");
    bool wrapped = json_object_size(json) == 1 && json_is_object(self);
    return check(wrapped ? self : json, &reason, tree, err);
}

int meta_tree_load(const char *path, json_t **tree, struct error **err)
{
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    if (file == NULL) {
        return error_errno(err, STATUS_FILE, errno, "reading the metadata file %s", path);
    }
    if (load(file, tree, err) < 0) {
        return error_wrap(err, "the metadata file %s", path);
    }
    return 0;
}

int meta_tree_load_private(const char *path, json_t **tree, struct error **err)
{
    const int status = STATUS_METADATA_UNREACHABLE;
    int fd = file_open(path, O_NOFOLLOW);
    _cleanup_fclose_ FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    struct stat st;
    if (file == NULL || fstat(fd, &st) < 0) {
        return error_errno(err, status, errno, "reading the cached metadata %s", path);
    }
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
        return error_new(err, status,
                         "the cached metadata %s is not used: others can have written it (owner %u, mode %04o)", path,
                         st.st_uid, st.st_mode & 07777);
    }
    _cleanup_error_ struct error *reason = NULL;
    if (load(file, tree, &reason) < 0) {
        return error_new(err, status, "the cached metadata %s: %s", path, reason->message);
    }
    return 0;
}

int meta_tree_save_private(const char *path, json_t *tree, struct error **err)
{
    _cleanup_json_ json_t *wrapped = json_pack("{s:O}", "self", tree);
    _cleanup_secret_ char *text = json_dumps(wrapped, JSON_COMPACT | JSON_SORT_KEYS);
    return file_put_private(path, text, err);
}
