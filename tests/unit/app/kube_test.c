#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <microhttpd.h>

#include "app/kube.h"
#include "lib/core/json.h"

/* What the API server is to say, and what it was asked. */
static struct {
    unsigned code;
    const char *body;
    bool open; /* the answer does not end with the body */
    char method[16], path[128], content_type[64];
    struct buffer received;
} api;

static struct MHD_Daemon *server;
static struct kube *kube;

static ssize_t send_and_hold(void *body, uint64_t at, char *buffer, size_t size)
{
    size_t left = strlen(body) - (size_t)at;
    size_t n = left < size ? left : size;
    memcpy(buffer, (char *)body + at, n);
    return (ssize_t)n;
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_len, void **request)
{
    (void)data;
    (void)version;
    if (*request == NULL) {
        *request = &api;
        buffer_free(&api.received);
        return MHD_YES;
    }
    if (*upload_len > 0) {
        buffer_append(&api.received, upload, *upload_len);
        *upload_len = 0;
        return MHD_YES;
    }
    const char *type = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Type");
    (void)snprintf(api.method, sizeof api.method, "%s", method);
    (void)snprintf(api.path, sizeof api.path, "%s", url);
    (void)snprintf(api.content_type, sizeof api.content_type, "%s", type == NULL ? "" : type);
    struct MHD_Response *response =
        api.open ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, send_and_hold, xstrdup(api.body), free)
                 : MHD_create_response_from_buffer(strlen(api.body), xstrdup(api.body), MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result = MHD_queue_response(connection, api.code, response);
    MHD_destroy_response(response);
    return result;
}

static int set_up(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    server = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_request, NULL, MHD_OPTION_SOCK_ADDR,
                              &address, MHD_OPTION_END);
    if (server == NULL) {
        return -1;
    }
    unsigned port = MHD_get_daemon_info(server, MHD_DAEMON_INFO_BIND_PORT)->port;
    _cleanup_free_ char *url = xasprintf("http://127.0.0.1:%u", port);
    return kube_open(&kube, url, NULL, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    kube_free(kube);
    MHD_stop_daemon(server);
    buffer_free(&api.received);
    return 0;
}

static void answers(unsigned code, const char *body)
{
    api.open = false;
    api.code = code;
    api.body = body;
}

static struct deadline soon(void)
{
    return deadline_in(120000);
}

static const char not_found[] =
    "{\"kind\":\"Status\",\"status\":\"Failure\",\"message\":\"nodes \\\"node-9\\\" not found\",\"code\":404}";

static void an_object_is_read(void **state)
{
    (void)state;
    answers(200, "{\"kind\":\"Node\"}");
    _cleanup_json_ json_t *object = NULL;
    long code = 0;
    assert_int_equal(kube_get(kube, "/api/v1/nodes/node-1", soon(), &object, &code, NULL), 0);
    assert_int_equal(code, 200);
    assert_string_equal(api.method, "GET");
    assert_string_equal(api.path, "/api/v1/nodes/node-1");
    assert_string_equal(json_text(object, "kind"), "Node");
}

static void a_404_returns_its_code_and_the_apis_reason(void **state)
{
    (void)state;
    answers(404, not_found);
    _cleanup_error_ struct error *err = NULL;
    json_t *object = NULL;
    long code = 0;
    assert_int_equal(kube_get(kube, "/api/v1/nodes/node-9", soon(), &object, &code, &err), -1);
    assert_int_equal(code, 404);
    assert_int_equal(err->status, STATUS_API);
    assert_non_null(strstr(err->message, "nodes \"node-9\" not found"));
    assert_null(object);
}

static void an_answer_that_is_not_an_object_is_an_error(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "[]", "<html>", "{\"kind\":"};
    for (size_t i = 0; i < ELEMENTS(bodies); i++) {
        answers(200, bodies[i]);
        _cleanup_error_ struct error *err = NULL;
        json_t *object = NULL;
        assert_int_equal(kube_get(kube, "/api/v1/nodes", soon(), &object, NULL, &err), -1);
        assert_int_equal(err->status, STATUS_API);
    }
}

static void a_text_is_given_as_it_is(void **state)
{
    (void)state;
    answers(200, "ok");
    _cleanup_free_ char *text = NULL;
    assert_int_equal(kube_get_text(kube, "/readyz", soon(), &text, NULL, NULL), 0);
    assert_string_equal(text, "ok");
}

static bool gather(void *context, const char *line)
{
    buffer_printf(context, "[%s]", line);
    return strcmp(line, "enough") != 0;
}

static void a_long_text_comes_line_by_line(void **state)
{
    (void)state;
    _cleanup_buffer_ struct buffer text = {0};
    _cleanup_buffer_ struct buffer lines = {0};
    _cleanup_buffer_ struct buffer expected = {0};
    for (int i = 0; i < 20000; i++) {
        buffer_printf(&text, "line %d\n", i);
        buffer_printf(&expected, "[line %d]", i);
    }
    buffer_puts(&text, "\nthe last");
    buffer_puts(&expected, "[][the last]");
    answers(200, text.data);
    assert_int_equal(kube_get_lines(kube, "/metrics", soon(), gather, &lines, NULL), 0);
    assert_string_equal(lines.data, expected.data);
    answers(403, "{\"message\":\"not you\"}");
    _cleanup_error_ struct error *err = NULL;
    buffer_free(&lines);
    assert_int_equal(kube_get_lines(kube, "/metrics", soon(), gather, &lines, &err), -1);
    assert_non_null(strstr(err->message, "not you"));
    assert_null(lines.data);
}

static void no_more_lines_come_than_are_wanted(void **state)
{
    (void)state;
    _cleanup_buffer_ struct buffer lines = {0};
    answers(200, "one\nenough\ntwo\n");
    assert_int_equal(kube_get_lines(kube, "/metrics", soon(), gather, &lines, NULL), 0);
    assert_string_equal(lines.data, "[one][enough]");
    buffer_free(&lines);
    answers(200, "one\nenough");
    assert_int_equal(kube_get_lines(kube, "/metrics", soon(), gather, &lines, NULL), 0);
    assert_string_equal(lines.data, "[one][enough]");
}

static bool until_ready(void *seen, const json_t *object)
{
    (*(int *)seen)++;
    const char *ready = kube_condition(object, "Ready", NULL);
    return ready == NULL || strcmp(ready, "True") != 0;
}

#define EVENT(type, ready)                                                                                             \
    "{\"type\":\"" type "\",\"object\":{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"" ready "\"}]}}}" \
    "\n"

static void a_watch_ends_with_what_is_waited_for(void **state)
{
    (void)state;
    int seen = 0;
    answers(200,
            EVENT("ADDED", "Unknown") EVENT("DELETED", "True") EVENT("MODIFIED", "True") EVENT("MODIFIED", "True"));
    assert_int_equal(kube_watch(kube, "/api/v1/nodes", soon(), until_ready, &seen, NULL), 0);
    assert_string_equal(api.path, "/api/v1/nodes");
    assert_int_equal(seen, 2);
}

static void a_watch_that_ends_before_is_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *events, *says;
    } cases[] = {
        {EVENT("ADDED", "False"), "no reason given"},
        {EVENT("ADDED", "False") "{\"type\":\"ERROR\",\"object\":{\"message\":\"too old\"}}\n", "too old"},
        {"garbage\n", "garbage"},
    };
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_error_ struct error *err = NULL;
        int seen = 0;
        answers(200, cases[i].events);
        assert_int_equal(kube_watch(kube, "/api/v1/nodes", soon(), until_ready, &seen, &err), -1);
        assert_int_equal(err->status, STATUS_API);
        assert_non_null(strstr(err->message, cases[i].says));
    }
}

static void a_watch_without_the_change_names_no_fault_of_the_api_server(void **state)
{
    (void)state;
    static const int limits[] = {500, 10000,
                                 60000}; /* on a loaded machine the first may pass before there was an answer */
    _cleanup_error_ struct error *err = NULL;
    int seen = 0;
    answers(200, EVENT("ADDED", "False"));
    api.open = true;
    for (size_t i = 0; i < ELEMENTS(limits) && seen == 0; i++) {
        error_freep(&err);
        assert_int_equal(kube_watch(kube, "/api/v1/nodes", deadline_in(limits[i]), until_ready, &seen, &err), -1);
    }
    assert_int_equal(err->status, STATUS_DEADLINE);
    assert_true(str_ends(err->message, "/api/v1/nodes: no further change"));
    assert_int_equal(seen, 1);
}

static void a_failing_readyz_reports_only_the_failed_checks(void **state)
{
    (void)state;
    answers(500,
            "[+]ping ok\n[-]etcd failed: reason withheld\n[+]log ok\n[-]poststarthook failed\nreadyz check failed\n");
    _cleanup_error_ struct error *err = NULL;
    char *text = NULL;
    assert_int_equal(kube_get_text(kube, "/readyz", soon(), &text, NULL, &err), -1);
    assert_true(str_ends(err->message, "500: [-]etcd failed: reason withheld, [-]poststarthook failed"));
}

static void a_patch_is_a_merge_patch(void **state)
{
    (void)state;
    answers(200, "{}");
    _cleanup_json_ json_t *patch = json_pack("{s:{s:b}}", "spec", "unschedulable", 1);
    assert_int_equal(kube_merge_patch(kube, "/api/v1/nodes/node-1", patch, soon(), NULL), 0);
    assert_string_equal(api.method, "PATCH");
    assert_string_equal(api.content_type, "application/merge-patch+json");
    assert_string_equal(api.received.data, "{\"spec\":{\"unschedulable\":true}}");
    answers(404, not_found);
    assert_int_equal(kube_merge_patch(kube, "/api/v1/nodes/node-9", patch, soon(), NULL), -1);
}

static void a_409_is_returned_through_code(void **state)
{
    (void)state;
    answers(409, "{\"message\":\"already exists\"}");
    _cleanup_json_ json_t *object = json_pack("{s:s}", "kind", "Secret");
    long code = 0;
    assert_int_equal(kube_post(kube, "/api/v1/namespaces/kube-system/secrets", object, soon(), &code, NULL), 0);
    assert_int_equal(code, 409);
    assert_string_equal(api.content_type, "application/json");
    assert_string_equal(api.received.data, "{\"kind\":\"Secret\"}");
    assert_int_equal(kube_post(kube, "/x", object, soon(), NULL, NULL), -1);
}

static void a_404_is_returned_through_code(void **state)
{
    (void)state;
    answers(404, not_found);
    long code = 0;
    assert_int_equal(kube_delete(kube, "/api/v1/nodes/node-9", soon(), &code, NULL), 0);
    assert_int_equal(code, 404);
    assert_string_equal(api.method, "DELETE");
    assert_int_equal(kube_delete(kube, "/api/v1/nodes/node-9", soon(), NULL, NULL), -1);
}

static void a_server_that_does_not_answer_is_status_api(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    struct kube *nobody __attribute__((cleanup(kube_freep))) = NULL;
    assert_int_equal(kube_open(&nobody, "http://127.0.0.1:1", NULL, NULL), 0);
    json_t *object = NULL;
    long code = 7;
    assert_int_equal(kube_get(nobody, "/api/v1/nodes", soon(), &object, &code, &err), -1);
    assert_int_equal(err->status, STATUS_API);
    assert_int_equal(code, 0);
}

static void conditions_are_found_by_type(void **state)
{
    (void)state;
    _cleanup_json_ json_t *node = json_pack(
        "{s:{s:[{s:s,s:s},{s:s,s:s,s:s,s:s},{s:s,s:s,s:s}]}}", "status", "conditions", "type", "MemoryPressure",
        "status", "False", "type", "Ready", "status", "Unknown", "reason", "NodeStatusUnknown", "message",
        "Kubelet stopped posting node status.", "type", "PIDPressure", "status", "True", "reason", "Many");
    const char *reason = NULL;
    assert_string_equal(kube_condition(node, "Ready", &reason), "Unknown");
    assert_string_equal(reason, "Kubelet stopped posting node status.");
    assert_string_equal(kube_condition(node, "PIDPressure", &reason), "True");
    assert_string_equal(reason, "Many");
    assert_string_equal(kube_condition(node, "MemoryPressure", NULL), "False");
    assert_null(kube_condition(node, "DiskPressure", NULL));
    assert_null(kube_condition(NULL, "Ready", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_is_read),
        cmocka_unit_test(a_404_returns_its_code_and_the_apis_reason),
        cmocka_unit_test(an_answer_that_is_not_an_object_is_an_error),
        cmocka_unit_test(a_text_is_given_as_it_is),
        cmocka_unit_test(a_long_text_comes_line_by_line),
        cmocka_unit_test(no_more_lines_come_than_are_wanted),
        cmocka_unit_test(a_watch_ends_with_what_is_waited_for),
        cmocka_unit_test(a_watch_that_ends_before_is_an_error),
        cmocka_unit_test(a_watch_without_the_change_names_no_fault_of_the_api_server),
        cmocka_unit_test(a_failing_readyz_reports_only_the_failed_checks),
        cmocka_unit_test(a_patch_is_a_merge_patch),
        cmocka_unit_test(a_409_is_returned_through_code),
        cmocka_unit_test(a_404_is_returned_through_code),
        cmocka_unit_test(a_server_that_does_not_answer_is_status_api),
        cmocka_unit_test(conditions_are_found_by_type),
    };
    return cmocka_run_group_tests_name("kube", tests, set_up, tear_down);
}
