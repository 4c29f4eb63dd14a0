#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "app/facts/parameters.h"

#define KEY "ABCDEFGHIJKLMNOPQRST"
#define SECRET "0123456789abcdefghijABCDEFGHIJ0123456789"
#define MOST 16
#define PEM_BEGIN "-----BEGIN CERTIFICATE-----"
#define PEM_END "-----END CERTIFICATE-----"
#define DER                                                                                                            \
    "MIIBfjCCASWgAwIBAgIUMlqf2nvL25dvefhxLXqpVLaOdNkwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJSGFyYm9yIENBMCAXDTI2"             \
    "MTEyNjAzNDcxMloYDzIxMjYxMTAyMDM0NzEyWjAUMRIwEAYDVQQDDAlIYXJib3IgQ0EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC"             \
    "AAQOqSNuiSsnul+/oeWlTM0QpPRTYpr6f6oB8JLBzSu92B3yK7tMJWeToGjsGYTLGVdOH4RBhPQvJtNQ0tpexP2Vo1MwUTAdBgNV"             \
    "HQ4EFgQUpySMpyEH6HBEIvIAiLbz8PgYn5cwHwYDVR0jBBgwFoAUpySMpyEH6HBEIvIAiLbz8PgYn5cwDwYDVR0TAQH/BAUwAwEB"             \
    "/zAKBggqhkjOPQQDAgNHADBEAiBLgvjbFZ8keN7tyLJWZqPLyulQ0hlekaIfaR1xqLLppAIgLaYPrzNxBjJfhnEsP5M0nfXyASL0"             \
    "OyqSsiAVqEinRIw="

static const struct {
    const char *key;
    const char *good[MOST];
    const char *bad[MOST];
} values[] = {
    {"access_key_id",
     {KEY},
     {"", "ABCDEFGHIJKLMNOPQRS", KEY "U", "abcdefghijklmnopqrst", "ABCDEFGHIJKLMNOPQR1T", KEY "\n"}},
    {"secret_access_key", {SECRET}, {"", "0123456789", SECRET "x", "0123456789abcdefghijABCDEFGHIJ012345678-"}},
    {"api_external_domain",
     {"k8s.cluster.local", "a"},
     {"", "a b", "K8S.local", "a.", "http://a", "a:6443", "a_b", "10.0.0.1", "*.a", "中文", "{{x}}", "a\"b"}},
    {"cluster_port_range",
     {"30000-32767", "1-65535", "80-80"},
     {"", "30000", "30000-", "-32767", "32767-30000", "0-10", "1-65536", "1-2-3", "1 - 2", "a-b"}},
    {"max_pods",
     {"60", "80", "100", "120", "150", "180", "240"},
     {"", "0", "61", "59", "250", "060", "60.0", "-60", "60 "}},
    {"enable_hostnic", {"true", "false"}, {"", "yes", "True", "1", "false "}},
    {"pod_vxnets",
     {"", "vxnet-abcde", "vxnet-abcde12345 vxnet-ab12c", "  vxnet-abcde\tvxnet-fghij\n"},
     {"vxnet-abcd", "vxnet-abcdefghijk", "vxnet-ABCDE", "vxnet-abcde,vxnet-fghij", "abcde", "vxnet-", "vxnet-abcde x"}},
    {"registry-mirrors",
     {"", "https://registry.docker-cn.com", "http://10.0.0.1:5000 https://a.b:443/"},
     {"registry.docker-cn.com", "ftp://a", "http://a http://", "http://u@a", "http://a?b", "http://a\"b",
      "https://a,https://b"}},
    {"insecure-registries",
     {"", "10.0.0.1:5000", "hub hub:80 10.0.0.0/8"},
     {"http://hub", "hub/x", "hub:0", "10.0.0.0/33", "hub hub:", "[\"a\"]", "10.0.0.0/8,hub"}},
    {"private-registry",
     {"", "hub.example.com", "10.0.0.1:5000"},
     {"http://hub", "hub/x", "a b", "hub:x", "10.0.0.0/8", "{{x}}"}},
    {"registry_ca",
     {"", PEM_BEGIN DER PEM_END, PEM_BEGIN " " DER " " PEM_END " " PEM_BEGIN "\r\n" DER "\n" PEM_END "\n"},
     {" ", "/root/ca.crt", DER, PEM_BEGIN DER, PEM_BEGIN PEM_END, PEM_BEGIN "x" DER PEM_END, PEM_BEGIN DER DER PEM_END,
      PEM_BEGIN DER PEM_END "-----BEGIN PRIVATE KEY-----" DER "-----END PRIVATE KEY-----",
      "-----BEGIN PRIVATE KEY-----" DER "-----END PRIVATE KEY-----", PEM_BEGIN "bm90IGEgY2VydGlmaWNhdGU=" PEM_END}},
    {"dockerhub_username", {"", "guest", "a\"b\n{{c}}", "中文"}, {NULL}},
    {"dockerhub_password", {"", "guest", "$(id)'\"\\\n{{c}}", "密码"}, {NULL}},
    {"docker_bip",
     {"172.30.0.1/16", "192.168.100.254/24", "10.0.0.1/30"},
     {"", "172.30.0.1", "172.30.0.0/16", "172.30.255.255/16", "172.30.0.1/31", "172.30.0.1/7", "172.30.1/16", "x/16"}},
    {"keep_log_days", {"0", "3", "30"}, {"", "31", "-1", "3d", "03"}},
    {"kube_log_level", {"0", "10"}, {"", "11", "-1", "debug"}},
    {"fluent_forward_server",
     {"", "10.0.0.1:24224", "logs.example.com:1"},
     {"10.0.0.1", ":24224", "a:0", "tcp://a:1", "a:1 b:2", "a:1\n"}},
    {"es_server",
     {"", "10.0.0.1:9200", "es:65535"},
     {"es", "es:", "http://es:9200", "es:65536", "es:9200/", "1.2.3:9200"}},
    {"enable_istio", {"yes", "no"}, {"", "true", "Yes"}},
    {"enable_helm", {"yes", "no"}, {"", "false", "no "}},
};

static json_t *environment(const char *key, const char *value)
{
    json_t *env = json_pack("{s:s, s:s}", "access_key_id", KEY, "secret_access_key", SECRET);
    if (key != NULL) {
        json_object_set_new(env, key, json_string(value));
    }
    if (key != NULL && strcmp(key, "registry_ca") == 0) {
        json_object_set_new(env, "private-registry", json_string("hub.example.com"));
    }
    return env;
}

/* Reads ENV (taken over) and gives the message's lines; NULL when nothing is wrong. */
static char *complaint(json_t *env, struct parameters *parameters)
{
    struct parameters own = {0};
    struct problems problems = {0};
    parameters_read(parameters == NULL ? &own : parameters, env, &problems);
    parameters_clear(&own);
    json_decref(env);
    return problems.text.data;
}

static void every_parameter_is_tried(void **state)
{
    (void)state;
    size_t rows = 0;
    for (const struct parameter *row = parameter_table; row->key != NULL; row++, rows++) {
        assert_true(rows < ELEMENTS(values));
        assert_string_equal(row->key, values[rows].key);
    }
    assert_int_equal(rows, ELEMENTS(values));
}

static void good_values_are_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(values); i++) {
        for (const char *const *value = values[i].good; *value != NULL; value++) {
            _cleanup_free_ char *text = complaint(environment(values[i].key, *value), NULL);
            if (text != NULL) {
                fail_msg("refused %s", text);
            }
        }
    }
}

static void bad_values_are_named_with_what_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(values); i++) {
        const struct parameter *row = &parameter_table[i];
        for (const char *const *value = values[i].bad; *value != NULL; value++) {
            _cleanup_free_ char *text = complaint(environment(row->key, *value), NULL);
            _cleanup_free_ char *quoted = quote(*value);
            _cleanup_free_ char *line = row->secret ? xasprintf("\n  %s: %s", row->key, row->accepted)
                                                    : xasprintf("\n  %s %s: %s", row->key, quoted, row->accepted);
            if (text == NULL) {
                fail_msg("accepted %s %s", row->key, quoted);
            }
            assert_true(str_starts(text, line));
            assert_null(strchr(text + 1, '\n'));
        }
    }
}

static void defaults_are_those_of_the_guide(void **state)
{
    (void)state;
    struct parameters p = {0};
    assert_null(complaint(environment(NULL, NULL), &p));
    assert_string_equal(p.api_external_domain, "k8s.cluster.local");
    assert_int_equal(p.port_low, 30000);
    assert_int_equal(p.port_high, 32767);
    assert_int_equal(p.max_pods, 60);
    assert_false(p.enable_hostnic);
    assert_int_equal(strv_length(p.pod_vxnets), 0);
    assert_int_equal(strv_length(p.registry_mirrors), 1);
    assert_string_equal(p.registry_mirrors[0], "https://registry.docker-cn.com");
    assert_int_equal(strv_length(p.insecure_registries), 0);
    assert_null(p.private_registry);
    assert_null(p.registry_ca);
    assert_null(p.dockerhub_username);
    assert_null(p.dockerhub_password);
    assert_string_equal(p.docker_bip, "172.30.0.1/16");
    assert_int_equal(p.keep_log_days, 3);
    assert_int_equal(p.kube_log_level, 0);
    assert_null(p.fluent_forward_host);
    assert_null(p.es_host);
    assert_false(p.enable_istio);
    assert_false(p.enable_helm);
    parameters_clear(&p);
}

static void values_are_split(void **state)
{
    (void)state;
    struct parameters p = {0};
    json_t *env = environment("pod_vxnets", " vxnet-abcde  vxnet-fghij ");
    json_object_set_new(env, "es_server", json_string("es.example.com:9201"));
    json_object_set_new(env, "fluent_forward_server", json_string("10.0.0.1:24225"));
    json_object_set_new(env, "cluster_port_range", json_string("20000-20100"));
    json_object_set_new(env, "enable_helm", json_string("yes"));
    assert_null(complaint(env, &p));
    assert_int_equal(strv_length(p.pod_vxnets), 2);
    assert_string_equal(p.pod_vxnets[1], "vxnet-fghij");
    assert_string_equal(p.es_host, "es.example.com");
    assert_int_equal(p.es_port, 9201);
    assert_string_equal(p.fluent_forward_host, "10.0.0.1");
    assert_int_equal(p.fluent_forward_port, 24225);
    assert_int_equal(p.port_low, 20000);
    assert_int_equal(p.port_high, 20100);
    assert_true(p.enable_helm);
    assert_false(p.enable_istio);
    parameters_clear(&p);
}

static void all_unacceptable_parameters_are_reported_together(void **state)
{
    (void)state;
    json_t *env =
        json_pack("{s:s, s:s, s:s}", "secret_access_key", "short secret", "max_pods", "61", "docker_bip", "x");
    _cleanup_free_ char *text = complaint(env, NULL);
    assert_string_equal(text,
                        "\n  access_key_id: required: 20 capital letters A-Z"
                        "\n  secret_access_key: 40 letters and digits"
                        "\n  max_pods \"61\": 60, 80, 100, 120, 150, 180 or 240"
                        "\n  docker_bip \"x\": the address of docker0 with its prefix, such as 172.30.0.1/16, from "
                        "/8 to /30");
}

static void the_unacceptable_word_of_a_list_is_named(void **state)
{
    (void)state;
    _cleanup_free_ char *text = complaint(environment("insecure-registries", "hub http://bad 10.0.0.0/8"), NULL);
    assert_string_equal(text,
                        "\n  insecure-registries \"hub http://bad 10.0.0.0/8\": host, host:port or CIDR, separated by "
                        "blanks; \"http://bad\" is not");
}

static void a_value_that_is_not_a_string_is_refused(void **state)
{
    (void)state;
    json_t *env = environment(NULL, NULL);
    json_object_set_new(env, "max_pods", json_integer(60));
    json_object_set_new(env, "es_server", json_object());
    _cleanup_free_ char *text = complaint(env, NULL);
    assert_string_equal(text, "\n  max_pods: not a string in the metadata: 60, 80, 100, 120, 150, 180 or 240"
                              "\n  es_server: not a string in the metadata: empty or host:port");
}

static void hostnic_has_room_for_60_pods(void **state)
{
    (void)state;
    json_t *env = environment("enable_hostnic", "true");
    json_object_set_new(env, "max_pods", json_string("80"));
    _cleanup_free_ char *text = complaint(env, NULL);
    assert_string_equal(text, "\n  max_pods \"80\": at most 60 with enable_hostnic \"true\"");
    env = environment("enable_hostnic", "true");
    json_object_set_new(env, "max_pods", json_string("60"));
    assert_null(complaint(env, NULL));
}

static void a_ca_without_its_registry_is_refused(void **state)
{
    (void)state;
    json_t *env = environment("registry_ca", PEM_BEGIN DER PEM_END);
    json_object_set_new(env, "private-registry", json_string(""));
    _cleanup_free_ char *text = complaint(env, NULL);
    assert_string_equal(text, "\n  registry_ca: only with private-registry, whose certificate it verifies: set that, "
                              "or empty this");
}

/* Docker reads lines of 64 characters, whatever the form made of them. */
static void a_ca_has_its_line_breaks_again(void **state)
{
    (void)state;
    struct parameters p = {0};
    assert_null(complaint(environment("registry_ca", PEM_BEGIN DER PEM_END), &p));
    assert_true(str_starts(p.registry_ca, PEM_BEGIN "\nMIIBfjCC"));
    assert_int_equal(strcspn(strchr(p.registry_ca, '\n') + 1, "\n"), 64);
    assert_true(str_ends(p.registry_ca, "RIw=\n" PEM_END "\n"));
    parameters_clear(&p);
}

static void quoting_keeps_a_message_on_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *quoted;
    } cases[] = {{"", "\"\""},
                 {"a\"b\\c", "\"a\\\"b\\\\c\""},
                 {"a\nb\tc\x1b[0m\x7f", "\"a\\nb\\x09c\\x1b[0m\\x7f\""},
                 {"中文 {{x}}", "\"中文 {{x}}\""}};
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_free_ char *quoted = quote(cases[i].text);
        assert_string_equal(quoted, cases[i].quoted);
    }
    char longer[400] = {0};
    memset(longer, 'x', 119);
    memcpy(longer + 119, "中文", sizeof "中文");
    _cleanup_free_ char *cut = quote(longer);
    assert_true(str_ends(cut, "xx中...\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_parameter_is_tried),
        cmocka_unit_test(good_values_are_accepted),
        cmocka_unit_test(bad_values_are_named_with_what_is_accepted),
        cmocka_unit_test(defaults_are_those_of_the_guide),
        cmocka_unit_test(values_are_split),
        cmocka_unit_test(all_unacceptable_parameters_are_reported_together),
        cmocka_unit_test(the_unacceptable_word_of_a_list_is_named),
        cmocka_unit_test(a_value_that_is_not_a_string_is_refused),
        cmocka_unit_test(hostnic_has_room_for_60_pods),
        cmocka_unit_test(a_ca_without_its_registry_is_refused),
        cmocka_unit_test(a_ca_has_its_line_breaks_again),
        cmocka_unit_test(quoting_keeps_a_message_on_its_line),
    };
    return cmocka_run_group_tests_name("parameters", tests, NULL, NULL);
}
