/* Arguments of a request, and the pages of a list. */
#include <stdlib.h>
#include <string.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "tests/lab/shared/cloudapi/api.h"

enum { MOST = 100 };

const char *cloudapi_argument(const struct cloudapi_arguments *arguments, const char *name)
{
    for (size_t i = 0; i < arguments->count; i++) {
        if (strcmp(arguments->list[i].name, name) == 0) {
            return arguments->list[i].value;
        }
    }
    return NULL;
}

const char *cloudapi_text(const struct cloudapi_call *call, const char *name)
{
    return cloudapi_argument(call->arguments, name);
}

char **cloudapi_list(const struct cloudapi_call *call, const char *name)
{
    char **list = xcalloc(1, sizeof *list);
    for (unsigned n = 1;; n++) {
        _cleanup_free_ char *numbered = xasprintf("%s.%u", name, n);
        const char *value = cloudapi_text(call, numbered);
        if (value == NULL) {
            return list;
        }
        strv_push(&list, value);
    }
}

json_t *cloudapi_objects(const struct cloudapi_call *call, const char *name)
{
    json_t *list = json_array();
    for (unsigned n = 1;; n++) {
        _cleanup_free_ char *prefix = xasprintf("%s.%u.", name, n);
        json_t *object = json_object();
        for (size_t i = 0; i < call->arguments->count; i++) {
            const struct cloudapi_argument *a = &call->arguments->list[i];
            if (str_starts(a->name, prefix)) {
                json_object_set_new(object, a->name + strlen(prefix), json_string(a->value));
            }
        }
        if (json_object_size(object) == 0) {
            json_decref(object);
            return list;
        }
        json_array_append_new(list, object);
    }
}

bool cloudapi_number(const struct cloudapi_call *call, const char *name, long low, long high, long *value)
{
    const char *text = cloudapi_text(call, name);
    return text == NULL || str_number(text, low, high, value);
}

static bool text_is(const json_t *value, const char *wanted)
{
    if (json_is_integer(value)) {
        _cleanup_free_ char *number = xasprintf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return strcmp(number, wanted) == 0;
    }
    return json_is_string(value) && strcmp(json_string_value(value), wanted) == 0;
}

/* Whether MEMBER of ENTRY is what NAME, or one of NAME.1, NAME.2, ..., says; true when the request has none of them. */
static bool matches(const struct cloudapi_call *call, const char *name, const json_t *entry, const char *member)
{
    _cleanup_strv_ char **wanted = cloudapi_list(call, name);
    const char *one = cloudapi_text(call, name);
    const json_t *value = json_object_get(entry, member);
    if (one != NULL && !str_empty(one)) {
        strv_push(&wanted, one);
    }
    bool in = strv_length(wanted) == 0;
    for (char **w = wanted; !in && *w != NULL; w++) {
        in = text_is(value, *w);
    }
    return in;
}

static bool searched(const struct cloudapi_call *call, const struct cloudapi_kind *kind, const json_t *entry)
{
    const char *word = cloudapi_text(call, "search_word");
    return word == NULL || strstr(json_text_or(entry, kind->id, ""), word) != NULL ||
           (kind->name != NULL && strstr(json_text_or(entry, kind->name, ""), word) != NULL);
}

/* The machines of clusters are listed only for a request that asks for them, and everything only for its owner. */
static bool visible(const struct cloudapi_call *call, const json_t *entry)
{
    const char *owner = json_text(entry, "owner");
    const char *clusters = cloudapi_text(call, "is_cluster_node");
    bool of_cluster = json_is_true(json_object_get(entry, "of_cluster"));
    return (owner == NULL || strcmp(owner, call->user) == 0 ||
            strcmp(owner, cloudapi_text(call, "access_key_id")) == 0) &&
           (!of_cluster || (clusters != NULL && strcmp(clusters, "1") == 0));
}

static bool wanted(const struct cloudapi_call *call, const struct cloudapi_description *d, const json_t *entry)
{
    if (!visible(call, entry) || !searched(call, d->kind, entry) ||
        (d->ids != NULL && !matches(call, d->ids, entry, d->kind->id)) || !matches(call, "status", entry, "status") ||
        (json_object_get(entry, "owner") != NULL && cloudapi_text(call, "owner") != NULL &&
         strcmp(cloudapi_text(call, "owner"), call->user) != 0)) {
        return false;
    }
    for (size_t f = 0; f < ELEMENTS(d->filters) && d->filters[f].parameter != NULL; f++) {
        if (!matches(call, d->filters[f].parameter, entry, d->filters[f].member)) {
            return false;
        }
    }
    return true;
}

/* Members that begin with _ are the server's own. */
static json_t *shown(const struct cloudapi_call *call, const struct cloudapi_description *d, const json_t *entry)
{
    json_t *copy = json_deep_copy(entry);
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(copy, next, name, value)
    {
        if (name[0] == '_') {
            json_object_del(copy, name);
        }
    }
    if (d->render != NULL) {
        d->render(call, copy);
    }
    return copy;
}

json_t *cloudapi_describe(struct cloudapi_call *call, const struct cloudapi_description *d)
{
    long limit = 20;
    long offset = 0;
    long total = 0;
    if (!cloudapi_number(call, "limit", 0, 1000000, &limit) || !cloudapi_number(call, "offset", 0, 1000000, &offset)) {
        return cloudapi_invalid("limit");
    }
    limit = limit > MOST ? MOST : limit; /* as the API: a page is never over 100 */
    _cleanup_strv_ char **ids = d->ids == NULL ? NULL : cloudapi_list(call, d->ids);
    if (strv_length(ids) > MOST) { /* whose entries no page would hold */
        return cloudapi_invalid(d->ids);
    }
    json_t *page = json_array();
    const json_t *const lists[] = {json_object_get(call->data, d->kind->list), cloudapi_all(call, d->kind->list)};
    for (size_t l = 0; l < ELEMENTS(lists); l++) {
        size_t i = 0;
        json_t *entry;
        json_array_foreach (lists[l], i, entry) {
            bool in = wanted(call, d, entry);
            if (in && total >= offset && total < offset + limit) {
                json_array_append_new(page, shown(call, d, entry));
            }
            total += in;
        }
    }
    return cloudapi_done(json_pack("{s:I, s:o}", "total_count", (json_int_t)total, d->set, page));
}
