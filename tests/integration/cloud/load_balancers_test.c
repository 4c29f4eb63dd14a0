/* Services of type LoadBalancer as the user guide has them, given to a real API server with the admission of the
 * master, and without it: what is stored is what the cloud controller makes the promised load balancer of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <libgen.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/facts/facts.h"
#include "app/paths.h"
#include "hooks/addons/addons_context.h"
#include "hooks/engine/run.h"
#include "hooks/steps/cloud/load_balancers.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
#include "lib/net/http.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "lib/text/mustache.h"
#include "tests/lab/shared/apiserver.h"

#define SAMPLES "templates/client/sample/"
#define ADDRESS "127.0.0.1:10270" /* that of templates/host/admission.socket: see set_up */

static const struct role master = {.name = "master", .state = STATE_ON_DATA, .control_plane = true};
static struct apiserver server;
static struct conf conf;
static struct host self = {.role = "master"};
static struct facts facts = {.self = &self};
static pid_t listener;

static struct run new_run(void)
{
    struct run run = {
        .role = &master, .conf = &conf, .facts = &facts, .root = server.root, .deadline = deadline_in(600000)};
    _cleanup_error_ struct error *err = NULL;
    if (apiserver_kube(&server, &run.kube, &err) < 0) {
        fail_msg("%s", err->message);
    }
    return run;
}

/* In the place of systemd and k8s-admission.socket. */
static void start_admission(void)
{
    char self_path[4096] = "";
    assert_true(readlink("/proc/self/exe", self_path, sizeof self_path - 1) > 0);
    _cleanup_free_ char *program = xasprintf("%s/../../../bin/k8s-master", dirname(self_path));
    pid_t parent = getpid();
    listener = fork();
    if (listener == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent && freopen("/dev/null", "w", stderr) != NULL) {
            execlp("systemd-socket-activate", "systemd-socket-activate", "--accept", "--inetd", "-l", ADDRESS, program,
                   "admit", "--root", server.root, (char *)NULL);
        }
        _exit(127);
    }
    struct deadline deadline = deadline_in(300000);
    const struct http_request get = {.url = "https://" ADDRESS "/"};
    _cleanup_(http_freep) struct http *http = NULL;
    assert_int_equal(http_open(&http, &(struct http_tls){.self_signed = true}, NULL), 0);
    for (;;) {
        _cleanup_answer_ struct http_answer answer = {0};
        if (http_do(http, &get, deadline_earlier(deadline, deadline_in(60000)), STATUS_FAILED, &answer, NULL) == 0) {
            assert_int_equal(answer.code, 405);
            return;
        }
        assert_true(deadline_left(deadline) > 0);
        (void)usleep(20000);
    }
}

static void stop_admission(void)
{
    (void)kill(listener, SIGKILL);
    (void)waitpid(listener, NULL, 0);
}

/* *SHOWN (may be NULL) gets what the user sees. */
static void kubectl(const char *const *arguments, const char *input, char **shown)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_proc_ struct proc_result result = {0};
    _cleanup_free_ char *kubeconfig = xasprintf("%s/etc/kubernetes/admin.conf", server.root);
    const char *argv[16] = {server.kubectl, "--kubeconfig", kubeconfig};
    for (size_t i = 0; arguments[i] != NULL; i++) {
        argv[i + 3] = arguments[i];
    }
    const struct proc proc = {.argv = argv, .input = input, .keep_output = true, .deadline = deadline_in(300000)};
    if (proc_run(&proc, &result, &err) < 0) {
        fail_msg("%s", err->message);
    }
    if (shown != NULL) {
        *shown = xstrdup(result.tail);
    }
}

#define KUBECTL(input, shown, ...) kubectl((const char *const[]){__VA_ARGS__, NULL}, input, shown)

static json_t *get_service(const char *name)
{
    struct run run = new_run();
    _cleanup_free_ char *path = xasprintf("/api/v1/namespaces/default/services/%s", name);
    json_t *service = NULL;
    assert_int_equal(kube_get(run.kube, path, deadline_in(120000), &service, NULL, NULL), 0);
    kube_free(run.kube);
    return service;
}

static const char *annotation(const json_t *service, const char *name)
{
    return json_text_at(service, "metadata", "annotations", name, NULL);
}

/* What the cloud controller v1.4.10 does with a Service: ParseServiceLBConfig, then CreateLB. */
static const char *controller_makes(const json_t *service)
{
    const json_t *annotations = json_object_get(json_object_get(service, "metadata"), "annotations");
    const char *network = annotation(service, BALANCER "network-type");
    const char *eips = annotation(service, BALANCER "eip-ids");
    bool vxnet =
        annotation(service, BALANCER "vxnet-id") != NULL || (network != NULL && strcmp(network, "internal") == 0);
    if (json_object_size(annotations) == 0) {
        return "refused: annotation is empty";
    }
    if (annotation(service, BALANCER "id") != NULL) {
        return "reused";
    }
    bool eip = (eips != NULL && *eips != '\0') || annotation(service, BALANCER "eip-source") != NULL;
    return eip && vxnet ? "both" : eip ? "public" : vxnet ? "private" : "refused: need vxnet or eip";
}

static void assert_made(const char *name, const char *expected)
{
    _cleanup_json_ json_t *service = get_service(name);
    assert_string_equal(controller_makes(service), expected);
}

/* Deploys a Service with ANNOTATIONS (JSON; NULL: none) as a user does. */
static void deploy(const char *name, const char *type, const char *annotations, char **shown)
{
    _cleanup_free_ char *text =
        xasprintf("{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": {\"name\": \"%s\"%s%s},"
                  "\"spec\": {\"type\": \"%s\", \"ports\": [{\"port\": 80}], \"selector\": {\"app\": \"a\"}}}",
                  name, annotations != NULL ? ", \"annotations\": " : "", annotations != NULL ? annotations : "", type);
    KUBECTL(text, shown, "apply", "-f", "-");
}

/* The API server goes on without an answer after the manifest's three seconds, which a loaded machine may need to start
 * the program. What is answered is tested here, and not how fast: it has the longest time there is. */
static void allow_thirty_seconds(struct buffer *manifest)
{
    assert_true(str_ends(manifest->data, "timeoutSeconds: 3\n"));
    manifest->len -= strlen("\n");
    buffer_puts(manifest, "0\n");
}

static int set_up(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(ADMISSION_PORT, 10270);
    /* as program_start does: a request that is too large is answered before it is sent */
    (void)signal(SIGPIPE, SIG_IGN);
    conf.addons.enabled = true;
    conf.addons.skip = xcalloc(1, sizeof *conf.addons.skip);
    /* a network of its own, as the port is fixed, with a default route, as the API server looks for one */
    static const char network[] =
        "ip link set lo up && ip link add eth0 type veth peer name eth1 && ip link set eth0 up && "
        "ip link set eth1 up && ip address add 192.168.0.2/24 dev eth0 && ip route add default via 192.168.0.1";
    if (unshare(CLONE_NEWNET) < 0 || proc_exec(deadline_in(300000), &err, "sh", "-c", network, NULL) < 0 ||
        apiserver_start(&server, &err) < 0) {
        print_error("%s\n", err != NULL ? err->message : "no network namespace");
        return -1;
    }
    struct run run = new_run();
    _cleanup_free_ char *directory = path_join(server.root, STATE_ON_DATA);
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    _cleanup_buffer_ struct buffer out = {0};
    assert_int_equal(dir_make(directory, 0700, NULL), 0);
    assert_int_equal(step_issue_admission_certificate.done(&run, NULL), 0);
    assert_int_equal(step_issue_admission_certificate.apply(&run, NULL), 0);
    assert_int_equal(step_issue_admission_certificate.done(&run, NULL), 1);
    start_admission();
    _cleanup_json_ json_t *context = json_pack("{s{si}}", "admission", "port", ADMISSION_PORT);
    addons_put_admission(&run, context);
    assert_int_equal(file_read("templates/addons/admission.yaml.mustache", 0, &text, &len, NULL), 0);
    const struct mustache_options options = {.format = FORMAT_YAML, .strict = true};
    assert_int_equal(mustache_render("admission", text, len, context, &options, &out, NULL), 0);
    allow_thirty_seconds(&out);
    KUBECTL(out.data, NULL, "apply", "-f", "-");
    kube_free(run.kube);
    /* the API server reads its webhooks a moment after they were written */
    struct deadline deadline = deadline_in(300000);
    for (bool seen = false; !seen;) {
        _cleanup_free_ char *shown = NULL;
        deploy("first", "LoadBalancer", NULL, NULL);
        _cleanup_json_ json_t *service = get_service("first");
        seen = annotation(service, BALANCER_NETWORK) != NULL;
        KUBECTL(NULL, NULL, "delete", "service", "first");
        assert_true(seen || deadline_left(deadline) > 0);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stop_admission();
    apiserver_stop(&server);
    strv_free(conf.addons.skip);
    return 0;
}

static void the_guides_private_example_is_private(void **state)
{
    (void)state;
    _cleanup_free_ char *shown = NULL;
    deploy("helloworld-internal", "LoadBalancer", NULL, &shown);
    assert_non_null(strstr(shown, "Warning: no annotation chooses a network"));
    assert_made("helloworld-internal", "private");
    _cleanup_json_ json_t *service = get_service("helloworld-internal");
    assert_non_null(strstr(annotation(service, BALANCER_MARK), "written by k8s-hooks"));
}

static void the_guides_public_example_is_untouched(void **state)
{
    (void)state;
    static const char annotations[] = "{\"" BALANCER "eip-ids\": \"eip-1\", \"" BALANCER "type\": \"0\"}";
    _cleanup_free_ char *shown = NULL;
    deploy("helloworld", "LoadBalancer", annotations, &shown);
    assert_null(strstr(shown, "Warning"));
    assert_made("helloworld", "public");
    _cleanup_json_ json_t *service = get_service("helloworld");
    /* and kubectl's own */
    assert_int_equal(json_object_size(json_object_get(json_object_get(service, "metadata"), "annotations")), 3);
}

static void only_what_chooses_no_network_gets_the_default(void **state)
{
    (void)state;
    static const struct {
        const char *name, *annotations, *made;
    } table[] = {
        {"of-a-size", "{\"" BALANCER "type\": \"1\"}", "private"},
        {"at-an-address", "{\"" BALANCER "internal-ip\": \"192.168.0.9\"}", "private"},
        {"of-others", "{\"team\": \"web\"}", "private"},
        {"in-a-vxnet", "{\"" BALANCER "vxnet-id\": \"vxnet-other\"}", "private"},
        {"any-eip", "{\"" BALANCER "eip-source\": \"auto\"}", "public"},
        {"shared", "{\"" BALANCER "id\": \"lb-1\", \"" BALANCER "eip-strategy\": \"reuse-lb\"}", "reused"},
        {"says-public", "{\"" BALANCER "network-type\": \"public\"}", "refused: need vxnet or eip"},
        {"exempt", "{\"k8s-hooks/reconcile\": \"disabled\"}", "refused: need vxnet or eip"},
    };
    for (size_t i = 0; i < ELEMENTS(table); i++) {
        deploy(table[i].name, "LoadBalancer", table[i].annotations, NULL);
        _cleanup_json_ json_t *service = get_service(table[i].name);
        if (strcmp(controller_makes(service), table[i].made) != 0) {
            fail_msg("%s: %s instead of %s", table[i].name, controller_makes(service), table[i].made);
        }
        bool defaulted = annotation(service, BALANCER_MARK) != NULL;
        assert_int_equal(defaulted, i < 3);
    }
}

static void another_type_is_untouched_until_it_becomes_a_load_balancer(void **state)
{
    (void)state;
    deploy("inner", "ClusterIP", "{\"a\": \"b\"}", NULL);
    _cleanup_json_ json_t *before = get_service("inner");
    assert_null(annotation(before, BALANCER_NETWORK));
    deploy("inner", "LoadBalancer", "{\"a\": \"b\"}", NULL);
    assert_made("inner", "private");
    /* applied again as the user has it, and replaced by it */
    deploy("inner", "LoadBalancer", "{\"a\": \"c\"}", NULL);
    assert_made("inner", "private");
    _cleanup_json_ json_t *now = get_service("inner");
    json_object_del(json_object_get(now, "metadata"), "annotations");
    _cleanup_free_ char *text = json_dumps(now, 0);
    KUBECTL(text, NULL, "replace", "-f", "-");
    assert_made("inner", "private");
}

static void a_public_one_chosen_later_takes_the_default_away(void **state)
{
    (void)state;
    deploy("later", "LoadBalancer", NULL, NULL);
    assert_made("later", "private");
    deploy("later", "LoadBalancer", "{\"" BALANCER "eip-ids\": \"eip-1\"}", NULL);
    assert_made("later", "public");
    _cleanup_json_ json_t *service = get_service("later");
    assert_null(annotation(service, BALANCER_MARK));
}

/* As the add-on engine applies it: the annotation is not the manifest's, and stays. */
static void istios_ingress_is_private(void **state)
{
    (void)state;
    static const char ingress[] =
        "apiVersion: v1\nkind: Service\nmetadata:\n  annotations: null\n  name: istio-ingressgateway\n"
        "  namespace: default\n  labels: {istio: ingressgateway, release: istio}\n"
        "spec:\n  type: LoadBalancer\n  selector: {istio: ingressgateway}\n"
        "  ports:\n  - {name: status-port, port: 15021, targetPort: 15021, protocol: TCP}\n"
        "  - {name: http2, port: 80, targetPort: 8080, protocol: TCP}\n";
    for (int i = 0; i < 2; i++) {
        KUBECTL(ingress, NULL, "apply", "--server-side", "--force-conflicts", "--field-manager=k8s-hooks", "-f", "-");
        assert_made("istio-ingressgateway", "private");
    }
}

static void the_samples_get_what_their_text_says(void **state)
{
    (void)state;
    KUBECTL(NULL, NULL, "apply", "-f", SAMPLES "helloworld/service.yaml.mustache");
    KUBECTL(NULL, NULL, "apply", "-f", SAMPLES "wordpress/wordpress.yaml.mustache");
    assert_made("helloworld", "public");
    assert_made("helloworld-internal", "private");
    assert_made("wordpress", "private");
}

static int events_of(const char *name)
{
    struct run run = new_run();
    _cleanup_free_ char *path =
        xasprintf("/api/v1/namespaces/default/events?fieldSelector=involvedObject.name=%s", name);
    _cleanup_json_ json_t *list = NULL;
    assert_int_equal(kube_get(run.kube, path, deadline_in(120000), &list, NULL, NULL), 0);
    kube_free(run.kube);
    const json_t *items = json_object_get(list, "items");
    for (size_t i = 0; i < json_array_size(items); i++) {
        assert_string_equal(json_text(json_array_get(items, i), "reason"), "LoadBalancerDefault");
    }
    return (int)json_array_size(items);
}

static void what_admission_has_missed_is_reconciled(void **state)
{
    (void)state;
    stop_admission();
    deploy("missed", "LoadBalancer", NULL, NULL);
    deploy("missed-inner", "ClusterIP", NULL, NULL);
    _cleanup_json_ json_t *before = get_service("missed");
    assert_null(annotation(before, BALANCER_NETWORK));

    struct run run = new_run();
    assert_int_equal(step_default_load_balancers.done(&run, NULL), 0);
    assert_int_equal(step_default_load_balancers.apply(&run, NULL), 0);
    assert_int_equal(step_default_load_balancers.done(&run, NULL), 1);
    assert_made("missed", "private");
    assert_int_equal(events_of("missed"), 1);
    assert_int_equal(events_of("missed-inner"), 0);

    /* nothing more to do: nothing is written */
    _cleanup_json_ json_t *after = get_service("missed");
    assert_int_equal(step_default_load_balancers.apply(&run, NULL), 0);
    _cleanup_json_ json_t *again = get_service("missed");
    assert_string_equal(json_text_at(after, "metadata", "resourceVersion", NULL),
                        json_text_at(again, "metadata", "resourceVersion", NULL));
    assert_int_equal(events_of("missed"), 1);

    strv_push(&conf.addons.skip, "cloud-controller");
    KUBECTL(NULL, NULL, "annotate", "service", "missed", BALANCER "network-type-");
    assert_int_equal(step_default_load_balancers.done(&run, NULL), 1);
    free(conf.addons.skip[0]);
    conf.addons.skip[0] = NULL;
    kube_free(run.kube);
    start_admission();
}

static void what_is_no_review_is_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "{", "[]", "{\"request\": 1}", "\x01\x02"};
    _cleanup_(http_freep) struct http *http = NULL;
    assert_int_equal(http_open(&http, &(struct http_tls){.self_signed = true}, NULL), 0);
    for (size_t i = 0; i < ELEMENTS(bodies); i++) {
        _cleanup_answer_ struct http_answer answer = {0};
        const struct http_request post = {
            .method = "POST", .url = "https://" ADDRESS "/", .body = bodies[i], .body_len = strlen(bodies[i])};
        assert_int_equal(http_do(http, &post, deadline_in(120000), STATUS_FAILED, &answer, NULL), 0);
        assert_true(answer.code == 400 || (answer.code == 411 && i == 0));
    }
    _cleanup_free_ char *large = xcalloc((size_t)9 << 20, 1);
    memset(large, ' ', ((size_t)9 << 20) - 1);
    _cleanup_answer_ struct http_answer answer = {0};
    const struct http_request post = {
        .method = "POST", .url = "https://" ADDRESS "/", .body = large, .body_len = strlen(large)};
    if (http_do(http, &post, deadline_in(120000), STATUS_FAILED, &answer, NULL) == 0) {
        assert_int_equal(answer.code, 413);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_guides_private_example_is_private),
        cmocka_unit_test(the_guides_public_example_is_untouched),
        cmocka_unit_test(only_what_chooses_no_network_gets_the_default),
        cmocka_unit_test(another_type_is_untouched_until_it_becomes_a_load_balancer),
        cmocka_unit_test(a_public_one_chosen_later_takes_the_default_away),
        cmocka_unit_test(istios_ingress_is_private),
        cmocka_unit_test(the_samples_get_what_their_text_says),
        cmocka_unit_test(what_admission_has_missed_is_reconciled),
        cmocka_unit_test(what_is_no_review_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
