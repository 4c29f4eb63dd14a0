#include "hooks/files/reload_record.h"

#include <errno.h>
#include <time.h>

#include "hooks/engine/run.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"
#include "lib/text/utf8.h"

enum { LONGEST_MESSAGE = 8192 };

int reload_record_read(const struct run *run, int64_t *since, char **why)
{
    _cleanup_free_ char *path = run_state_path(run, RELOAD_RECORD);
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    if (file_read(path, 65536, &text, &len, NULL) < 0 && errno == ENOENT) {
        return 0;
    }
    _cleanup_json_ json_t *record = text == NULL ? NULL : json_loadb(text, len, 0, NULL);
    const char *message = json_text(record, "message");
    *since = json_integer_value(json_object_get(record, "since"));
    if (*since <= 0) {
        *since = (int64_t)time(NULL);
    }
    *why = xstrdup(message != NULL ? message : "the record of it is damaged");
    return 1;
}

void reload_record(const struct run *run, const struct error *failure)
{
    _cleanup_free_ char *path = run_state_path(run, RELOAD_RECORD);
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *why = NULL;
    int64_t since = 0;
    if (failure == NULL) {
        if (file_remove(path, NULL, &err) < 0) {
            log_warning("a reload stays on record as owed: %s", err->message);
        }
        return;
    }
    if (reload_record_read(run, &since, &why) == 0) {
        since = (int64_t)time(NULL);
    }
    _cleanup_free_ char *message = utf8_text(failure->message, LONGEST_MESSAGE);
    _cleanup_json_ json_t *record =
        json_pack("{sI si ss}", "since", (json_int_t)since, "status", failure->status, "message", message);
    _cleanup_free_ char *text = json_dumps(record, JSON_INDENT(2));
    if (file_put_private(path, text, &err) < 0) {
        log_warning("cannot record that a reload is owed: %s", err->message);
    }
}
