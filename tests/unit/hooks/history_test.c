#include "hooks/engine/history.h"

#include <fcntl.h>

#include "hooks/events/events.h"
#include "lib/core/json.h"
#include "tests/unit/hooks/engine_fixture.h"

/* As a release wrote it whose steps had other names; the last run was killed. */
static const char old_history[] =
    "[{\"event\":\"init\",\"check\":false,\"started\":1700000000,\"pid\":7,\"ms\":1500,\"status\":0,\"steps\":["
    "{\"name\":\"kubelet\",\"started\":1700000000,\"result\":\"applied\",\"ms\":700},"
    "{\"name\":\"join token honoured\",\"started\":1700000001,\"result\":\"done\",\"ms\":1}]},"
    "{\"event\":\"scale-in\",\"check\":true,\"started\":1700000100,\"pid\":8,\"steps\":["
    "{\"name\":\"may they leave\",\"started\":1700000100}]}]";

static void put_history(const char *text)
{
    _cleanup_free_ char *path = run_state_path(&run, "runs.json");
    assert_int_equal(file_put_private(path, text, NULL), 0);
}

/* What `status` prints. The caller frees. */
static char *status_output(void)
{
    _cleanup_free_ char *path = xasprintf("%s/output", directory);
    (void)fflush(stdout);
    _cleanup_close_ int kept = dup(1);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(kept >= 0 && fd >= 0 && dup2(fd, 1) == 1);
    (void)close(fd);
    int result = event_status(&run, NULL);
    (void)fflush(stdout);
    assert_int_equal(dup2(kept, 1), 1);
    assert_int_equal(result, 0);
    char *text = NULL;
    assert_int_equal(file_read(path, 0, &text, NULL, NULL), 0);
    return text;
}

static void an_old_history_prints_with_its_own_names(void **state)
{
    (void)state;
    put_history(old_history);
    _cleanup_free_ char *text = status_output();
    assert_non_null(strstr(text, "2023-11-14 22:13:20Z  init"));
    assert_non_null(strstr(text, "status 0"));
    assert_non_null(strstr(text, "scale-in"));
    assert_non_null(strstr(text, "not finished: running or killed"));
    assert_non_null(strstr(text, "may they leave"));
    run.blame = true;
    _cleanup_free_ char *blame = status_output();
    const char *kubelet = strstr(blame, "0.7 s  kubelet");
    const char *token = strstr(blame, "0.0 s  join token honoured");
    assert_true(kubelet != NULL && token != NULL && kubelet < token);
}

static void a_run_is_recorded_from_its_first_moment(void **state)
{
    (void)state;
    put_history(old_history);
    struct history *history = history_begin(&run);
    history_step_begin(history, "start kubelet");
    _cleanup_json_ json_t *during = history_load(&run);
    const json_t *last = json_array_get(during, 2);
    assert_string_equal(json_text(last, "event"), "start");
    assert_null(json_object_get(last, "status"));
    assert_string_equal(json_text(json_array_get(json_object_get(last, "steps"), 0), "name"), "start kubelet");
    history_step_end(history, "failed", 12);
    _cleanup_error_ struct error *err = NULL;
    (void)error_new(&err, STATUS_UNIT, "it broke");
    history_end(history, err);
    _cleanup_json_ json_t *after = history_load(&run);
    last = json_array_get(after, 2);
    assert_int_equal(json_integer_value(json_object_get(last, "status")), STATUS_UNIT);
    assert_string_equal(json_text(last, "error"), "it broke");
    assert_true(json_integer_value(json_object_get(last, "peak_kib")) > 0);
}

/* What a program printed before it failed is part of the message: a JSON string cannot hold it as it is. */
static void an_error_that_is_not_utf8_is_kept(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    struct history *history = history_begin(&run);
    history_step_begin(history, "start kubelet");
    history_step_end(history, "failed", 12);
    (void)error_new(&err, STATUS_COMMAND, "kubectl: \xff\xfe bad \xe4\xb8");
    history_end(history, err);
    _cleanup_free_ char *text = status_output();
    assert_non_null(strstr(text, "kubectl: ?? bad ??"));
    run.json = true;
    _cleanup_free_ char *json = status_output();
    _cleanup_json_ json_t *runs = json_loads(json, 0, NULL);
    assert_string_equal(json_text(json_array_get(runs, 0), "error"), "kubectl: ?? bad ??");
}

static void only_the_last_thirty_are_kept(void **state)
{
    (void)state;
    for (int i = 0; i < 33; i++) {
        run.event = i < 3 ? "init" : "start";
        history_end(history_begin(&run), NULL);
    }
    _cleanup_json_ json_t *runs = history_load(&run);
    assert_int_equal(json_array_size(runs), 30);
    assert_string_equal(json_text(json_array_get(runs, 0), "event"), "start");
}

static void a_damaged_file_counts_as_empty_and_is_replaced(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "{", "{}", "null", "[1, \"x\", {\"steps\": 3}]"};
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        put_history(texts[i]);
        _cleanup_free_ char *text = status_output();
        history_end(history_begin(&run), NULL);
        _cleanup_json_ json_t *runs = history_load(&run);
        const json_t *last = json_array_get(runs, json_array_size(runs) - 1);
        assert_string_equal(json_text(last, "event"), "start");
    }
}

static void a_failure_to_record_never_fails_the_event(void **state)
{
    (void)state;
    _cleanup_free_ char *path = run_state_path(&run, "runs.json");
    assert_int_equal(dir_make(path, 0700, NULL), 0);
    struct history *history = history_begin(&run);
    history_step_begin(history, "start kubelet");
    history_step_end(history, "applied", 1);
    history_end(history, NULL);
    _cleanup_json_ json_t *runs = history_load(&run);
    assert_int_equal(json_array_size(runs), 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_old_history_prints_with_its_own_names),
        TEST(a_run_is_recorded_from_its_first_moment),
        TEST(an_error_that_is_not_utf8_is_kept),
        TEST(only_the_last_thirty_are_kept),
        TEST(a_damaged_file_counts_as_empty_and_is_replaced),
        TEST(a_failure_to_record_never_fails_the_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
