/* A cluster's restart runs each role's own service, or stop and start. This host is every machine. */
#include <string.h>
#include <unistd.h>

#include "lib/core/json.h"
#include "lib/system/file.h"
#include "tests/lab/lab/cluster/appcenter.h"
#include "tests/unit/lab/lab_fixture.h"

/* A service that adds TEXT to what was done. */
static json_t *service(const char *text, int order)
{
    _cleanup_free_ char *command = xasprintf("echo %s >>%s/done", text, directory);
    return json_pack("{ss si}", "cmd", command, "order", order);
}

static void test_restart(void **state)
{
    struct lab *lab = *state;
    json_t *web = json_pack("{so so so}", "stop", service("web stop", 1), "start", service("web start", 1), "restart",
                            service("web restart", 1));
    json_t *cache = json_pack("{so so}", "stop", service("cache stop", 2), "start", service("cache start", 1));
    json_t *disk = json_pack("{so so}", "stop", service("disk stop", 1), "start", service("disk start", 2));
    lab->package = json_pack("{s[{ss so}{ss so}{ss so}]}", "nodes", "role", "web", "services", web, "role", "cache",
                             "services", cache, "role", "disk", "services", disk);
    assert_non_null(lab->package);
    struct machine machines[] = {
        {.name = (char *)"web-1", .role = (char *)"web", .instance_id = (char *)"i-1"},
        {.name = (char *)"cache-1", .role = (char *)"cache", .instance_id = (char *)"i-2"},
        {.name = (char *)"disk-1", .role = (char *)"disk", .instance_id = (char *)"i-3"},
    };
    struct machine *all[ELEMENTS(machines)];
    for (size_t i = 0; i < ELEMENTS(machines); i++) {
        machines[i].leader = process_of(getpid());
        all[i] = &machines[i];
    }
    lab->machines = all;
    lab->n_machines = ELEMENTS(all);

    _cleanup_error_ struct error *err = NULL;
    if (appcenter_restart(lab, &err) != 0) {
        fail_msg("%s", err->message);
    }
    _cleanup_free_ char *path = xasprintf("%s/done", directory);
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    assert_int_equal(file_read(path, 0, &text, &len, NULL), 0);
    assert_string_equal(text, "web restart\ndisk stop\ncache stop\ncache start\ndisk start\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_restart)};
    return cmocka_run_group_tests(tests, lab_enter, lab_leave);
}
