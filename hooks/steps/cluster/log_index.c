#include "hooks/steps/cluster/log_index.h"

#include <ctype.h>
#include <string.h>
#include <time.h>

#include "lib/core/util.h"

enum { DATE_LENGTH = sizeof "YYYY.MM.DD" - 1, SECONDS_A_DAY = 86400 };

static bool parse_date(const char *text, int64_t *day)
{
    static const char form[] = "0000.00.00";
    for (size_t i = 0; i < DATE_LENGTH; i++) {
        if (form[i] == '0' ? !isdigit((unsigned char)text[i]) : text[i] != form[i]) {
            return false;
        }
    }
    struct tm tm = {.tm_year = (int)strtol(text, NULL, 10) - 1900,
                    .tm_mon = (int)strtol(text + sizeof "YYYY", NULL, 10) - 1,
                    .tm_mday = (int)strtol(text + sizeof "YYYY.MM", NULL, 10)};
    const struct tm written = tm;
    time_t seconds = timegm(&tm);
    /* timegm moves what the calendar does not have to a day that it has */
    if (tm.tm_year != written.tm_year || tm.tm_mon != written.tm_mon || tm.tm_mday != written.tm_mday) {
        return false;
    }
    *day = seconds / SECONDS_A_DAY - (seconds % SECONDS_A_DAY < 0);
    return true;
}

/* Elasticsearch's rules for index names, as far as they keep a name from meaning several. */
static bool legal(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)name[i] <= ' ' || strchr("\\/*?\"<>|,#:", name[i]) != NULL ||
            isupper((unsigned char)name[i])) {
            return false;
        }
    }
    return len > 0;
}

bool log_index_day(const char *name, int64_t *day)
{
    size_t len = strlen(name);
    if (len <= DATE_LENGTH || !parse_date(name + len - DATE_LENGTH, day)) {
        return false;
    }
    size_t prefix = len - DATE_LENGTH;
    _cleanup_free_ char *start = xstrndup(name, prefix);
    if (strcmp(start, "logstash-") == 0 || strcmp(start, "heapster-") == 0) {
        return true;
    }
    static const char heapster[] = "heapster-";
    return str_starts(start, heapster) && start[prefix - 1] == '-' &&
           legal(start + sizeof heapster - 1, prefix - sizeof heapster);
}
