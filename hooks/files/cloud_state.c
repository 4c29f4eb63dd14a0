#include "hooks/files/cloud_state.h"

#include <time.h>

#include "hooks/engine/run.h"
#include "lib/core/json.h"
#include "lib/system/file.h"
#include "lib/text/utf8.h"

enum { LONGEST_MESSAGE = 2000 };

bool cloud_state_load(const struct run *run, struct cloud_state *state)
{
    _cleanup_free_ char *path = run_state_path(run, "cloud.json");
    _cleanup_json_ json_t *kept = NULL;
    (void)file_read_json(path, &kept, NULL);
    const json_t *status = json_object_get(kept, "status");
    *state = (struct cloud_state){0};
    if (!json_is_integer(status)) {
        return false;
    }
    state->status = (int)json_integer_value(status);
    state->message = xstrdup(json_text_or(kept, "message", ""));
    state->time = json_integer_value(json_object_get(kept, "time"));
    state->inputs = xstrdup(json_text_or(kept, "inputs", ""));
    state->classes = json_incref(json_object_get(kept, "classes"));
    return true;
}

void cloud_state_clear(struct cloud_state *state)
{
    free(state->message);
    free(state->inputs);
    json_decref(state->classes);
    *state = (struct cloud_state){0};
}

int cloud_state_save(const struct run *run, const struct cloud_state *state, struct error **err)
{
    _cleanup_free_ char *path = run_state_path(run, "cloud.json");
    _cleanup_free_ char *shown = utf8_text(state->message, LONGEST_MESSAGE);
    _cleanup_json_ json_t *kept =
        json_pack("{s:i, s:s, s:I, s:s, s:O*}", "status", state->status, "message", shown, "time",
                  (json_int_t)time(NULL), "inputs", state->inputs, "classes", state->classes);
    _cleanup_free_ char *text = json_dumps(kept, JSON_INDENT(2));
    return file_put_private(path, text, err);
}
