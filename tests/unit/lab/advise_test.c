/* What the lab says to do next when a verb failed: from the record of the events, and from the message. */
#include <stdio.h>
#include <string.h>

#include "lib/core/json.h"
#include "tests/lab/lab/record/record.h"
#include "tests/lab/lab/verbs/verb.h"
#include "tests/unit/lab/lab_fixture.h"

static struct machine node = {.name = (char *)"node-1", .role = (char *)"node", .sid = 1};
static struct machine other = {.name = (char *)"node-10", .role = (char *)"node", .sid = 10};

static void expect(const struct lab *lab, const char *verb, int64_t began, int status, const char *message,
                   const char *expected)
{
    struct error why = {status, (char *)message};
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    advise(lab, lab == NULL ? "web" : lab->name, verb == NULL ? NULL : verb_find(verb), began, &why, to);
    (void)fclose(to);
    assert_string_equal(text, expected);
    free(text);
}

static void fail_event(const struct lab *lab, const struct machine *machine, const char *event, int status)
{
    record_end(record_begin(lab, machine, event), status, "no reason");
}

static void test_event(void **state)
{
    const struct lab *lab = *state;
    int64_t began = record_now();
    _cleanup_free_ char *log = lab_path(lab, "machines/node-1/check.out");
    _cleanup_free_ char *with_log = xasprintf(
        "AppCenter shows: A health check failed / 健康检查未通过\nlog: %s\nnext: lab --name web logs node-1 (what its "
        "hooks wrote), lab --name web shell node-1, then again: lab --name web event node-1 check\n",
        log);
    assert_int_equal(text_put(log, 0600, NULL, "%s\n", "docker is not active"), 0);
    fail_event(lab, &node, "check", 24);
    fail_event(lab, &other, "check", 24);
    fail_event(lab, NULL, "set", 24);
    /* the machine that the message is about, and none whose name begins in the same way */
    expect(lab, "event", began, 24, "node-1: check: exit status 24", with_log);
    expect(lab, "health", began, STATUS_FAILED, "node-1 is unhealthy", with_log);
    /* another machine's log is not there; the last that failed where the message names none */
    const char *without_log = "AppCenter shows: A health check failed / 健康检查未通过\nnext: lab --name web logs "
                              "node-10 (what its hooks wrote), lab --name web shell node-10, then again: lab --name "
                              "web event node-10 check\n";
    expect(lab, "event", began, 24, "node-10: check: exit status 24", without_log);
    expect(lab, "stop", began, 24, "it failed", without_log);
}

static void test_boot(void **state)
{
    const struct lab *lab = *state;
    int64_t began = record_now();
    fail_event(lab, &node, "boot", STATUS_FAILED);
    expect(lab, "start", began, STATUS_FAILED, "machine node-1 did not boot",
           "next: lab --name web logs node-1 --console, lab --name web down\n");
}

static void test_named(void **state)
{
    const struct lab *lab = *state;
    int64_t began = record_now();
    expect(lab, "exec", began, STATUS_USAGE, "machine x is off: `lab start` boots it, `lab fault end x` too",
           "next: lab --name web start, lab --name web fault end x\n");
    expect(NULL, "status", began, STATUS_FILE, "broken; `lab down` removes it", "next: lab --name web down\n");
    /* nothing to copy in what a program printed */
    expect(lab, "exec", began, STATUS_USAGE, "unterminated `lab start\n`make deps`", "next: lab exec --help\n");
    /* the usual lab needs no name */
    struct lab usual = *lab;
    usual.name = (char *)"demo";
    expect(&usual, "exec", began, STATUS_USAGE, "`lab create` makes one", "next: lab create\n");
}

static void test_nothing_named(void **state)
{
    const struct lab *lab = *state;
    int64_t began = record_now();
    _cleanup_free_ char *servers =
        xasprintf("next: lab --name web status, lab --name web events; the servers' logs: %s/metad.log, %s/cloud.log\n",
                  lab->dir, lab->dir);
    expect(lab, "set", began, STATUS_USAGE, "set KEY VALUE", "next: lab set --help\n");
    expect(NULL, NULL, began, STATUS_USAGE, "no verb 'frob'", "next: lab --help\n");
    expect(lab, "set", began, STATUS_FAILED, "connecting: refused", servers);
    expect(lab, "logs", began, STATUS_COMMAND, "tail could not be run", servers);
    expect(lab, "create", began, STATUS_INTERRUPTED, "interrupted",
           "next: lab --name web status shows what there is, lab --name web down removes it\n");
    struct lab gone = *lab;
    gone.dir = (char *)"/nonexistent";
    expect(&gone, "image", began, STATUS_COMMAND, "make (see /x.log)",
           "next: lab --name web image, once that is mended; what is made already is not made again\n");
    expect(&gone, "demo", began, STATUS_INTERRUPTED, "interrupted", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_event, lab_enter, lab_leave),
        cmocka_unit_test_setup_teardown(test_boot, lab_enter, lab_leave),
        cmocka_unit_test_setup_teardown(test_named, lab_enter, lab_leave),
        cmocka_unit_test_setup_teardown(test_nothing_named, lab_enter, lab_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
