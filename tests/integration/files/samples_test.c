/* The examples that the client has in /opt/kubernetes/sample: what they deploy is taken by a real API server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "app/facts/facts.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "lib/text/mustache.h"
#include "tests/lab/shared/apiserver.h"
#include "tests/lab/shared/cluster.h"

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
    /* what a controller manager makes in every namespace, and pods need */
    _cleanup_(kube_freep) struct kube *kube = NULL;
    _cleanup_json_ json_t *account =
        json_pack("{s{ss} sb}", "metadata", "name", "default", "automountServiceAccountToken", 0);
    return apiserver_kube(&server, &kube, NULL) < 0 ? -1
                                                    : kube_post(kube, "/api/v1/namespaces/default/serviceaccounts",
                                                                account, deadline_in(120000), NULL, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    apiserver_stop(&server);
    return 0;
}

/* As a client with an SSD node in its cluster gets it. */
static char *render(const char *file)
{
    _cleanup_json_ json_t *cluster = cluster_load("ssd-nodes", NULL);
    _cleanup_json_ json_t *view = cluster_view(cluster, "client", 1);
    _cleanup_(facts_freep) struct facts *facts = NULL;
    _cleanup_free_ char *text = NULL;
    struct buffer out = {0};
    size_t len = 0;
    assert_int_equal(facts_load(&facts, view, NULL, NULL), 0);
    _cleanup_json_ json_t *context = facts_context(facts);
    json_object_set_new(context, "images", json_pack("{ss}", "busybox", "docker.io/library/busybox:1.35.0"));
    const struct mustache_options options = {.format = FORMAT_YAML, .strict = true, .partials = "templates"};
    assert_int_equal(file_read(file, 0, &text, &len, NULL), 0);
    assert_int_equal(mustache_render(file, text, len, context, &options, &out, NULL), 0);
    return out.data;
}

static void takes(const char *file, const char *const *objects)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_proc_ struct proc_result result = {0};
    _cleanup_free_ char *rendered = render(file);
    _cleanup_free_ char *kubeconfig = xasprintf("%s/etc/kubernetes/admin.conf", server.root);
    const char *argv[] = {server.kubectl,     "--kubeconfig", kubeconfig, "apply", "--validate",
                          "--dry-run=server", "-f",           "-",        NULL};
    const struct proc proc = {.argv = argv, .input = rendered, .keep_output = true, .deadline = deadline_in(300000)};
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

static void volumes_of_every_kind(void **state)
{
    (void)state;
    static const char *const console[] = {"persistentvolume/console", "persistentvolumeclaim/console", "pod/console",
                                          NULL};
    static const char *const set[] = {"service/store", "statefulset.apps/store", NULL};
    takes(SAMPLES "volumes/console.yaml.mustache", console);
    takes(SAMPLES "volumes/statefulset.yaml.mustache", set);
}

static void an_image_with_an_account_of_its_own(void **state)
{
    (void)state;
    static const char *const pod[] = {"pod/private-image", NULL};
    takes(SAMPLES "registry/pod.yaml.mustache", pod);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello_world_and_both_load_balancers),
        cmocka_unit_test(wordpress_with_volumes),
        cmocka_unit_test(volumes_of_every_kind),
        cmocka_unit_test(an_image_with_an_account_of_its_own),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
