#include <fnmatch.h>
#include <pthread.h>
#include <regex.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "tests/lab/images/fluent-bit/fluent_bit.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/program.h"

struct counters *counters;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_ullong n_emitted;

uint64_t emitted(void)
{
    return n_emitted;
}

bool matches(const char *pattern, const char *tag)
{
    return pattern != NULL && fnmatch(pattern, tag, 0) == 0;
}

/* "KEY VALUE" of a property with two words. */
static char *first_word(const char *text, const char **rest)
{
    size_t len = strcspn(text, " \t");
    *rest = text + len + strspn(text + len, " \t");
    return xstrndup(text, len);
}

/* KEY, or $a['b']['c'] */
static const json_t *accessed(const json_t *record, const char *key)
{
    if (key[0] != '$') {
        return json_object_get(record, key);
    }
    size_t len = strcspn(key + 1, "[");
    _cleanup_free_ char *first = xstrndup(key + 1, len);
    const json_t *value = json_object_get(record, first);
    for (const char *at = key + 1 + len; value != NULL && *at == '['; at += strcspn(at, "]") + 1) {
        _cleanup_free_ char *name = xstrndup(at + 2, strcspn(at + 2, "'\""));
        value = json_object_get(value, name);
    }
    return value;
}

static bool grep_keeps(const struct section *section, const json_t *record, const char *kind, bool wanted)
{
    size_t at = 0;
    for (const char *rule = conf_next(section, kind, &at); rule != NULL; rule = conf_next(section, kind, &at)) {
        const char *pattern;
        regex_t regex;
        _cleanup_free_ char *key = first_word(rule, &pattern);
        const json_t *value = accessed(record, key);
        if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0) {
            fail("[filter:grep] '%s' is no regular expression", pattern);
        }
        bool found = json_is_string(value) && regexec(&regex, json_string_value(value), 0, NULL, 0) == 0;
        regfree(&regex);
        if (found != wanted) {
            return false;
        }
    }
    return true;
}

static void modify(const struct section *section, json_t *record)
{
    size_t i;
    json_t *entry;
    json_array_foreach (section->entries, i, entry) {
        const char *verb = json_string_value(json_array_get(entry, 0));
        const char *rest;
        _cleanup_free_ char *key = first_word(json_string_value(json_array_get(entry, 1)), &rest);
        if (strcmp(verb, "set") == 0 || (strcmp(verb, "add") == 0 && json_object_get(record, key) == NULL)) {
            json_object_set_new(record, key, json_string(rest));
        } else if (strcmp(verb, "remove") == 0) {
            json_object_del(record, key);
        } else if (strcmp(verb, "rename") == 0 && json_object_get(record, rest) == NULL &&
                   json_object_get(record, key) != NULL) {
            json_object_set(record, rest, json_object_get(record, key));
            json_object_del(record, key);
        } else if (strcmp(verb, "condition") == 0) {
            fail("[filter:modify] a condition is not known here");
        }
    }
}

json_t *filter_plain(const struct section *section, json_t *record)
{
    if (strcasecmp(section->name, "modify") == 0) {
        modify(section, record);
        return record;
    }
    if (grep_keeps(section, record, "regex", true) && grep_keeps(section, record, "exclude", false)) {
        return record;
    }
    json_decref(record);
    return NULL;
}

static json_t *filtered(const char *tag, struct timespec when, json_t *record)
{
    for (size_t i = 0; i < n_sections && record != NULL; i++) {
        const struct section *section = &sections[i];
        if (strcmp(section->kind, "FILTER") != 0 || !matches(conf_text(section, "match", NULL), tag)) {
            continue;
        }
        record = strcasecmp(section->name, "kubernetes") == 0 ? filter_kubernetes(section, tag, record)
                 : strcasecmp(section->name, "lua") == 0      ? filter_lua(section, tag, when, record)
                                                              : filter_plain(section, record);
    }
    return record;
}

void emit(size_t section, const char *tag, struct timespec when, json_t *record)
{
    (void)pthread_mutex_lock(&lock);
    counters[section].records++;
    counters[section].bytes += strlen(text_at(record, "log"));
    record = filtered(tag, when, record);
    if (record != NULL) {
        output_take(tag, when, record);
        n_emitted++;
    }
    (void)pthread_mutex_unlock(&lock);
}

bool time_parse(const char *text, struct timespec *when)
{
    struct tm utc = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);
    long nanoseconds = 0;
    if (rest == NULL) {
        return false;
    }
    if (*rest == '.') {
        long unit = 100000000;
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10) {
            nanoseconds += (*rest - '0') * unit;
        }
    }
    *when = (struct timespec){timegm(&utc), nanoseconds};
    if (*rest == '+' || *rest == '-') {
        char *colon;
        long seconds = strtol(rest + 1, &colon, 10) * 3600;
        seconds += *colon == ':' ? strtol(colon + 1, NULL, 10) * 60 : 0;
        when->tv_sec -= *rest == '-' ? -seconds : seconds;
    }
    return true;
}
