/* What templates see of whole clusters, against tests/golden/clusters/NAME/context.json; see tests/golden/README.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "app/facts/facts.h"
#include "lib/core/json.h"
#include "lib/core/util.h"
#include "lib/system/file.h"
#include "tests/lab/shared/cluster.h"

static const char *const clusters[] = {
    "smallest",      "three-logs", "elk-link",    "es-server",        "etcd-link",
    "hostnic",       "istio",      "hostile",     "private-registry", "insecure-registries",
    "hundred-nodes", "ssd-nodes",  "scaling-out", "scaling-in"};
static const char *const roles[] = {"master", "node", "ssd_node", "log", "client"};
static struct conf conf = {.paths = {.opt = (char *)"tests/golden/opt"}};

static struct facts *load(const json_t *cluster, const char *role)
{
    _cleanup_json_ json_t *view = cluster_view(cluster, role, 1);
    if (view == NULL) {
        return NULL;
    }
    struct facts *facts = NULL;
    _cleanup_error_ struct error *err = NULL;
    if (facts_load(&facts, view, &conf, &err) < 0) {
        fail_msg("%s: %s", role, err->message);
    }
    return facts;
}

/* Members of OBJECT that differ from BASE's; "-" lists those BASE alone has. */
static json_t *differing(const json_t *base, json_t *object)
{
    json_t *result = json_object();
    json_t *gone = json_array();
    const char *key;
    json_t *value;
    json_object_foreach (object, key, value) {
        if (!json_equal(value, json_object_get(base, key))) {
            json_object_set(result, key, value);
        }
    }
    json_object_foreach ((json_t *)base, key, value) {
        if (json_object_get(object, key) == NULL) {
            json_array_append_new(gone, json_string(key));
        }
    }
    if (json_array_size(gone) > 0) {
        json_object_set(result, "-", gone);
    }
    json_decref(gone);
    return result;
}

/* "node-1 first": a member of another list by its name, after a look that all else is as in `hosts`. */
static json_t *member_by_name(json_t *hosts, json_t *member)
{
    const char *name = json_text(member, "node_name");
    bool first = json_is_true(json_object_get(member, "first"));
    bool last = json_is_true(json_object_get(member, "last"));
    size_t i = 0;
    json_t *host;
    json_array_foreach (hosts, i, host) {
        if (strcmp(json_text(host, "node_name"), name) == 0) {
            _cleanup_json_ json_t *same = json_copy(member);
            json_object_set(same, "first", json_object_get(host, "first"));
            json_object_set(same, "last", json_object_get(host, "last"));
            assert_true(json_equal(same, host));
            return json_sprintf("%s%s%s", name, first ? " first" : "", last ? " last" : "");
        }
    }
    return NULL;
}

/* Hosts are in several lists; a golden file that can be read has them whole in one. */
static void shorten(json_t *context)
{
    static const char *const lists[] = {"nodes", "others", "logs", "workers"};
    for (size_t l = 0; l < ELEMENTS(lists); l++) {
        json_t *names = json_array();
        size_t i = 0;
        json_t *member;
        json_array_foreach (json_object_get(context, lists[l]), i, member) {
            assert_int_equal(json_array_append_new(names, member_by_name(json_object_get(context, "hosts"), member)),
                             0);
        }
        json_object_set_new(context, lists[l], names);
    }
}

static char *contexts_of(const char *name)
{
    struct error *err = NULL;
    _cleanup_json_ json_t *cluster = cluster_load(name, &err);
    assert_null(err);
    _cleanup_json_ json_t *all = json_object();
    _cleanup_json_ json_t *base = NULL;
    for (size_t i = 0; i < ELEMENTS(roles); i++) {
        _cleanup_(facts_freep) struct facts *facts = load(cluster, roles[i]);
        if (facts == NULL) {
            continue;
        }
        _cleanup_json_ json_t *context = facts_context(facts);
        shorten(context);
        json_object_set_new(all, facts->self->node_name,
                            base == NULL ? json_incref(context) : differing(base, context));
        if (base == NULL) {
            base = json_incref(context);
        }
    }
    _cleanup_free_ char *text = json_dumps(all, JSON_INDENT(1));
    return xasprintf("%s\n", text);
}

static void contexts_are_as_kept(void **state)
{
    const char *name = *state;
    struct error *err = NULL;
    _cleanup_free_ char *path = xasprintf("tests/golden/clusters/%s/context.json", name);
    _cleanup_free_ char *text = contexts_of(name);
    _cleanup_free_ char *kept = NULL;
    if (getenv("UPDATE_GOLDEN") != NULL) {
        struct file_spec spec = {path, text, strlen(text), 0644, (uid_t)-1, (gid_t)-1};
        assert_int_equal(file_put(&spec, NULL, &err), 0);
    }
    assert_int_equal(file_read(path, 0, &kept, NULL, &err), 0);
    _cleanup_free_ char *diff = text_diff(path, kept, text);
    if (diff != NULL) {
        fail_msg("%s", diff);
    }
}

static bool is_secret(const char *object, const char *key)
{
    static const char *const secrets[] = {"cloud.access_key_id", "cloud.secret_access_key", "registry.password",
                                          "token.bootstrap"};
    _cleanup_free_ char *name = xasprintf("%s.%s", object, key);
    for (size_t i = 0; i < ELEMENTS(secrets); i++) {
        if (strcmp(secrets[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void only_secrets_are_masked(void **state)
{
    (void)state;
    size_t masked = 0;
    for (size_t i = 0; i < ELEMENTS(clusters); i++) {
        _cleanup_json_ json_t *cluster = cluster_load(clusters[i], NULL);
        _cleanup_(facts_freep) struct facts *facts = load(cluster, "master");
        _cleanup_json_ json_t *context = facts_context(facts);
        _cleanup_json_ json_t *public = facts_public(facts);
        const char *object;
        json_t *members;
        json_object_foreach (context, object, members) {
            const char *key;
            json_t *value;
            json_object_foreach (members, key, value) {
                const json_t *shown = json_object_get(json_object_get(public, object), key);
                bool hidden = is_secret(object, key) && !str_empty(json_string_value(value));
                assert_true(hidden ? strcmp(json_string_value(shown), "***") == 0 : json_equal(value, shown));
                masked += hidden;
            }
        }
    }
    assert_true(masked > 3 * ELEMENTS(clusters));
}

/* A hostile value may stand in no other place than its own. */
static void hostile_text_is_unchanged_in_the_rendered_file(void **state)
{
    (void)state;
    _cleanup_json_ json_t *cluster = cluster_load("hostile", NULL);
    json_t *env = json_object_get(cluster, "env");
    _cleanup_(facts_freep) struct facts *facts = load(cluster, "node");
    _cleanup_json_ json_t *context = facts_context(facts);
    json_t *registry = json_object_get(context, "registry");
    assert_true(json_equal(json_object_get(registry, "username"), json_object_get(env, "dockerhub_username")));
    assert_true(json_equal(json_object_get(registry, "password"), json_object_get(env, "dockerhub_password")));
}

int main(void)
{
    struct CMUnitTest tests[ELEMENTS(clusters) + 2];
    size_t n = 0;
    for (; n < ELEMENTS(clusters); n++) {
        tests[n] = (struct CMUnitTest){clusters[n], contexts_are_as_kept, NULL, NULL, (void *)clusters[n]};
    }
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(only_secrets_are_masked);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(hostile_text_is_unchanged_in_the_rendered_file);
    return cmocka_run_group_tests_name("golden", tests, NULL, NULL);
}
