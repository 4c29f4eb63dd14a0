/* What AppCenter's form refuses, the lab refuses: with config.json as users get it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "lib/system/file.h"
#include "lib/system/tree.h"
#include "tests/lab/lab/cluster/package.h"
#include "tests/lab/lab/cluster/scenario_values.h"
#include "tests/lab/lab/form/form.h"
#include "tests/lab/lab/form/locale.h"
#include "tests/lab/lab/lab.h"

static struct form form;
static json_t *config, *locale;

static int load(void **state)
{
    (void)state;
    if (form_load(LAB_APP, &config, NULL) != 0 || locale_load(LAB_APP, &locale, NULL) != 0) {
        return -1;
    }
    form = (struct form){config, locale, LOCALE_ENGLISH};
    return 0;
}

static int unload(void **state)
{
    (void)state;
    json_decref(config);
    json_decref(locale);
    return 0;
}

static void accepted(const char *key, const char *value)
{
    _cleanup_error_ struct error *err = NULL;
    if (form_check(&form, key, value, false, &err) != 0) {
        fail_msg("%s=%s: %s", key, value, err->message);
    }
}

static void refused(const char *key, const char *value, const char *message)
{
    _cleanup_error_ struct error *err = NULL;
    if (form_check(&form, key, value, false, &err) == 0) {
        fail_msg("%s=%s was accepted", key, value);
    }
    assert_int_equal(err->status, STATUS_USAGE);
    if (strstr(err->message, message) == NULL) {
        fail_msg("%s=%s: \"%s\" lacks \"%s\"", key, value, err->message, message);
    }
}

static void test_type(void **state)
{
    (void)state;
    accepted("env.max_pods", "80");
    refused("env.max_pods", "eighty", "Pods per node (env.max_pods): must be an integer");
    refused("env.max_pods", "", "must be an integer");
    refused("env.max_pods", "80.0", "must be an integer");
    refused("env.max_pods", "80 ", "must be an integer");
    refused("env.keep_log_days", "0x3", "must be an integer");
    accepted("env.enable_hostnic", "true");
    refused("env.enable_hostnic", "yes", "must be true or false");
    refused("cluster.node", "2", "is a group: its parameters are cpu, memory, count, volume_size");
}

static void test_range(void **state)
{
    (void)state;
    refused("env.max_pods", "61", "must be one of: 60, 80, 100, 120, 150, 180, 240");
    accepted("env.enable_istio", "yes");
    refused("env.enable_istio", "true", "must be one of: yes, no");
    accepted("env.keep_log_days", "0");
    accepted("env.keep_log_days", "30");
    refused("env.keep_log_days", "31", "must be at most 30");
    refused("env.keep_log_days", "-1", "must be at least 0");
    accepted("cluster.log.volume_size", "110");
    refused("cluster.log.volume_size", "115", "must be a multiple of 10");
}

/* The patterns are of the kind that browsers know: \s inside of brackets is a blank. */
static void test_pattern(void **state)
{
    (void)state;
    accepted("env.registry-mirrors", "https://mirrors.example.com http://a.b:5000/");
    accepted("env.registry-mirrors", "");
    refused("env.registry-mirrors", "ftp://mirrors.example.com", "does not match ^(https?");
    accepted("env.pod_vxnets", "vxnet-abcde12 vxnet-bcdef");
    refused("env.pod_vxnets", "vxnet-abcde12,vxnet-bcdef", "does not match");
    refused("env.cluster_port_range", "30000-32767\n", "does not match");
    refused("env.api_external_domain", "", "does not match");
    refused("env.docker_bip", "172.30.0.1", "does not match");
}

static void test_secret_is_not_told(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(form_check(&form, "env.secret_access_key", "marked-secret", true, &err), -1);
    assert_null(strstr(err->message, "marked-secret"));
}

static void test_unknown(void **state)
{
    (void)state;
    refused("env.maxpods", "60", "env.maxpods: not a parameter of the app; there are: access_key_id");
    refused("env", "x", "is a group");
    refused("nothing", "x", "there are: cluster, env, service_params");
}

static void test_change(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    accepted("env.enable_hostnic", "true");
    assert_int_equal(form_check(&form, "env.enable_hostnic", "true", true, &err), -1);
    assert_non_null(strstr(err->message, "cannot be changed once the cluster exists"));
    assert_int_equal(form_check(&form, "env.max_pods", "80", true, NULL), 0);
}

static void test_count(void **state)
{
    (void)state;
    static const struct {
        const char *role;
        long count;
        bool good;
    } counts[] = {
        {"master", 1, true},  {"master", 0, false}, {"master", 2, false},  {"node", 0, true},      {"node", 100, true},
        {"node", 101, false}, {"log", 0, true},     {"log", 1, false},     {"log", 5, true},       {"log", 6, false},
        {"client", 1, true},  {"client", 0, false}, {"ssd_node", 3, true}, {"database", 1, false},
    };
    for (size_t i = 0; i < ELEMENTS(counts); i++) {
        bool good = form_check_count(&form, counts[i].role, counts[i].count, NULL) == 0;
        if (good != counts[i].good) {
            fail_msg("%ld of %s: %s", counts[i].count, counts[i].role, good ? "accepted" : "refused");
        }
    }
}

static void values(const char *text, const char *message)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_json_ json_t *entered = json_loads(text, JSON_DECODE_ANY, NULL);
    _cleanup_json_ json_t *filled_in = package_filled_in();
    int r = form_check_values(&form, entered, filled_in, &err);
    if ((r == 0) != (message == NULL) || (r != 0 && strstr(err->message, message) == NULL)) {
        fail_msg("%s: %s", text, r == 0 ? "accepted" : err->message);
    }
}

static void test_values(void **state)
{
    (void)state;
    values("{}", NULL);
    values("{\"cluster\": {\"node\": {\"count\": 3, \"cpu\": 8}}, \"env\": {\"max_pods\": 80}}", NULL);
    values("{\"env\": {\"max_pods\": \"80\"}}", "Pods per node (env.max_pods): must be an integer");
    values("{\"env\": {\"keep_log_days\": 99}}", "must be at most 30");
    values("{\"cluster\": {\"master\": {\"count\": 0}}}", "Count (cluster.master.count): must be one of: 1");
    values("{\"cluster\": {\"vxnet\": \"\"}}", "VxNet (cluster.vxnet): a value is required");
    values("{\"cluster\": {\"node\": 3}}", "is a group");
    values("{\"env\": {\"x\": 1}}", "env.x: not a parameter");
    values("{\"evn\": {}}", "evn: not a parameter");
    values("[]", "not a JSON object");
    _cleanup_error_ struct error *err = NULL;
    _cleanup_json_ json_t *nothing = json_object();
    assert_int_equal(form_check_values(&form, nothing, NULL, &err), -1);
    assert_non_null(strstr(err->message, "VxNet (cluster.vxnet): a value is required"));
}

static void scenario(const char *text, const char *message)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_json_ json_t *entered = json_loads(text, JSON_DECODE_ANY, NULL);
    int r = scenario_values_check(&form, "values.json", entered, &err);
    assert_non_null(entered);
    if ((r == 0) != (message == NULL) || (r != 0 && strstr(err->message, message) == NULL)) {
        fail_msg("%s: %s", text, r == 0 ? "accepted" : err->message);
    }
    if (r != 0) {
        assert_int_equal(err->status, STATUS_USAGE);
    }
}

static void test_scenario_values(void **state)
{
    (void)state;
    scenario("{\"counts\": {\"master\": 1, \"node\": 1, \"log\": 2, \"client\": 1}, \"env\": {\"max_pods\": \"80\"}}",
             NULL);
    scenario("{\"counts\": {\"master\": 1, \"node\": 1, \"client\": 1}, \"env\": {\"enable_hostnic\": \"true\"},"
             " \"metadata\": {\"links\": {}}, \"profile\": \"bridge\"}",
             NULL);
    scenario("{\"counts\": {\"master\": 1, \"node\": 1, \"log\": 1, \"client\": 1}}",
             "values.json: Count (cluster.log.count): must be one of: 0, 2, 3, 4, 5");
    scenario("{\"counts\": {\"node\": 1, \"client\": 1}}", "Count (cluster.master.count): must be one of: 1");
    scenario("{\"counts\": {\"master\": 1, \"node\": 1}}", "Count (cluster.client.count): must be one of: 1");
    scenario("{\"counts\": {\"master\": 1, \"nodes\": 1, \"client\": 1}}", "cluster.nodes.count: not a parameter");
    scenario("{\"counts\": {\"master\": 1, \"client\": 1}, \"env\": {\"max_pods\": \"61\"}}", "must be one of: 60, 80");
    scenario("{\"counts\": {\"master\": 1, \"client\": 1}, \"env\": {\"es_server\": \"10.0.0.1\"}}", "does not match");
    scenario("{\"count\": {\"master\": 1}}", "'count' is not one of counts, env, metadata, profile");
    scenario("[]", "not an object");
}

/* Each end-to-end scenario proves a cluster that a user can have. */
static void test_scenarios(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob("tests/e2e/*/values.json", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        _cleanup_error_ struct error *err = NULL;
        _cleanup_json_ json_t *entered = json_load_file(found.gl_pathv[i], JSON_REJECT_DUPLICATES, NULL);
        if (scenario_values_check(&form, found.gl_pathv[i], entered, &err) != 0) {
            fail_msg("%s", err->message);
        }
    }
    globfree(&found);
}

/* What the form suggests it must take, and with what the lab fills in it is complete. */
static void test_defaults(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    _cleanup_json_ json_t *filled_in = package_filled_in();
    _cleanup_json_ json_t *all = form_values(config, filled_in);
    if (form_check_values(&form, all, NULL, &err) != 0) {
        fail_msg("%s", err->message);
    }
}

static void test_values_reach_the_package(void **state)
{
    (void)state;
    _cleanup_json_ json_t *entered = json_loads("{\"env\": {\"max_pods\": 80}, \"cluster\": {\"node\": {\"count\": 5}},"
                                                " \"service_params\": {\"backup_keep\": 3}}",
                                                0, NULL);
    _cleanup_json_ json_t *package = NULL;
    _cleanup_json_ json_t *env = json_object();
    struct service backup;
    assert_int_equal(package_load(LAB_APP, entered, &package, NULL), 0);
    package_env(package, env);
    assert_string_equal(json_text(env, "max_pods"), "80");
    assert_string_equal(json_text(env, "keep_log_days"), "3");
    assert_true(package_service(package, "master", "backup", &backup));
    assert_int_equal(json_integer_value(json_object_get(backup.params, "keep")), 3);
}

/* One role without a name, what all roles have beside it, and parameters with dots: as other apps' packages have them.
 */
static const char other_config[] =
    "{\"properties\": [{\"key\": \"cluster\", \"properties\": ["
    "{\"key\": \"one_node\", \"properties\": [{\"key\": \"count\", \"type\": \"integer\", \"default\": 3}]}]},"
    "{\"key\": \"env\", \"properties\": ["
    "{\"key\": \"web.console\", \"type\": \"boolean\", \"default\": true}]},"
    "{\"key\": \"service_params\", \"properties\": [{\"key\": \"from\", \"type\": \"string\", \"required\": "
    "\"yes\"}]}]}";
static const char other_cluster[] =
    "{\"nodes\": [{\"count\": {{cluster.one_node.count}}, \"env\": {\"own\": 1},"
    " \"services\": {\"start\": {\"cmd\": \"run\"}}}],"
    " \"endpoints\": {\"web\": {\"port\": 80}}, \"health_check\": {\"check_cmd\": \"look\", \"interval_sec\": 90},"
    " \"advanced_actions\": [\"scale_horizontal\"], \"env\": {\"web.console\": {{env.web.console}}}}";

static void expect_other_package(const json_t *package)
{
    _cleanup_json_ json_t *env = json_object();
    _cleanup_json_ json_t *endpoints = json_object();
    struct service service;
    struct health_check check;
    package_env(package, env);
    package_endpoints(package, endpoints);
    assert_null(package_role(package, "one_node"));
    assert_true(package_service(package, "one_node", "start", &service));
    assert_string_equal(service.command, "run");
    assert_true(package_service(package, "one_node", "check", &service));
    assert_string_equal(service.command, "look");
    assert_true(package_health(package, "one_node", &check));
    assert_int_equal(check.interval_s, 90);
    assert_true(package_scales(package, "one_node"));
    assert_string_equal(json_text(env, "web.console"), "false");
    assert_string_equal(json_text(env, "own"), "1");
    assert_string_equal(json_text(json_object_get(endpoints, "web"), "port"), "80");
}

static void test_another_apps_package(void **state)
{
    (void)state;
    char directory[] = "/tmp/form-XXXXXX";
    assert_non_null(mkdtemp(directory));
    _cleanup_free_ char *config_path = path_join(directory, "config.json");
    _cleanup_free_ char *cluster_path = path_join(directory, "cluster.json.mustache");
    _cleanup_json_ json_t *other = NULL;
    _cleanup_json_ json_t *package = NULL;
    _cleanup_json_ json_t *entered = json_object();
    assert_int_equal(text_put(config_path, 0600, NULL, "%s", other_config), 0);
    assert_int_equal(text_put(cluster_path, 0600, NULL, "%s", other_cluster), 0);
    assert_int_equal(form_load(directory, &other, NULL), 0);
    const struct form of_other = {other, locale, LOCALE_ENGLISH};
    assert_int_equal(form_enter(&of_other, entered, "web.console=false", false, NULL), 0);
    assert_int_equal(form_check_values(&of_other, entered, NULL, NULL), 0);
    assert_int_equal(package_load(directory, entered, &package, NULL), 0);
    expect_other_package(package);
    assert_int_equal(tree_remove(directory, NULL), 0);
}

static void test_chinese(void **state)
{
    (void)state;
    form.language = LOCALE_CHINESE;
    refused("env.keep_log_days", "31", "不能大于 30");
    refused("env.max_pods", "x", locale_text(locale, LOCALE_CHINESE, "Pods per node"));
    form.language = LOCALE_ENGLISH;
    assert_string_not_equal(locale_text(locale, LOCALE_CHINESE, "Pods per node"), "Pods per node");
}

static void test_language(void **state)
{
    (void)state;
    unsetenv("LC_ALL");
    unsetenv("LC_MESSAGES");
    setenv("LANG", "zh_CN.UTF-8", 1);
    assert_string_equal(locale_language(), LOCALE_CHINESE);
    setenv("LC_ALL", "C.UTF-8", 1);
    assert_string_equal(locale_language(), LOCALE_ENGLISH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_type),
        cmocka_unit_test(test_range),
        cmocka_unit_test(test_pattern),
        cmocka_unit_test(test_secret_is_not_told),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_change),
        cmocka_unit_test(test_count),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values_reach_the_package),
        cmocka_unit_test(test_another_apps_package),
        cmocka_unit_test(test_chinese),
        cmocka_unit_test(test_language),
        cmocka_unit_test(test_scenario_values),
        cmocka_unit_test(test_scenarios),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
