#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hooks/events/metrics.h"
#include "lib/core/util.h"

static void the_kubelets_summary_becomes_shares(void **state)
{
    (void)state;
    _cleanup_json_ json_t *summary = json_pack(
        "{s{s{sI} s{sI sI}} s[{s[{}{}]} {s[{}]} {}]}", "node", "cpu", "usageNanoCores", (json_int_t)500000000, "memory",
        "workingSetBytes", (json_int_t)3000, "availableBytes", (json_int_t)1000, "pods", "containers", "containers");
    struct node_use use = node_use_of(summary, 2);
    assert_int_equal(use.pods, 2);
    assert_int_equal(use.containers, 3);
    assert_int_equal(use.cpu_permille, 250);
    assert_int_equal(use.memory_permille, 750);
}

static void figures_missing_from_the_summary_are_marked(void **state)
{
    (void)state;
    _cleanup_json_ json_t *empty = json_object();
    _cleanup_json_ json_t *idle = json_pack("{s{s{si}} s[]}", "node", "cpu", "usageNanoCores", 0, "pods");
    struct node_use unknown = node_use_of(empty, 2);
    struct node_use none = node_use_of(idle, 2);
    assert_int_equal(unknown.pods, -1);
    assert_int_equal(unknown.containers, -1);
    assert_int_equal(unknown.cpu_permille, -1);
    assert_int_equal(unknown.memory_permille, -1);
    assert_int_equal(none.pods, 0);
    assert_int_equal(none.cpu_permille, 0);
    assert_int_equal(node_use_of(NULL, 0).cpu_permille, -1);
}

static void a_figure_beyond_integers_is_marked(void **state)
{
    (void)state;
    _cleanup_json_ json_t *summary = json_pack("{s{s{sf}}}", "node", "cpu", "usageNanoCores", 1e75);
    assert_int_equal(node_use_of(summary, 2).cpu_permille, -1);
}

static const char metrics[] = "# HELP apiserver_request_total [ALPHA] Counter of apiserver requests\n"
                              "# TYPE apiserver_request_total counter\n"
                              "apiserver_request_total{code=\"200\",verb=\"GET\"} 100\n"
                              "apiserver_request_total{code=\"200\",resource=\"a b\",verb=\"WATCH\"} 1e+02\n"
                              "apiserver_request_total_other{code=\"200\"} 7\n"
                              "apiserver_request_duration_seconds_bucket{verb=\"GET\",le=\"0.1\"} 90\n"
                              "apiserver_request_duration_seconds_sum{verb=\"GET\"} 1.5\n"
                              "apiserver_request_duration_seconds_count{verb=\"GET\"} 100\n"
                              "apiserver_request_duration_seconds_sum{verb=\"WATCH\"} 50000\n"
                              "apiserver_request_duration_seconds_count{verb=\"WATCH\"} 100\n"
                              "apiserver_request_duration_seconds_sum{verb=\"CONNECT\"} 9\n"
                              "apiserver_request_duration_seconds_count{verb=\"CONNECT\"} 1\n"
                              "apiserver_request_duration_seconds_sum{verb=\"LIST\"} 0.5\n"
                              "apiserver_request_duration_seconds_count{verb=\"LIST\"} 10";

static struct api_sample sample_of(const char *text, int64_t at_ms)
{
    struct api_sample sample = {.at_ms = at_ms};
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
        _cleanup_free_ char *one = xstrndup(line, strcspn(line, "\n"));
        api_sample_add(&sample, one);
    }
    return sample;
}

static void counters_are_summed(void **state)
{
    (void)state;
    struct api_sample sample = sample_of(metrics, 5000);
    assert_int_equal(sample.at_ms, 5000);
    assert_int_equal(sample.requests, 200);
    assert_int_equal(sample.finished, 110);
    assert_int_equal(sample.seconds * 10, 20);
    struct api_sample nothing = sample_of("", 1);
    assert_int_equal(nothing.requests, 0);
}

static void two_samples_make_a_rate(void **state)
{
    (void)state;
    const struct api_sample before = {.at_ms = 1000, .requests = 200, .finished = 110, .seconds = 2};
    const struct api_sample now = {.at_ms = 61000, .requests = 800, .finished = 310, .seconds = 5};
    struct api_use use = api_use_between(&before, &now);
    assert_int_equal(use.requests_per_second, 10);
    assert_int_equal(use.latency_ms, 15);
}

static void without_an_earlier_sample_the_rate_is_zero(void **state)
{
    (void)state;
    const struct api_sample none = {0};
    const struct api_sample first = {.at_ms = 61000, .requests = 800, .finished = 310, .seconds = 5};
    const struct api_sample restarted = {.at_ms = 121000, .requests = 8, .finished = 3, .seconds = 0.1};
    assert_int_equal(api_use_between(&none, &first).requests_per_second, 0);
    assert_int_equal(api_use_between(&first, &restarted).requests_per_second, 0);
    assert_int_equal(api_use_between(&first, &restarted).latency_ms, 0);
    assert_int_equal(api_use_between(&first, &first).requests_per_second, 0);
    const struct api_sample idle = {.at_ms = 121000, .requests = 800, .finished = 310, .seconds = 5};
    assert_int_equal(api_use_between(&first, &idle).latency_ms, 0);
}

static void a_sample_is_kept_as_it_is(void **state)
{
    (void)state;
    struct api_sample sample = sample_of(metrics, 1700000000123);
    _cleanup_json_ json_t *json = api_sample_json(&sample);
    struct api_sample back = api_sample_parse(json);
    assert_int_equal(back.at_ms, sample.at_ms);
    assert_true(back.requests == sample.requests);
    assert_true(back.finished == sample.finished);
    assert_true(back.seconds == sample.seconds);
    assert_int_equal(api_sample_parse(NULL).at_ms, 0);
}

static int64_t value_in(const char *text)
{
    _cleanup_json_ json_t *answer = json_loads(text, 0, NULL);
    return prometheus_value(answer);
}

static void the_number_of_an_answer_of_prometheus_is_read(void **state)
{
    (void)state;
    assert_int_equal(
        value_in("{\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{},\"value\":[1.5,\"3\"]}]}}"), 3);
    assert_int_equal(value_in("{\"data\":{\"result\":[{\"value\":[1.5,\"0\"]}]}}"), 0);
    assert_int_equal(value_in("{\"data\":{\"result\":[]}}"), -1);
    assert_int_equal(value_in("{\"data\":{\"result\":[{\"value\":[1.5,\"NaN\"]}]}}"), -1);
    assert_int_equal(value_in("{\"data\":{\"result\":[{\"value\":[1.5,\"+Inf\"]}]}}"), -1);
    assert_int_equal(value_in("{\"data\":{\"result\":[{\"value\":[1.5,\"\"]}]}}"), -1);
    assert_int_equal(value_in("{\"status\":\"error\"}"), -1);
    assert_int_equal(prometheus_value(NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kubelets_summary_becomes_shares),
        cmocka_unit_test(figures_missing_from_the_summary_are_marked),
        cmocka_unit_test(a_figure_beyond_integers_is_marked),
        cmocka_unit_test(counters_are_summed),
        cmocka_unit_test(two_samples_make_a_rate),
        cmocka_unit_test(without_an_earlier_sample_the_rate_is_zero),
        cmocka_unit_test(a_sample_is_kept_as_it_is),
        cmocka_unit_test(the_number_of_an_answer_of_prometheus_is_read),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
