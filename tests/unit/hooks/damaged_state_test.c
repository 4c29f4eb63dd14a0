/* What may lie in the place of a state file, and what other programs may have written into it: nothing hangs, and what
 * was not done stays on record. */
#include "app/paths.h"
#include "hooks/checks/checks.h"
#include "hooks/clients/elasticsearch_release.h"
#include "hooks/events/backoff.h"
#include "hooks/files/cloud_state.h"
#include "hooks/files/reload_record.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
#include "tests/unit/hooks/engine_fixture.h"

#include <sys/stat.h>
#include <time.h>

enum { HANG_S = 120 };

static char *state_path(const char *name)
{
    return path_join(directory, name);
}

static void put_state(const char *name, const char *text)
{
    _cleanup_free_ char *path = state_path(name);
    assert_int_equal(file_put_private(path, text, NULL), 0);
}

static void assert_owed(const char *why_wanted)
{
    int64_t since = 0;
    _cleanup_free_ char *why = NULL;
    assert_int_equal(reload_record_read(&run, &since, &why), 1);
    assert_in_range(since, 1600000000, 9999999999);
    assert_non_null(strstr(why, why_wanted));
}

static void assert_not_owed(void)
{
    int64_t since = 0;
    char *why = NULL;
    assert_int_equal(reload_record_read(&run, &since, &why), 0);
}

static void a_failed_reload_stays_on_record(void **state)
{
    (void)state;
    _cleanup_error_ struct error *first = NULL;
    _cleanup_error_ struct error *second = NULL;
    int64_t since = 0;
    _cleanup_free_ char *why = NULL;
    assert_not_owed();
    (void)error_new(&first, STATUS_CLOUD_UNREACHABLE, "no route");
    (void)error_new(&second, STATUS_API, "refused");
    reload_record(&run, first);
    assert_owed("no route");
    put_state(RELOAD_RECORD, "{\"since\": 1700000000, \"status\": 110, \"message\": \"no route\"}");
    reload_record(&run, second);
    assert_int_equal(reload_record_read(&run, &since, &why), 1);
    assert_int_equal(since, 1700000000);
    assert_string_equal(why, "refused");
    reload_record(&run, NULL);
    assert_not_owed();
}

/* What a program printed before it failed is part of the message. */
static void a_message_that_is_not_utf8_is_recorded(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *path = state_path("cloud.json");
    struct cloud_state cloud = {0};
    (void)error_new(&err, STATUS_COMMAND, "kubectl: \xff\xfe bad \xe4\xb8");
    reload_record(&run, err);
    assert_owed("kubectl: ");
    const struct cloud_state refused = {
        .status = STATUS_CLOUD_KEY, .message = (char *)"\xff refused", .inputs = (char *)"inputs"};
    assert_int_equal(cloud_state_save(&run, &refused, NULL), 0);
    assert_true(cloud_state_load(&run, &cloud));
    assert_non_null(strstr(cloud.message, "refused"));
    cloud_state_clear(&cloud);
}

static void a_damaged_record_counts_as_owed(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "{\"since\": 17", "[]", "{\"since\": \"x\", \"message\": 5}",
                                        "{\"since\": -9223372036854775808}"};
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        put_state(RELOAD_RECORD, texts[i]);
        assert_owed("damaged");
        struct finding finding = {0};
        const struct check_context context = {.run = &run};
        check_reload.probe(&context, &finding);
        assert_int_equal(finding.verdict, VERDICT_WARNS);
        assert_non_null(strstr(finding.reason, "for 0 minutes"));
        free(finding.reason);
    }
}

/* What `check` says of it: nothing while none is owed, and then why, for how long and what to do. */
static void an_owed_reload_is_warned_of_until_one_succeeds(void **state)
{
    (void)state;
    enum { MINUTES = 90 };
    const struct check_context context = {.run = &run};
    struct finding before = {0};
    struct finding owed = {0};
    struct finding after = {0};
    check_reload.probe(&context, &before);
    assert_int_equal(before.verdict, VERDICT_OK);
    assert_string_equal(before.reason, "the last reload succeeded");
    _cleanup_free_ char *record =
        xasprintf("{\"since\": %lld, \"status\": 110, \"message\": \"api.qingcloud.com: no route\"}",
                  (long long)time(NULL) - MINUTES * 60L - 20);
    put_state(RELOAD_RECORD, record);
    check_reload.probe(&context, &owed);
    assert_int_equal(owed.verdict, VERDICT_WARNS);
    assert_string_equal(owed.reason,
                        "a change of the metadata is not applied for 90 minutes: api.qingcloud.com: no route");
    assert_string_equal(owed.remedy, "correct what the reason names and run `reload`");
    assert_int_equal(check_reload.severity, WARNS);
    reload_record(&run, NULL);
    check_reload.probe(&context, &after);
    assert_int_equal(after.verdict, VERDICT_OK);
    free(before.reason);
    free(owed.reason);
    free(after.reason);
}

/* Opening a FIFO waits for a writer. */
static void a_fifo_in_the_place_of_a_file_does_not_hang(void **state)
{
    (void)state;
    static const char *const names[] = {RELOAD_RECORD, "cloud.json", "elasticsearch.json", "runs.json",
                                        "metadata.json"};
    struct facts facts = {.log_target = LOG_ES_SERVER, .es_host = (char *)"127.0.0.1", .es_port = 1};
    struct cloud_state cloud = {0};
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        _cleanup_free_ char *path = state_path(names[i]);
        assert_int_equal(mkfifo(path, 0600), 0);
    }
    (void)alarm(HANG_S);
    assert_owed("");
    assert_false(cloud_state_load(&run, &cloud));
    run.facts = &facts;
    _cleanup_json_ json_t *context = json_pack("{s:{s:b}}", "logging", "typeless", 1);
    elasticsearch_describe(&run, context);
    struct history *history = history_begin(&run);
    history_end(history, NULL);
    (void)alarm(0);
}

static void times_out_of_range_end_no_arithmetic(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"docker\": {\"tries\": 9223372036854775807, \"last\": -9223372036854775808}}",
        "{\"docker\": {\"tries\": 9223372036854775807, \"last\": 9223372036854775807}}",
        "{\"docker\": {\"tries\": 9223372036854775807, \"last\": 1700000000}}"};
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        _cleanup_json_ json_t *backoff = json_loads(texts[i], 0, NULL);
        assert_in_range(backoff_wait(backoff, "docker", 1700000001), 0, 3600);
        backoff_note(backoff, "docker", 1700000001);
        assert_in_range(backoff_tries(backoff, "docker", 1700000001), 1, 1001);
    }
    assert_true(time_between(INT64_MIN, 5) == INT64_MAX);
    assert_true(time_between(INT64_MAX, -5) == INT64_MIN);
    assert_true(time_between(3, 5) == 2);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, enter, leave)

static void put_plugin(const char *name, const char *text)
{
    _cleanup_free_ char *path = xasprintf("%s/opt/cni/bin/%s", directory, name);
    const struct file_spec plugin = {path, text, strlen(text), 0755, (uid_t)-1, (gid_t)-1};
    assert_int_equal(file_put(&plugin, NULL, NULL), 0);
}

/* As a power cut leaves a file that was not written to the disk yet. */
static void a_plugin_without_content_is_installed_again(void **state)
{
    (void)state;
    struct host self = {.instance_id = "i-self"};
    struct facts facts = {.network = NETWORK_HOSTNIC, .self = &self};
    _cleanup_free_ char *link = path_join(directory, HOSTNIC_DIRECTORY);
    run.root = directory;
    run.facts = &facts;
    assert_int_equal(link_make(DATA_HOSTNIC "/i-self", link, NULL, NULL), 0);
    put_plugin("loopback", "a program");
    put_plugin("hostnic", "");
    assert_int_equal(step_install_hostnic.done(&run, NULL), 0);
    put_plugin("hostnic", "a program");
    assert_int_equal(step_install_hostnic.done(&run, NULL), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_failed_reload_stays_on_record),
        TEST(a_message_that_is_not_utf8_is_recorded),
        TEST(a_damaged_record_counts_as_owed),
        TEST(an_owed_reload_is_warned_of_until_one_succeeds),
        TEST(times_out_of_range_end_no_arithmetic),
        TEST(a_fifo_in_the_place_of_a_file_does_not_hang),
        TEST(a_plugin_without_content_is_installed_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
