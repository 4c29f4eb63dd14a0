#include <poll.h>
#include <string.h>

#include "lib/core/interrupt.h"

#include "tests/lab/lab/cluster/cloud.h"
#include "tests/lab/lab/cluster/scenario.h"

/* A call of the cloud's API, as the user's console makes it; what follows a blank and "." picks a part of the answer,
 * by members and indexes. */
int run_cloud(struct scenario *s, char *arguments, struct error **err)
{
    const char *action = next_word(&arguments);
    _cleanup_strv_ char **words = strv_split(arguments);
    size_t n = strv_length(words);
    _cleanup_free_ char *part = n > 0 && words[n - 1][0] == '.' ? STEAL(words[n - 1]) : NULL;
    _cleanup_json_ json_t *answer = NULL;
    _cleanup_error_ struct error *why = NULL;
    proc_result_free(&s->last);
    s->last = (struct proc_result){0};
    if (cloud_request(s->lab, action, words, &answer, &why) != 0) {
        s->status = (int)why->status;
        s->last.tail = xstrdup(why->message);
        return status_follows(s) ? 0 : error_move(err, &why);
    }
    s->status = 0;
    const json_t *value = answer;
    char *rest = NULL;
    for (char *name = part == NULL ? NULL : strtok_r(part, ".", &rest); name != NULL;
         name = strtok_r(NULL, ".", &rest)) {
        long index = 0;
        value =
            str_number(name, 0, 10000, &index) ? json_array_get(value, (size_t)index) : json_object_get(value, name);
    }
    s->last.output =
        json_is_string(value) ? xstrdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY | JSON_INDENT(1));
    return 0;
}

/* The same until the output is TEXT: what takes time in the cloud. */
int run_cloud_until(struct scenario *s, char *arguments, struct error **err)
{
    long seconds = 0;
    if (!str_number(next_word(&arguments), 1, 600, &seconds)) {
        return error_new(err, STATUS_USAGE, "cloud-until SECONDS TEXT ACTION [NAME=VALUE...] [.PART]");
    }
    const char *text = next_word(&arguments);
    struct deadline deadline = deadline_in(seconds * 1000);
    struct pollfd signal = {.fd = interrupt_fd(), .events = POLLIN};
    for (;;) {
        _cleanup_free_ char *again = xstrdup(arguments);
        if (run_cloud(s, again, err) != 0 || interrupt_check(err) != 0) {
            return -1;
        }
        if (s->last.output != NULL && strcmp(s->last.output, text) == 0) {
            return 0;
        }
        if (deadline_left(deadline) == 0) {
            return error_new(err, STATUS_COMMAND, "not so in time; the answer is\n%s",
                             s->last.output == NULL ? s->last.tail : s->last.output);
        }
        (void)poll(&signal, 1, 250);
    }
}

/* Faults of the cloud's API from now on, as tests/lab/shared/cloudapi.h has them; none without. */
int run_cloud_faults(struct scenario *s, char *arguments, struct error **err)
{
    _cleanup_free_ char *path = lab_path(s->lab, "cloud-faults.json");
    return text_put(path, 0600, err, "%s\n", *arguments == '\0' ? "{}" : arguments);
}
