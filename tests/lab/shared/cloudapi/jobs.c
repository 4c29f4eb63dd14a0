/* Jobs: what takes time, and may fail. */
#include <string.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "tests/lab/shared/cloudapi/api.h"

enum { JOB_MS = 500 }; /* where the faults file says nothing */

json_t *cloudapi_change(const struct cloudapi_kind *kind, const char *id, json_t *set, json_t *undo)
{
    return json_pack("{s:s, s:s, s:s, s:o, s:o}", "list", kind->list, "member", kind->id, "id", id, "set",
                     set == NULL ? json_object() : set, "undo", undo == NULL ? json_object() : undo);
}

json_t *cloudapi_change_disk(json_t *change, const char *what, const char *source)
{
    json_object_set_new(change, "disk", json_string(what));
    if (source != NULL) {
        json_object_set_new(change, "source", json_string(source));
    }
    return change;
}

/* What the client adds to each request by itself. */
static bool of_every_request(const char *name)
{
    static const char *const names[] = {"access_key_id",     "signature",  "signature_method",
                                        "signature_version", "time_stamp", "version"};
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* The values of NAME.1, NAME.2, ..., or their objects. */
static json_t *values_of(const struct cloudapi_call *call, const char *name)
{
    _cleanup_strv_ char **texts = cloudapi_list(call, name);
    if (*texts == NULL) {
        return cloudapi_objects(call, name);
    }
    json_t *list = json_array();
    for (char **text = texts; *text != NULL; text++) {
        json_array_append_new(list, json_string(*text));
    }
    return list;
}

/* The request as a JSON text: hostnic v1.0 reads the cards of a pending job there ("nics"). The caller frees. */
static char *directive_of(const struct cloudapi_call *call)
{
    _cleanup_json_ json_t *request = json_object();
    for (size_t i = 0; i < call->arguments->count; i++) {
        const struct cloudapi_argument *argument = &call->arguments->list[i];
        _cleanup_free_ char *name = xstrdup(argument->name);
        name[strcspn(name, ".")] = '\0';
        if (of_every_request(name) || json_object_get(request, name) != NULL) {
            continue;
        }
        bool one = strchr(argument->name, '.') == NULL;
        json_object_set_new(request, name, one ? json_string(argument->value) : values_of(call, name));
    }
    return json_dumps(request, JSON_COMPACT | JSON_SORT_KEYS);
}

const char *cloudapi_job(struct cloudapi_call *call, json_t *changes)
{
    _cleanup_free_ char *directive = directive_of(call);
    _cleanup_buffer_ struct buffer ids = {0};
    size_t i = 0;
    json_t *change;
    buffer_puts(&ids, "");
    json_array_foreach (changes, i, change) {
        buffer_printf(&ids, "%s%s", i == 0 ? "" : " ", json_text_or(change, "id", ""));
    }
    const json_t *ms = json_object_get(call->faults, "job_ms");
    int64_t due = call->now + (ms == NULL ? JOB_MS : json_integer_value(ms));
    json_t *job = json_pack("{s:s, s:s, s:s, s:I, s:b, s:o}", "job_action", call->action, "directive", directive,
                            "resource_ids", ids.data, "_due", (json_int_t)due, "_fails",
                            strcmp(json_text_or(call->fault, "job", ""), "failed") == 0, "_changes", changes);
    return json_text(cloudapi_add(call, &cloudapi_jobs, job, NULL, "working"), "job_id");
}

static json_t *resource_of(const struct cloudapi_call *call, const json_t *change)
{
    const char *member = json_text_or(change, "member", "");
    size_t i = 0;
    json_t *entry;
    json_array_foreach (cloudapi_all(call, json_text_or(change, "list", "")), i, entry) {
        if (strcmp(json_text_or(entry, member, ""), json_text_or(change, "id", "-")) == 0) {
            return entry;
        }
    }
    return NULL;
}

static void merge(json_t *resource, const json_t *members)
{
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)members, name, value) {
        if (json_is_null(value)) {
            json_object_del(resource, name);
        } else {
            json_object_set(resource, name, value);
        }
    }
}

static void finish(struct cloudapi_call *call, json_t *job)
{
    bool failed = json_is_true(json_object_get(job, "_fails"));
    json_t *changes = json_object_get(job, "_changes");
    size_t i = 0;
    json_t *change;
    json_array_foreach (changes, i, change) {
        const char *what = json_text(change, "disk");
        json_t *resource = resource_of(call, change);
        bool good = !failed && resource != NULL;
        if (good && what != NULL) {
            /* the device must know what is to be: merged before */
            _cleanup_json_ json_t *then = json_deep_copy(resource);
            merge(then, json_object_get(change, "set"));
            good = cloudapi_disk(call, strcmp(what, "detach") == 0 ? resource : then, what,
                                 json_text(change, "source")) == 0;
        }
        if (good && json_text(change, "wire") != NULL) {
            good = cloudapi_wire(call, resource, json_text(change, "wire")) == 0;
        }
        failed = failed || !good;
        if (resource != NULL) {
            merge(resource, json_object_get(change, good ? "set" : "undo"));
        }
    }
    cloudapi_status(call, job, failed ? "failed" : "successful", "");
    json_object_del(job, "_changes");
}

bool cloudapi_settle(struct cloudapi_call *call)
{
    bool any = false;
    size_t i = 0;
    json_t *job;
    json_array_foreach (cloudapi_all(call, cloudapi_jobs.list), i, job) {
        if (json_object_get(job, "_changes") != NULL &&
            json_integer_value(json_object_get(job, "_due")) <= (json_int_t)call->now) {
            finish(call, job);
            any = true;
        }
    }
    return any;
}
