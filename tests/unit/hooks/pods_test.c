/* Which pods of a node a drain waits for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hooks/clients/pods.h"
#include "lib/core/json.h"

static json_t *pod(const char *name, const char *owner, const char *annotation, bool leaving)
{
    json_t *metadata = json_pack("{ss ss}", "namespace", "default", "name", name);
    if (owner != NULL) {
        json_object_set_new(metadata, "ownerReferences", json_pack("[{ss ss}]", "kind", owner, "name", "x"));
    }
    if (annotation != NULL) {
        json_object_set_new(metadata, "annotations", json_pack("{ss}", annotation, "hash"));
    }
    if (leaving) {
        json_object_set_new(metadata, "deletionTimestamp", json_string("2026-11-25T12:00:00Z"));
    }
    return json_pack("{so}", "metadata", metadata);
}

static void daemons_and_static_pods_stay(void **state)
{
    (void)state;
    static const struct {
        const char *owner, *annotation;
        bool moves;
    } pods[] = {
        {NULL, NULL, true},  {"ReplicaSet", NULL, true}, {"StatefulSet", "kubernetes.io/other", true},
        {"Job", NULL, true}, {"DaemonSet", NULL, false}, {"Node", "kubernetes.io/config.mirror", false},
    };
    for (size_t i = 0; i < ELEMENTS(pods); i++) {
        _cleanup_json_ json_t *one = pod("a", pods[i].owner, pods[i].annotation, false);
        assert_int_equal(pod_moves(one), pods[i].moves);
    }
}

static void those_that_move_are_named(void **state)
{
    (void)state;
    _cleanup_json_ json_t *pods =
        json_pack("[o, o, o, o]", pod("web", "ReplicaSet", NULL, false), pod("flannel", "DaemonSet", NULL, false),
                  pod("leaving", "ReplicaSet", NULL, true), pod("bare", NULL, NULL, false));
    _cleanup_free_ char *names = pods_that_move(pods);
    assert_string_equal(names, "default/web default/bare");
    _cleanup_json_ json_t *none = json_pack("[o]", pod("flannel", "DaemonSet", NULL, false));
    assert_null(pods_that_move(none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(daemons_and_static_pods_stay),
        cmocka_unit_test(those_that_move_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
