/* Every host reads the reports of all: of 1,000 hosts that are all unhealthy, with as much to say as a report holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/metadata/meta.h"
#include "hooks/checks/checks.h"
#include "lib/core/json.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "tests/lab/shared/metad.h"
#include "tests/unit/app/facts_fixture.h"

enum { HOSTS = 1000, REPORT = 256 /* bytes, as JSON */, WHOLE = 512 * 1024, FAILING = 12 };

static struct conf conf;

static void probe_bad(const struct check_context *context, struct finding *finding)
{
    (void)context;
    finding_fails(finding, "a remedy that is as long as remedies are", "%0500d", 7);
}

static char directory[] = "/tmp/fleet_reports_test.XXXXXX";

/* A role's file with nothing in it. */
static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    conf.paths.roles = directory;
    conf.metadata.timeout_ms = conf.metadata.deadline_ms = 60000;
    _cleanup_free_ char *path = path_join(directory, "node.conf");
    struct file_spec spec = {.path = path, .data = "", .mode = 0644, .uid = geteuid(), .gid = getegid()};
    return file_put(&spec, NULL, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    return proc_exec(deadline_in(300000), NULL, "rm", "-r", directory, NULL);
}

static json_t *longest_report(void)
{
    static const char *const names[FAILING] = {"kubelet",      "docker",  "api",       "etcd",
                                               "certificates", "disk",    "addresses", "interfaces",
                                               "hostnic",      "storage", "metadata",  "clock"};
    struct check checks[FAILING];
    const struct check *list[FAILING + 1] = {NULL};
    _cleanup_(check_results_freep) struct check_results *results = NULL;
    const struct role role = {.name = "node", .checks = list};
    const struct run run = {.role = &role, .root = "", .conf = &conf};
    for (size_t i = 0; i < FAILING; i++) {
        memcpy(&checks[i], &(struct check){.name = names[i], .severity = FAILS, .probe = probe_bad}, sizeof checks[i]);
        list[i] = &checks[i];
    }
    assert_int_equal(checks_run(&run, list, deadline_in(60000), &results, NULL), 0);
    return check_results_report(results);
}

/* /self as node 1 reads it, which is one request. */
static json_t *read_self(struct metad *metad, size_t *bytes)
{
    struct meta *meta = NULL;
    json_t *tree = NULL;
    _cleanup_free_ char *url = xasprintf("http://127.0.0.1:%u", metad_port(metad));
    unsigned before = metad_requests(metad);
    assert_int_equal(meta_open(&meta, &conf, url, NULL), 0);
    assert_int_equal(meta_get(meta, deadline_in(60000), &tree, NULL), 0);
    meta_free(meta);
    assert_int_equal(metad_requests(metad), before + 1);
    _cleanup_free_ char *text = json_dumps(tree, JSON_COMPACT);
    *bytes = strlen(text);
    return tree;
}

/* What facts of TREE hold in memory. */
static size_t facts_bytes(json_t *tree, json_t **context)
{
    size_t before = mallinfo2().uordblks;
    _cleanup_(facts_freep) struct facts *facts = load(tree);
    size_t held = mallinfo2().uordblks - before;
    assert_true(facts->n_hosts > HOSTS);
    *context = facts_context(facts);
    return held;
}

static void reports_of_1000_hosts_are_small_and_no_part_of_the_facts(void **state)
{
    (void)state;
    _cleanup_metad_ struct metad *metad = NULL;
    _cleanup_json_ json_t *cluster = cluster_load("three-logs", NULL);
    _cleanup_json_ json_t *report = longest_report();
    _cleanup_json_ json_t *mapping = metad_vm_mapping("cl-1", "node", "i-nod00001");
    _cleanup_json_ json_t *quiet = NULL;
    _cleanup_json_ json_t *loud = NULL;
    size_t before = 0, after = 0;
    assert_string_equal(json_text(report, "status"), "unhealthy");
    assert_int_equal(metad_start(&metad, "127.0.0.1", 0, "127.0.0.1", 0, NULL), 0);
    cluster_generate(cluster, "node", HOSTS);
    assert_true(metad_set(metad, "/clusters/cl-1", cluster));
    metad_map(metad, "127.0.0.1", mapping);
    _cleanup_json_ json_t *silent = read_self(metad, &before);

    _cleanup_free_ char *url = xasprintf("http://127.0.0.1:%u", metad_manage_port(metad));
    for (int sid = 1; sid <= HOSTS; sid++) {
        _cleanup_free_ char *instance = xasprintf("i-nod%05d", sid);
        assert_int_equal(meta_report(url, "cl-1", "node", instance, report, deadline_in(60000), NULL), 0);
    }
    _cleanup_json_ json_t *reported = read_self(metad, &after);
    assert_true(after > before);
    assert_true((after - before) / HOSTS <= REPORT);
    assert_true(after < WHOLE);
    metad_stopp(&metad); /* whose threads allocate too */
    /* what the allocator itself rounds is less than a byte a host */
    assert_in_range(facts_bytes(reported, &loud), 0, facts_bytes(silent, &quiet) + HOSTS);
    assert_true(json_equal(quiet, loud));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reports_of_1000_hosts_are_small_and_no_part_of_the_facts)};
    return cmocka_run_group_tests_name("fleet reports", tests, set_up, tear_down);
}
