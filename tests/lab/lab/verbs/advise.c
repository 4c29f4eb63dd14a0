#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "lib/core/json.h"
#include "tests/lab/lab/record/record.h"
#include "tests/lab/lab/verbs/verb.h"

/* "node-1: init: ...", "node-1 is unhealthy" */
static bool begins_with(const char *why, const char *machine)
{
    size_t len = strlen(machine);
    return strncmp(why, machine, len) == 0 && (why[len] == ':' || why[len] == ' ');
}

/* The last event on a machine that began after BEGAN and failed; that of the machine which WHY begins with, when it is
 * there. */
static const json_t *culprit(const json_t *entries, int64_t began, const char *why)
{
    const json_t *last = NULL;
    for (size_t n = json_array_size(entries); n > 0; n--) {
        const json_t *entry = json_array_get(entries, n - 1);
        if (strcmp(json_text_or(entry, "kind", ""), "event") == 0 && json_text(entry, "machine") != NULL &&
            json_integer_value(json_object_get(entry, "begin_ns")) >= began &&
            json_integer_value(json_object_get(entry, "status")) != 0) {
            if (begins_with(why, json_text(entry, "machine"))) {
                return entry;
            }
            last = last == NULL ? entry : last;
        }
    }
    return last;
}

static void advise_event(const struct lab *lab, const char *option, const json_t *event, FILE *to)
{
    const char *machine = json_text_or(event, "machine", "");
    const char *name = json_text_or(event, "event", "");
    const json_t *texts = json_object_get(event, "text");
    bool boot = strcmp(name, "boot") == 0;
    _cleanup_free_ char *log =
        lab_path(lab, "machines/%s/%s%s", machine, boot ? "console" : name, boot ? ".log" : ".out");
    if (!boot && json_text(texts, "en") != NULL) {
        (void)fprintf(to, "AppCenter shows: %s / %s\n", json_text_or(texts, "en", ""), json_text_or(texts, "zh", ""));
    }
    if (access(log, R_OK) == 0) {
        (void)fprintf(to, "log: %s\n", log);
    }
    if (boot) {
        (void)fprintf(to, "next: lab%s logs %s --console, lab%s down\n", option, machine, option);
    } else {
        (void)fprintf(to, "next: lab%s logs %s (what its hooks wrote), lab%s shell %s, then again: lab%s event %s %s\n",
                      option, machine, option, machine, option, machine, name);
    }
}

/* A message names what to run as `lab VERB ...`: here with OPTION, the lab it is about, to be copied. False where it
 * names nothing. */
static bool advise_named(const char *option, const char *message, FILE *to)
{
    static const char quote[] = "`lab ";
    const char *separator = "next:";
    for (const char *at = strstr(message, quote); at != NULL; at = strstr(at, quote)) {
        at += strlen(quote);
        size_t len = strcspn(at, "`\n");
        if (at[len] == '`') {
            (void)fprintf(to, "%s lab%s %.*s", separator, option, (int)len, at);
            separator = ",";
        }
        at += len;
    }
    if (*separator == ',') {
        (void)fputc('\n', to);
    }
    return *separator == ',';
}

static void advise_lab(const struct lab *lab, const char *option, bool interrupted, FILE *to)
{
    if (interrupted) {
        (void)fprintf(to, "next: lab%s status shows what there is, lab%s down removes it\n", option, option);
    } else {
        (void)fprintf(to, "next: lab%s status, lab%s events; the servers' logs: %s/metad.log, %s/cloud.log\n", option,
                      option, lab->dir, lab->dir);
    }
}

void advise(const struct lab *lab, const char *name, const struct verb *verb, int64_t began, const struct error *why,
            FILE *to)
{
    const char *message = why == NULL ? "" : why->message;
    int status = why == NULL ? STATUS_FAILED : why->status;
    _cleanup_free_ char *option = strcmp(name, "demo") == 0 ? xstrdup("") : xasprintf(" --name %s", name);
    _cleanup_json_ json_t *entries = status == STATUS_USAGE || lab == NULL ? json_array() : record_read(lab);
    const json_t *event = culprit(entries, began, message);
    if (event != NULL) {
        advise_event(lab, option, event, to);
    } else if (advise_named(option, message, to)) {
        return;
    } else if (status == STATUS_USAGE) {
        (void)fprintf(to, "next: lab %s%s--help\n", verb == NULL ? "" : verb->name, verb == NULL ? "" : " ");
    } else if (lab != NULL && lab_exists(lab)) {
        advise_lab(lab, option, status == STATUS_INTERRUPTED, to);
    } else if (verb != NULL && status != STATUS_INTERRUPTED) {
        (void)fprintf(to, "next: lab%s %s, once that is mended; what is made already is not made again\n", option,
                      verb->name);
    }
}
