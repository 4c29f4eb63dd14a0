/* image.lock: read, or refused with its name and line; what was read is written and read again as the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bake/conf/pins.h"
#include "lib/core/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_json_ json_t *lock = NULL;
    _cleanup_error_ struct error *err = NULL;
    if (lock_parse("name", (const char *)data, size, &lock, &err) < 0) {
        if (err == NULL || lock != NULL || err->status != STATUS_CONFIG || !str_starts(err->message, "name:")) {
            abort();
        }
        return 0;
    }
    const char *url = NULL;
    json_t *pinned = NULL;
    json_object_foreach (json_object_get(lock, "artifacts"), url, pinned) {
        if (lock_sha256(lock, url) != json_string_value(pinned)) {
            abort();
        }
    }
    lock_set_sha256(lock, "https://example.com/a", "0");
    lock_set_digest(lock, "example.com/a:1", "sha256:0");
    _cleanup_free_ char *text = json_dumps(lock, JSON_INDENT(2));
    _cleanup_json_ json_t *again = NULL;
    if (text == NULL || lock_parse("name", text, strlen(text), &again, NULL) < 0 || !json_equal(lock, again)) {
        abort();
    }
    return 0;
}
