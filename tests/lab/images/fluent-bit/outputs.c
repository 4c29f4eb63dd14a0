#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "tests/lab/images/fluent-bit/fluent_bit.h"
#include "tests/lab/images/shared/program.h"

static bool is_output(const struct section *section, const char *name)
{
    return strcmp(section->kind, "OUTPUT") == 0 && strcasecmp(section->name, name) == 0;
}

/* Printed at once, and as JSON where the real one has "=>" for each colon. */
static void print(size_t index, const char *tag, struct timespec when, const json_t *record)
{
    _cleanup_free_ char *text = json_dumps(record, JSON_COMPACT);
    (void)printf("[0] %s: [%lld.%09ld, %s]\n", tag, (long long)when.tv_sec, when.tv_nsec, text);
    (void)fflush(stdout);
    counters[index].sent++;
}

void output_take(const char *tag, struct timespec when, json_t *record)
{
    for (size_t i = 0; i < n_sections; i++) {
        if (is_output(&sections[i], "stdout") && matches(conf_text(&sections[i], "match", NULL), tag)) {
            print(i, tag, when, record);
        }
    }
    forward_take(tag, when, record);
    es_take(tag, when, record);
    json_decref(record);
}

long conf_retry_limit(const struct section *section)
{
    const char *limit = conf_text(section, "retry_limit", "1");
    if (strcasecmp(limit, "false") == 0 || strcasecmp(limit, "off") == 0 || strcasecmp(limit, "no_limits") == 0) {
        return -1;
    }
    return strcasecmp(limit, "no_retries") == 0 ? 0 : strtol(limit, NULL, 10);
}

long conf_retry_wait(int tries)
{
    long base = strtol(conf_text(conf_service(), "scheduler.base", "5"), NULL, 10);
    long cap = strtol(conf_text(conf_service(), "scheduler.cap", "2000"), NULL, 10);
    long wait = base;
    for (int i = 1; i < tries && wait < cap; i++) {
        wait *= 2;
    }
    return wait < cap ? wait : cap;
}

void outputs_start(void)
{
    bool any = false;
    for (size_t i = 0; i < n_sections; i++) {
        bool sends = is_output(&sections[i], "es") || is_output(&sections[i], "forward");
        any = any || strcmp(sections[i].kind, "OUTPUT") == 0;
        if (sends && (conf_text(&sections[i], "host", "")[0] == '\0' ||
                      number_of(conf_text(&sections[i], "port", "9200")) == 0)) {
            fail("[output:%s] host and port must be given", sections[i].name);
        }
    }
    if (!any) {
        fail("no [OUTPUT]: nothing is sent");
    }
    es_start();
    forward_out_start();
}
