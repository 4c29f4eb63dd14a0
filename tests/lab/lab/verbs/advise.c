#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "lib/core/json.h"
#include "tests/lab/lab/record/record.h"
#include "tests/lab/lab/verbs/verb.h"

/* The last event on a machine that began after BEGAN and failed. */
static const json_t *culprit(const json_t *entries, int64_t began)
{
    for (size_t n = json_array_size(entries); n > 0; n--) {
        const json_t *entry = json_array_get(entries, n - 1);
        if (strcmp(json_text_or(entry, "kind", ""), "event") == 0 && json_text(entry, "machine") != NULL &&
            json_integer_value(json_object_get(entry, "begin_ns")) >= began &&
            json_integer_value(json_object_get(entry, "status")) != 0) {
            return entry;
        }
    }
    return NULL;
}

static void advise_event(const struct lab *lab, const char *option, const json_t *event, FILE *to)
{
    const char *machine = json_text_or(event, "machine", "");
    const char *name = json_text_or(event, "event", "");
    const json_t *texts = json_object_get(event, "text");
    bool boot = strcmp(name, "boot") == 0;
    _cleanup_free_ char *log =
        lab_path(lab, "machines/%s/%s%s", machine, boot ? "console" : name, boot ? ".log" : ".out");
    if (json_text(texts, "en") != NULL) {
        (void)fprintf(to, "AppCenter shows: %s / %s\n", json_text_or(texts, "en", ""), json_text_or(texts, "zh", ""));
    }
    if (access(log, R_OK) == 0) {
        (void)fprintf(to, "log: %s\n", log);
    }
    (void)fprintf(to, "next: lab%s logs %s (what its hooks wrote), lab%s shell %s", option, machine, option, machine);
    if (!boot) {
        (void)fprintf(to, ", then again: lab%s event %s %s", option, machine, name);
    }
    (void)fputc('\n', to);
}

void advise(const struct lab *lab, const struct verb *verb, int64_t began, const struct error *why, FILE *to)
{
    _cleanup_free_ char *option =
        lab == NULL || strcmp(lab->name, "demo") == 0 ? xstrdup("") : xasprintf(" --name %s", lab->name);
    if (why != NULL && why->status == STATUS_USAGE) {
        (void)fprintf(to, "next: lab %s --help\n", verb->name);
        return;
    }
    if (lab == NULL || !lab_exists(lab)) {
        return;
    }
    _cleanup_json_ json_t *entries = record_read(lab);
    const json_t *event = culprit(entries, began);
    if (event != NULL) {
        advise_event(lab, option, event, to);
        return;
    }
    if (why != NULL && why->status != STATUS_INTERRUPTED && verb->kind != VERB_LAB) {
        (void)fprintf(to, "next: lab%s status, lab%s events; the servers' logs: %s/metad.log, %s/cloud.log\n", option,
                      option, lab->dir, lab->dir);
    }
}
