/* etcd out of space, with a real etcd of a small quota: its health tells, and compact-etcd brings it back. */
#include "tests/integration/control_plane/fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "hooks/checks/checks.h"
#include "hooks/clients/etcd.h"
#include "hooks/events/events.h"
#include "hooks/steps/steps.h"

enum { QUOTA_MIB = 24 };

static pid_t etcd;

static int put_value(const char *value, struct error **err)
{
    const char *const arguments[] = {"put", "/filler", value, NULL};
    return etcdctl(arguments, deadline_in(120000), NULL, err);
}

static int new_cluster(void **state)
{
    (void)state;
    new_data_of("320m");
    assert_int_equal(dir_make("/data/etcd", 0700, NULL), 0);
    struct run run = new_run();
    assert_int_equal(step_issue_certificates.apply(&run, NULL), 0);
    etcd = etcd_start("--quota-backend-bytes=25165824");
    return 0;
}

static int end_cluster(void **state)
{
    etcd_end(etcd, SIGKILL);
    return drop_data(state);
}

static void out_of_space_is_unhealthy_until_compacted(void **state)
{
    (void)state;
    static char value[(100 << 10) + 1];
    struct etcd_size size;
    memset(value, 'x', sizeof value - 1);
    assert_int_equal(etcd_size(ETCD_METRICS, deadline_in(300000), &size, NULL), 0);
    assert_int_equal(size.quota, QUOTA_MIB << 20);
    struct error *err = NULL;
    size_t count = 0;
    while (count < 1000 && put_value(value, &err) == 0) {
        count++;
    }
    assert_in_range(count, 10, 999);
    assert_non_null(strstr(err->message, "space exceeded")); /* and no other reason */
    error_freep(&err);
    assert_int_equal(etcd_health(ETCD_METRICS, deadline_in(300000), &err), -1);
    assert_int_equal(err->status, STATUS_UNHEALTHY);
    error_free(err);
    err = NULL;
    struct finding finding = {0};
    struct run run = new_run();
    const struct check_context context = {&run, {.warn = 75, .fail = 95}, deadline_in(300000), NULL};
    put("/etc/kubernetes/manifests/etcd.yaml", "");
    check_etcd.probe(&context, &finding);
    assert_int_equal(finding.verdict, VERDICT_FAILS);
    assert_non_null(strstr(finding.remedy, "compact-etcd"));
    if (event_compact_etcd(&run, &err) < 0) {
        fail_msg("%s", err->message);
    }
    assert_int_equal(etcd_health(ETCD_METRICS, deadline_in(300000), NULL), 0);
    assert_int_equal(put_value(value, NULL), 0);
    assert_int_equal(etcd_size(ETCD_METRICS, deadline_in(300000), &size, NULL), 0);
    assert_in_range(size.file, 1, size.quota / 2);
    check_etcd.probe(&context, &finding);
    assert_int_equal(finding.verdict, VERDICT_OK);
    free(finding.reason);
    assert_int_equal(event_compact_etcd(&run, NULL), 0);
}

static void size_is_compared_with_the_quota(void **state)
{
    (void)state;
    static const struct check_limits limits = {.warn = 75, .fail = 95};
    static const struct {
        int64_t file;
        enum verdict verdict;
    } cases[] = {{0, VERDICT_OK}, {74, VERDICT_OK}, {75, VERDICT_WARNS}, {94, VERDICT_WARNS}, {95, VERDICT_FAILS}};
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        struct finding finding = {0};
        const struct etcd_size size = {.file = cases[i].file << 20, .in_use = 0, .quota = 100 << 20};
        etcd_size_find(&size, &limits, &finding);
        assert_int_equal(finding.verdict, cases[i].verdict);
        free(finding.reason);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(out_of_space_is_unhealthy_until_compacted, new_cluster, end_cluster),
        cmocka_unit_test(size_is_compared_with_the_quota),
    };
    return cmocka_run_group_tests_name("etcd", tests, set_up_machine, NULL);
}
