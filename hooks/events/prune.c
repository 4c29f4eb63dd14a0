#include <time.h>

#include "hooks/clients/docker_unused.h"
#include "hooks/engine/run.h"
#include "hooks/engine/runner.h"
#include "hooks/events/events.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"

enum { HOUR_S = 3600, HOURS_BY_DEFAULT = 24 * 7, HOURS_LIMIT = 24 * 365 };

static int parse_age(const char *argument, long *hours, struct error **err)
{
    *hours = HOURS_BY_DEFAULT;
    if (str_empty(argument)) {
        return 0;
    }
    _cleanup_json_ json_t *object = json_loads(argument, 0, NULL);
    const json_t *age = json_object_get(object, "max_age_hours");
    _cleanup_free_ char *text =
        json_is_integer(age) ? xasprintf("%lld", (long long)json_integer_value(age)) : xstrdup(json_string_value(age));
    if (!json_is_object(object) || (age != NULL && !str_number(text, 0, HOURS_LIMIT, hours))) {
        return error_new(err, STATUS_USAGE,
                         "the argument \"%s\": {\"max_age_hours\": N} with N from 0 to %d is accepted", argument,
                         HOURS_LIMIT);
    }
    return 0;
}

/* The image's own stay, whatever name Docker lists them by: nobody could bring them back. */
int event_prune_images(struct run *run, struct error **err)
{
    static const struct step *const again[] = {&step_start_docker, &step_load_images, NULL};
    long hours = 0;
    size_t removed = 0;
    if (parse_age(run->argument, &hours, err) < 0) {
        return -1;
    }
    if (run->dry_run) {
        printf("would remove images that no container uses and that are older than %ld h\n", hours);
        return 0;
    }
    if (docker_remove_unused(json_object_get(run->facts->versions, "images"), (int64_t)time(NULL) - hours * HOUR_S,
                             run->deadline, &removed, err) < 0) {
        return -1;
    }
    log_info("%zu unused images were removed", removed);
    return steps_run(run, again, err);
}
