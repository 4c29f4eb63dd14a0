/* The client's k8s-dashboard against a real API server: what its tokens may do. */
#include <unistd.h>

#include "lib/core/json.h"
#include "lib/crypto/crypto.h"
#include "tests/integration/addons/manifests_fixture.h"

#define COMMAND "tests/golden/rendered/ssd-nodes/client/opt/kubernetes/bin/k8s-dashboard"

static void apply_dashboard(void)
{
    static const char *const apply[] = {"apply", "--server-side", "--force-conflicts", "--filename=-", NULL};
    const struct run run = new_run();
    _cleanup_error_ struct error *err = NULL;
    _cleanup_json_ json_t *cluster = load("smallest");
    _cleanup_json_ json_t *context = context_of(cluster);
    _cleanup_rendered_addons_ struct rendered_addons addons = {0};
    must(addons_render(&addons, &conf, context, false, &err), &err);
    for (size_t i = 0; i < addons.n; i++) {
        if (strcmp(addons.list[i].name, "dashboard") == 0) {
            must(kubectl(&run, apply, addons.list[i].text, NULL, &err), &err);
        }
    }
}

static char *token_of(const char *option)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *bin = path_join(conf.paths.opt, "bin");
    _cleanup_free_ char *path = xasprintf("PATH=%s:%s", bin, getenv("PATH"));
    _cleanup_free_ char *kubeconfig = xasprintf("KUBECONFIG=%s/etc/kubernetes/admin.conf", server.root);
    const struct proc proc = {
        .argv = (const char *const[]){"sh", COMMAND, "--token", option, NULL},
        .environment = (const char *const[]){path, kubeconfig, NULL},
        .keep_output = true,
        .deadline = deadline_in(300000),
    };
    _cleanup_proc_ struct proc_result result = {0};
    must(proc_run(&proc, &result, &err), &err);
    char *token = xstrdup(result.output);
    token[strcspn(token, "\n")] = '\0';
    return token;
}

/* The HTTP status that the API answers the bearer of TOKEN. */
static long answer(const char *token, const char *method, const char *path)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *ca = path_join(server.root, "certs/apiserver.crt");
    _cleanup_free_ char *url = xasprintf("%s%s", server.url, path);
    _cleanup_free_ char *authorization = xasprintf("Authorization: Bearer %s", token);
    _cleanup_(http_freep) struct http *http = NULL;
    _cleanup_answer_ struct http_answer result = {0};
    const char *const headers[] = {authorization, NULL};
    const struct http_request request = {.method = method, .url = url, .headers = headers};
    must(http_open(&http, &(struct http_tls){.ca = ca}, &err), &err);
    must(http_do(http, &request, deadline_in(60000), STATUS_API, &result, &err), &err);
    return result.code;
}

/* The API server sees new bindings a moment after they were written. */
static void assert_allowed(const char *token, const char *method, const char *path)
{
    struct deadline deadline = deadline_in(120000);
    long code = answer(token, method, path);
    while (code == 403 && deadline_left(deadline) > 0) {
        (void)usleep(100000);
        code = answer(token, method, path);
    }
    assert_int_equal(code, 200);
}

/* The cluster role `view` is filled by the controller manager, which does not run here: e2e looks at pods. */
static void test_the_viewers_token_reads_and_changes_nothing(void **state)
{
    (void)state;
    _cleanup_free_ char *token = token_of(NULL);
    assert_allowed(token, "GET", "/api/v1/nodes");
    assert_allowed(token, "GET", "/apis/storage.k8s.io/v1/storageclasses");
    assert_int_equal(answer(token, "GET", "/api/v1/secrets"), 403);
    assert_int_equal(answer(token, "GET", "/api/v1/namespaces/kubernetes-dashboard/secrets"), 403);
    assert_int_equal(answer(token, "DELETE", "/api/v1/namespaces/kubernetes-dashboard"), 403);
    assert_int_equal(answer("no-token", "GET", "/api/v1/nodes"), 401);
}

static void test_the_administrators_token_may_do_all(void **state)
{
    (void)state;
    _cleanup_free_ char *token = token_of("--admin");
    assert_allowed(token, "GET", "/api/v1/secrets");
    assert_allowed(token, "DELETE", "/api/v1/namespaces/kubernetes-dashboard/services/dashboard-metrics-scraper");
}

static void test_a_token_is_valid_for_an_hour(void **state)
{
    (void)state;
    _cleanup_free_ char *token = token_of(NULL);
    _cleanup_strv_ char **part = strv_split(token);
    assert_int_equal(strv_length(part), 1);
    char *payload = strchr(token, '.') + 1;
    payload[strcspn(payload, ".")] = '\0';
    _cleanup_free_ char *padded =
        xasprintf("%s%s", payload, "===" + (strlen(payload) % 4 == 0 ? 3 : strlen(payload) % 4 - 1));
    for (char *p = padded; *p != '\0'; p++) {
        *p = (char)(*p == '-' ? '+' : *p == '_' ? '/' : *p);
    }
    _cleanup_error_ struct error *err = NULL;
    unsigned char *data = NULL;
    size_t len = 0;
    must(base64_decode(padded, &data, &len, &err), &err);
    _cleanup_json_ json_t *claims = json_loadb((const char *)data, len, 0, NULL);
    free(data);
    json_int_t seconds =
        json_integer_value(json_object_get(claims, "exp")) - json_integer_value(json_object_get(claims, "iat"));
    assert_int_equal(seconds, 3600);
    assert_string_equal(json_text(claims, "sub"), "system:serviceaccount:kubernetes-dashboard:viewer");
}

static int set_up_dashboard(void **state)
{
    if (set_up(state) < 0) {
        return -1;
    }
    apply_dashboard();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_viewers_token_reads_and_changes_nothing),
        cmocka_unit_test(test_a_token_is_valid_for_an_hour),
        cmocka_unit_test(test_the_administrators_token_may_do_all),
    };
    return releases_there() ? cmocka_run_group_tests(tests, set_up_dashboard, tear_down) : 0;
}
