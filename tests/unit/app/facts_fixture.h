/* Metadata of the golden clusters to change, and what facts_load makes of it. */
#ifndef TESTS_UNIT_APP_FACTS_FIXTURE_H
#define TESTS_UNIT_APP_FACTS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "app/facts/facts.h"
#include "lib/core/util.h"
#include "tests/lab/shared/cluster.h"
#include "tests/lab/shared/tree.h"

#define SECRET "0123456789abcdefghijABCDEFGHIJ0123456789"

/* The metadata of one host of a cluster, free to be changed. */
static inline json_t *metadata(const char *cluster, const char *role, int sid)
{
    struct error *err = NULL;
    _cleanup_json_ json_t *document = cluster_load(cluster, &err);
    assert_null(err);
    _cleanup_json_ json_t *view = cluster_view(document, role, sid);
    assert_non_null(view);
    return json_deep_copy(view);
}

static inline void put(json_t *tree, const char *path, const char *value)
{
    _cleanup_json_ json_t *leaf = json_string(value);
    assert_true(tree_put(tree, path, leaf, true));
}

static inline struct facts *load(json_t *tree)
{
    struct facts *facts = NULL;
    _cleanup_error_ struct error *err = NULL;
    if (facts_load(&facts, tree, NULL, &err) < 0) {
        fail_msg("facts_load: %s", err->message);
    }
    return facts;
}

static inline void assert_refused(const json_t *tree, const struct conf *conf, int status, const char *needle)
{
    struct facts *facts = NULL;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(facts_load(&facts, tree, conf, &err), -1);
    assert_null(facts);
    if (err->status != status || strstr(err->message, needle) == NULL) {
        fail_msg("status %d, \"%s\" instead of %d, \"%s\"", (int)err->status, err->message, (int)status, needle);
    }
    assert_null(strstr(err->message, SECRET));
}

#endif
