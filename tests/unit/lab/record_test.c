/* The lab's record of events: what is written is what the report and `lab events` read. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/core/json.h"
#include "tests/lab/lab/record/record.h"
#include "tests/lab/lab/record/steps.h"
#include "tests/unit/lab/lab_fixture.h"

static struct machine node = {.name = (char *)"node-1", .role = (char *)"node", .sid = 1};

static int64_t number(const json_t *entry, const char *key)
{
    return json_integer_value(json_object_get(entry, key));
}

static void expect_text(const json_t *entry, const char *key, const char *expected)
{
    const char *text = json_text(entry, key);
    assert_non_null(text);
    assert_string_equal(text, expected);
}

static void test_event(void **state)
{
    const struct lab *lab = *state;
    struct record *record = record_begin(lab, &node, "scale_in");
    record_argument(record, "{\"keep\":7}");
    record_end(record, 134, "node-1: the pod x is still there");
    _cleanup_json_ json_t *entries = record_read(lab);
    assert_int_equal(json_array_size(entries), 2);
    const json_t *begin = json_array_get(entries, 0);
    const json_t *event = json_array_get(entries, 1);
    expect_text(begin, "kind", "begin");
    assert_true(record_runs(begin));
    expect_text(event, "kind", "event");
    expect_text(event, "id", json_text(begin, "id"));
    expect_text(event, "machine", "node-1");
    expect_text(event, "role", "node");
    expect_text(event, "event", "scale_in");
    expect_text(event, "argument", "{\"keep\":7}");
    expect_text(event, "error", "node-1: the pod x is still there");
    assert_int_equal(number(event, "status"), 134);
    expect_text(json_object_get(event, "text"), "en", "The nodes could not be drained in time");
    expect_text(json_object_get(event, "text"), "zh", "节点未能及时排空");
    assert_int_equal(number(event, "begin_ns"), number(begin, "begin_ns"));
    assert_true(number(event, "end_ns") >= number(event, "begin_ns"));
}

static void test_whole_cluster(void **state)
{
    const struct lab *lab = *state;
    _cleanup_error_ struct error *err = NULL;
    (void)error_new(&err, STATUS_USAGE, "not so");
    assert_int_equal(record_result(record_begin(lab, NULL, "add"), -1, &err), -1);
    assert_int_equal(record_result(record_begin(lab, NULL, "stop"), 0, &err), 0);
    assert_int_equal(record_result(NULL, 0, &err), 0);
    _cleanup_json_ json_t *entries = record_read(lab);
    assert_int_equal(json_array_size(entries), 4);
    assert_null(json_object_get(json_array_get(entries, 1), "machine"));
    assert_int_equal(number(json_array_get(entries, 1), "status"), STATUS_USAGE);
    assert_int_equal(number(json_array_get(entries, 3), "status"), 0);
    assert_null(json_object_get(json_array_get(entries, 3), "error"));
}

static void test_no_lab(void **state)
{
    (void)state;
    const struct lab none = {.dir = (char *)"/nowhere/at/all"};
    record_end(record_begin(&none, NULL, "create"), 0, NULL);
    _cleanup_json_ json_t *entries = record_read(&none);
    assert_int_equal(json_array_size(entries), 0);
}

/* Of an event whose program was killed there is a beginning alone. */
static void test_killed(void **state)
{
    const struct lab *lab = *state;
    pid_t pid = fork();
    if (pid == 0) {
        (void)record_begin(lab, &node, "init");
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    _cleanup_json_ json_t *entries = record_read(lab);
    assert_int_equal(json_array_size(entries), 1);
    assert_false(record_runs(json_array_get(entries, 0)));
}

static void test_cut_line(void **state)
{
    const struct lab *lab = *state;
    record_health(lab, &node, false, 24, "docker is not running");
    _cleanup_free_ char *path = xasprintf("%s/events.jsonl", directory);
    _cleanup_fclose_ FILE *f = fopen(path, "ae");
    assert_true(fputs("{\"kind\":\"ev\n", f) >= 0 && fflush(f) == 0);
    record_fault(lab, "f-1", "metadata-down", NULL, true, 1700000000000000000, NULL);
    _cleanup_json_ json_t *entries = record_read(lab);
    assert_int_equal(json_array_size(entries), 2);
    expect_text(json_array_get(entries, 0), "health", "unhealthy");
    expect_text(json_array_get(entries, 1), "state", "begin");
    assert_int_equal(number(json_array_get(entries, 1), "until_ns"), 1700000000000000000);
}

static void test_time(void **state)
{
    (void)state;
    _cleanup_free_ char *text = record_time(1764099000123456789);
    assert_string_equal(text, "2025-11-25T19:30:00.123Z");
}

static const char runs_text[] =
    "[{\"event\": \"init\", \"started\": 50, \"ms\": 10, \"status\": 0, \"steps\": []},"
    " {\"event\": \"scale-in\", \"started\": 100, \"ms\": 3000, \"status\": 0, \"steps\": ["
    "  {\"name\": \"drain\", \"started\": 100, \"result\": \"applied\", \"ms\": 2000},"
    "  {\"name\": \"delete\", \"started\": 102, \"result\": \"done\", \"ms\": 500}]},"
    " {\"event\": \"start\", \"started\": 200, \"steps\": [{\"name\": \"kubelet\", \"started\": 200}]}]";

static void test_steps(void **state)
{
    (void)state;
    const int64_t s = 1000000000;
    _cleanup_json_ json_t *runs = json_loads(runs_text, 0, NULL);
    _cleanup_json_ json_t *steps = steps_of(runs, "scale_in", 100 * s + 1, 104 * s);
    assert_int_equal(json_array_size(steps), 2);
    expect_text(json_array_get(steps, 0), "name", "drain");
    assert_int_equal(number(json_array_get(steps, 0), "begin_ns"), 101 * s);
    assert_int_equal(number(json_array_get(steps, 0), "end_ns"), 103 * s);
    assert_int_equal(number(json_array_get(steps, 1), "end_ns"), 103 * s + s / 2);
    assert_null(steps_of(runs, "init", 60 * s, 70 * s)); /* an earlier run's */
    _cleanup_json_ json_t *killed = steps_of(runs, "start", 200 * s, 205 * s);
    expect_text(json_array_get(killed, 0), "result", "killed");
    assert_int_equal(number(json_array_get(killed, 0), "end_ns"), 205 * s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_event, lab_enter, lab_leave),
        cmocka_unit_test_setup_teardown(test_whole_cluster, lab_enter, lab_leave),
        cmocka_unit_test_setup_teardown(test_no_lab, lab_enter, lab_leave),
        cmocka_unit_test_setup_teardown(test_killed, lab_enter, lab_leave),
        cmocka_unit_test_setup_teardown(test_cut_line, lab_enter, lab_leave),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
