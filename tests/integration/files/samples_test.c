/* The examples that the client has in /opt/kubernetes/sample: what they deploy is taken by a real API server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lib/system/proc.h"
#include "tests/lab/shared/apiserver.h"

#define SAMPLES "templates/client/sample/"

static struct apiserver server;

static int set_up(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    if (apiserver_start(&server, &err) < 0) {
        print_error("%s\n", err->message);
        apiserver_stop(&server);
        return -1;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    apiserver_stop(&server);
    return 0;
}

/* No example has a tag of the template language in it, so the template is what the client gets. */
static void takes(const char *file, const char *const *objects)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_proc_ struct proc_result result = {0};
    _cleanup_free_ char *kubeconfig = xasprintf("%s/etc/kubernetes/admin.conf", server.root);
    const char *argv[] = {server.kubectl,     "--kubeconfig", kubeconfig, "apply", "--validate",
                          "--dry-run=server", "-f",           file,       NULL};
    const struct proc proc = {.argv = argv, .keep_output = true, .deadline = deadline_in(60000)};
    if (proc_run(&proc, &result, &err) < 0) {
        fail_msg("%s", err->message);
    }
    for (; *objects != NULL; objects++) {
        _cleanup_free_ char *line = xasprintf("%s created (server dry run)", *objects);
        assert_non_null(strstr(result.output, line));
    }
}

static void hello_world_and_both_load_balancers(void **state)
{
    (void)state;
    static const char *const workload[] = {"configmap/helloworld", "deployment.apps/helloworld", NULL};
    static const char *const services[] = {"service/helloworld", "service/helloworld-internal", NULL};
    takes(SAMPLES "helloworld/deployment.yaml.mustache", workload);
    takes(SAMPLES "helloworld/service.yaml.mustache", services);
}

static void wordpress_with_volumes(void **state)
{
    (void)state;
    static const char *const mysql[] = {"persistentvolumeclaim/mysql", "service/mysql", "deployment.apps/mysql", NULL};
    static const char *const wordpress[] = {"persistentvolumeclaim/wordpress", "service/wordpress",
                                            "deployment.apps/wordpress", NULL};
    takes(SAMPLES "wordpress/mysql.yaml.mustache", mysql);
    takes(SAMPLES "wordpress/wordpress.yaml.mustache", wordpress);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello_world_and_both_load_balancers),
        cmocka_unit_test(wordpress_with_volumes),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
