/* The record of runs, in a state directory of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hooks/engine/history.h"
#include "lib/core/json.h"
#include "lib/system/file.h"
#include "lib/system/tree.h"

static char directory[32];
static struct conf conf = {.paths = {.state = (char *)"/state"}};
static const struct role role = {.name = "node"};
static struct run run = {.role = &role, .conf = &conf, .event = "start"};

static int set_up(void **state)
{
    (void)state;
    (void)strcpy(directory, "/tmp/history.XXXXXX");
    run.root = directory;
    return mkdtemp(directory) == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    return tree_remove(directory, NULL);
}

static void record(const char *failure)
{
    _cleanup_error_ struct error *err = NULL;
    struct history *history = history_begin(&run);
    history_step_begin(history, "start docker");
    history_step_end(history, failure == NULL ? "applied" : "failed", 20);
    if (failure != NULL) {
        error_new(&err, STATUS_COMMAND, "%s", failure);
    }
    history_end(history, err);
}

static void each_run_is_recorded_with_its_steps(void **state)
{
    (void)state;
    record(NULL);
    record("docker failed");
    _cleanup_json_ json_t *runs = history_load(&run);
    assert_int_equal(json_array_size(runs), 2);
    const json_t *last = json_array_get(runs, 1);
    assert_string_equal(json_text(last, "event"), "start");
    assert_string_equal(json_text(last, "error"), "docker failed");
    assert_int_equal(json_integer_value(json_object_get(last, "status")), STATUS_COMMAND);
    const json_t *step = json_array_get(json_object_get(last, "steps"), 0);
    assert_string_equal(json_text(step, "name"), "start docker");
    assert_string_equal(json_text(step, "result"), "failed");
}

/* A program's last output may be cut anywhere. */
static void an_error_that_is_not_utf8_is_recorded(void **state)
{
    (void)state;
    record("docker says: \x83\xe5\x85\x83\xe5\x85");
    _cleanup_json_ json_t *runs = history_load(&run);
    assert_string_equal(json_text(json_array_get(runs, 0), "error"), "docker says: ?\xe5\x85\x83??");
}

static void only_the_last_runs_are_kept(void **state)
{
    (void)state;
    for (int i = 0; i < 35; i++) {
        record(i == 34 ? "the last" : NULL);
    }
    _cleanup_json_ json_t *runs = history_load(&run);
    assert_int_equal(json_array_size(runs), 30);
    assert_string_equal(json_text(json_array_get(runs, 29), "error"), "the last");
}

static void a_spoilt_record_begins_anew(void **state)
{
    (void)state;
    _cleanup_free_ char *path = xasprintf("%s/state/runs.json", directory);
    assert_int_equal(file_put_private(path, "[{\"event\": ", NULL), 0);
    record(NULL);
    _cleanup_json_ json_t *runs = history_load(&run);
    assert_int_equal(json_array_size(runs), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_run_is_recorded_with_its_steps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_error_that_is_not_utf8_is_recorded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_the_last_runs_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_spoilt_record_begins_anew, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
