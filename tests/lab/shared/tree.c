#include "tests/lab/shared/tree.h"

#include <string.h>

#include "lib/core/util.h"

/* The next name of *PATH, which moves behind it; NULL at the end. The caller frees. */
static char *next_name(const char **path)
{
    const char *start = *path + strspn(*path, "/");
    size_t len = strcspn(start, "/");
    *path = start + len;
    return len == 0 ? NULL : xstrndup(start, len);
}

json_t *tree_at(json_t *root, const char *path)
{
    json_t *at = root;
    for (;;) {
        _cleanup_free_ char *name = next_name(&path);
        if (name == NULL || at == NULL) {
            return at;
        }
        at = json_object_get(at, name);
    }
}

static json_t *with_string_leaves(const json_t *value)
{
    if (json_is_string(value)) {
        return json_string(json_string_value(value));
    }
    if (json_is_null(value)) {
        return json_string("");
    }
    if (!json_is_object(value) && !json_is_array(value)) {
        _cleanup_free_ char *text = json_dumps(value, JSON_ENCODE_ANY);
        return json_string(text);
    }
    json_t *directory = json_object();
    const char *key = NULL;
    json_t *member = NULL;
    json_object_foreach ((json_t *)value, key, member) {
        json_object_set_new(directory, key, with_string_leaves(member));
    }
    size_t index = 0;
    json_array_foreach (value, index, member) {
        _cleanup_free_ char *name = xasprintf("%zu", index);
        json_object_set_new(directory, name, with_string_leaves(member));
    }
    return directory;
}

static void remove_empty(json_t *directory)
{
    const char *key = NULL;
    json_t *member = NULL;
    void *next = NULL;
    json_object_foreach_safe(directory, next, key, member)
    {
        remove_empty(member);
        if (json_is_object(member) && json_object_size(member) == 0) {
            json_object_del(directory, key);
        }
    }
}

static void merge(json_t *into, json_t *from)
{
    const char *key = NULL;
    json_t *member = NULL;
    json_object_foreach (from, key, member) {
        json_t *old = json_object_get(into, key);
        if (json_is_object(old) && json_is_object(member)) {
            merge(old, member);
        } else {
            json_object_set(into, key, member);
        }
    }
}

/* The directory that holds the last name of PATH, made where it is missing; *last is that name, NULL for the root. */
static json_t *parent_of(json_t *root, const char *path, char **last)
{
    json_t *at = root;
    *last = next_name(&path);
    for (;;) {
        char *name = next_name(&path);
        if (name == NULL) {
            return at;
        }
        json_t *child = json_object_get(at, *last);
        if (!json_is_object(child)) {
            child = json_object();
            json_object_set_new(at, *last, child);
        }
        at = child;
        free(*last);
        *last = name;
    }
}

bool tree_put(json_t *root, const char *path, const json_t *value, bool replace)
{
    _cleanup_json_ json_t *clean = with_string_leaves(value);
    _cleanup_free_ char *last = NULL;
    json_t *parent = parent_of(root, path, &last);
    json_t *old = last == NULL ? root : json_object_get(parent, last);
    if (last == NULL && !json_is_object(clean)) {
        return false;
    }
    if (last == NULL && replace) {
        json_object_clear(root);
    }
    if (json_is_object(old) && json_is_object(clean) && (last == NULL || !replace)) {
        merge(old, clean);
    } else {
        json_object_set(parent, last, clean);
    }
    remove_empty(root);
    return true;
}

bool tree_delete(json_t *root, const char *path, const char *subs)
{
    bool removed = false;
    if (tree_at(root, path) == NULL) {
        return false;
    }
    if (subs == NULL) {
        _cleanup_free_ char *last = NULL;
        json_t *parent = parent_of(root, path, &last);
        removed = last == NULL ? json_object_clear(root) == 0 : json_object_del(parent, last) == 0;
    } else {
        json_t *directory = tree_at(root, path);
        _cleanup_free_ char *names = xstrdup(subs);
        char *rest = names;
        for (char *name = strsep(&rest, ","); name != NULL; name = strsep(&rest, ",")) {
            removed |= json_object_del(directory, name) == 0;
        }
    }
    remove_empty(root);
    return removed;
}

json_t *tree_compose(json_t *data, const json_t *mapping)
{
    if (json_is_string(mapping)) {
        return json_incref(tree_at(data, json_string_value(mapping)));
    }
    json_t *view = json_object();
    const char *name = NULL;
    json_t *link = NULL;
    json_object_foreach ((json_t *)mapping, name, link) {
        json_t *target = tree_compose(data, link);
        if (target != NULL) {
            json_object_set_new(view, name, target);
        }
    }
    if (json_object_size(view) > 0) {
        return view;
    }
    json_decref(view);
    return NULL;
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void collect_lines(const json_t *value, const char *path, char ***lines)
{
    if (json_is_string(value)) {
        _cleanup_free_ char *line = xasprintf("%s\t%s\n", path, json_string_value(value));
        strv_push(lines, line);
        return;
    }
    const char *key = NULL;
    json_t *member = NULL;
    json_object_foreach ((json_t *)value, key, member) {
        _cleanup_free_ char *below = xasprintf("%s/%s", path, key);
        collect_lines(member, below, lines);
    }
}

char *tree_text(const json_t *value)
{
    if (json_is_string(value)) {
        return xstrdup(json_string_value(value));
    }
    _cleanup_strv_ char **lines = xcalloc(1, sizeof *lines);
    collect_lines(value, "", &lines);
    qsort((void *)lines, strv_length(lines), sizeof *lines, compare_lines);
    struct buffer text = {0};
    buffer_append(&text, "", 0);
    for (char **line = lines; *line != NULL; line++) {
        buffer_puts(&text, *line);
    }
    return text.data;
}
