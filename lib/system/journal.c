#include <stdio.h>
#include <string.h>

#include <systemd/sd-journal.h>

#include "lib/system/unit.h"

static int match(sd_journal *journal, const char *field, const char *value)
{
    _cleanup_free_ char *text = xasprintf("%s=%s", field, value);
    return sd_journal_add_match(journal, text, 0);
}

/* What the unit's processes wrote, and what the manager wrote about the unit. */
static int match_unit(sd_journal *journal, const char *unit)
{
    int r = match(journal, "_SYSTEMD_UNIT", unit);
    r = r < 0 ? r : sd_journal_add_disjunction(journal);
    r = r < 0 ? r : match(journal, "_PID", "1");
    return r < 0 ? r : match(journal, "UNIT", unit);
}

static void append_message(sd_journal *journal, struct buffer *lines)
{
    const void *data = NULL;
    size_t len = 0;
    static const size_t prefix = sizeof "MESSAGE=" - 1;
    if (sd_journal_get_data(journal, "MESSAGE", &data, &len) == 0 && len >= prefix) {
        buffer_append(lines, (const char *)data + prefix, len - prefix);
        buffer_puts(lines, "\n");
    }
}

char *journal_tail(const char *unit, unsigned count)
{
    struct buffer lines = {0};
    buffer_puts(&lines, "");
    sd_journal *journal = NULL;
    if (sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY) < 0) {
        return lines.data;
    }
    if (match_unit(journal, unit) >= 0 && sd_journal_seek_tail(journal) >= 0 &&
        sd_journal_previous_skip(journal, count) > 0) {
        do {
            append_message(journal, &lines);
        } while (sd_journal_next(journal) > 0);
    }
    sd_journal_close(journal);
    return lines.data;
}
