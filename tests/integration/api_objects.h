/* Objects of a real API server, for tests that make and read them. */
#ifndef TESTS_INTEGRATION_API_OBJECTS_H
#define TESTS_INTEGRATION_API_OBJECTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/kube.h"
#include "lib/core/json.h"

/* Makes the object TEXT, which must not be there yet. */
static inline void object_post(struct kube *kube, const char *collection, const char *text)
{
    json_error_t why;
    _cleanup_json_ json_t *object = json_loads(text, 0, &why);
    _cleanup_error_ struct error *err = NULL;
    long code = 0;
    if (object == NULL) {
        fail_msg("%s: %s", why.text, text);
    }
    if (kube_post(kube, collection, object, deadline_in(120000), &code, &err) < 0 || code != 201) {
        fail_msg("%s: %ld %s", collection, code, err == NULL ? "" : err->message);
    }
}

/* NULL where there is none. */
static inline json_t *object_get(struct kube *kube, const char *path)
{
    json_t *object = NULL;
    long code = 0;
    int r = kube_get(kube, path, deadline_in(120000), &object, &code, NULL);
    assert_true(r == 0 || code == 404);
    return object;
}

#endif
