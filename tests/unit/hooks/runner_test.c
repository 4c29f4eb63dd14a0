#include "hooks/engine/runner.h"

#include <signal.h>
#include <sys/wait.h>

#include "lib/core/interrupt.h"
#include "lib/core/json.h"
#include "tests/unit/hooks/engine_fixture.h"

static struct buffer calls;
static int first_done, second_done, second_applied;
static bool interrupt_in_first;

static int note(const char *call, int result, struct error **err)
{
    buffer_printf(&calls, "%s%s", calls.len > 0 ? " " : "", call);
    return result < 0 ? error_new(err, STATUS_COMMAND, "it broke") : result;
}

static int is_first_done(struct run *r, struct error **err)
{
    (void)r;
    return note("first?", first_done, err);
}

static int apply_first(struct run *r, struct error **err)
{
    (void)r;
    if (interrupt_in_first) {
        (void)raise(SIGTERM);
    }
    return note("first", 0, err);
}

static int is_second_done(struct run *r, struct error **err)
{
    (void)r;
    return note("second?", second_done, err);
}

static int apply_second(struct run *r, struct error **err)
{
    (void)r;
    return note("second", second_applied, err);
}

static int preview_second(struct run *r, struct error **err)
{
    (void)r;
    return note("preview", 0, err);
}

static int apply_third(struct run *r, struct error **err)
{
    (void)r;
    return note("third", 0, err);
}

static const struct step step_first = {"make the first", is_first_done, apply_first, NULL};
static const struct step step_second = {"make the second", is_second_done, apply_second, preview_second};
static const struct step step_third = {"make the third", NULL, apply_third, NULL};
static const struct step *const steps[] = {&step_first, &step_second, &step_third, NULL};

static int set_up(void **state)
{
    first_done = second_done = second_applied = 0;
    interrupt_in_first = false;
    return enter(state);
}

static int tear_down(void **state)
{
    buffer_free(&calls);
    calls = (struct buffer){0};
    return leave(state);
}

static int run_all(struct error **err)
{
    buffer_free(&calls);
    calls = (struct buffer){0};
    buffer_puts(&calls, "");
    return steps_run(&run, steps, err);
}

static void each_is_applied_unless_it_is_done(void **state)
{
    (void)state;
    assert_int_equal(run_all(NULL), 0);
    assert_string_equal(calls.data, "first? first second? second third");
    first_done = 1;
    assert_int_equal(run_all(NULL), 0);
    assert_string_equal(calls.data, "first? second? second third");
}

static void the_first_error_stops_and_names_its_step(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    second_applied = -1;
    assert_int_equal(run_all(&err), -1);
    assert_string_equal(calls.data, "first? first second? second");
    assert_int_equal(err->status, STATUS_COMMAND);
    assert_string_equal(err->message, "make the second: it broke");
}

static void a_step_whose_state_is_unknown_is_not_applied(void **state)
{
    (void)state;
    second_done = -1;
    assert_int_equal(run_all(NULL), -1);
    assert_string_equal(calls.data, "first? first second?");
}

static void a_passed_deadline_stops_before_the_next(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    run.deadline = deadline_in(0);
    assert_int_equal(run_all(&err), -1);
    assert_string_equal(calls.data, "");
    assert_int_equal(err->status, STATUS_DEADLINE);
    assert_int_equal(step_run(&run, &step_third, NULL), -1);
    assert_string_equal(calls.data, "");
}

/* In a process of its own: a signal that was taken stays taken. */
static void a_signal_stops_before_the_next(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        _cleanup_error_ struct error *err = NULL;
        interrupt_in_first = true;
        _exit(interrupt_open(NULL) == 0 && run_all(&err) < 0 && err->status == STATUS_INTERRUPTED &&
                      strcmp(calls.data, "first? first") == 0
                  ? 0
                  : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void a_dry_run_applies_nothing_and_continues_past_an_unknown_state(void **state)
{
    (void)state;
    run.dry_run = true;
    second_done = -1;
    assert_int_equal(run_all(NULL), 0);
    assert_string_equal(calls.data, "first? second? preview");
    _cleanup_json_ json_t *runs = history_load(&run);
    assert_int_equal(json_array_size(runs), 0);
}

static void step_run_returns_whether_the_step_was_done(void **state)
{
    (void)state;
    buffer_puts(&calls, "");
    assert_int_equal(step_run(&run, &step_first, NULL), 0);
    first_done = 1;
    assert_int_equal(step_run(&run, &step_first, NULL), 1);
    assert_string_equal(calls.data, "first? first first?");
}

static void each_step_is_recorded_with_its_result(void **state)
{
    (void)state;
    static const char *const results[] = {"done", "failed"};
    first_done = 1;
    second_applied = -1;
    assert_int_equal(run_all(NULL), -1);
    _cleanup_json_ json_t *runs = history_load(&run);
    const json_t *recorded = json_object_get(json_array_get(runs, 0), "steps");
    assert_int_equal(json_array_size(recorded), ELEMENTS(results));
    for (size_t i = 0; i < ELEMENTS(results); i++) {
        assert_string_equal(json_text(json_array_get(recorded, i), "name"), steps[i]->name);
        assert_string_equal(json_text(json_array_get(recorded, i), "result"), results[i]);
    }
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_is_applied_unless_it_is_done),
        TEST(the_first_error_stops_and_names_its_step),
        TEST(a_step_whose_state_is_unknown_is_not_applied),
        TEST(a_passed_deadline_stops_before_the_next),
        TEST(a_signal_stops_before_the_next),
        TEST(a_dry_run_applies_nothing_and_continues_past_an_unknown_state),
        TEST(step_run_returns_whether_the_step_was_done),
        TEST(each_step_is_recorded_with_its_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
