#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hooks/addons/manifest.h"

static void must_add(struct manifest *manifest, const char *text)
{
    _cleanup_error_ struct error *err = NULL;
    if (manifest_add(manifest, "test.yaml", text, &err) < 0) {
        fail_msg("%s", err->message);
    }
}

static void assert_refused(const char *text, const char *reason)
{
    _cleanup_manifest_ struct manifest manifest = {0};
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(manifest_add(&manifest, "test.yaml", text, &err), -1);
    assert_int_equal(err->status, STATUS_TEMPLATE);
    assert_non_null(strstr(err->message, reason));
}

static void assert_keys(const struct manifest *manifest, const char *const *keys)
{
    size_t n = 0;
    for (; n < manifest->n && keys[n] != NULL; n++) {
        _cleanup_free_ char *key = object_key(&manifest->documents[n].object);
        assert_string_equal(key, keys[n]);
    }
    assert_null(keys[n]);
    assert_int_equal(n, manifest->n);
}

static void documents_of_one_stream_are_separated(void **state)
{
    (void)state;
    static const char text[] = "# a comment alone is not a document\n"
                               "---\n"
                               "apiVersion: v1\n"
                               "kind: ConfigMap\n"
                               "metadata: {name: one, namespace: kube-system}\n"
                               "data:\n"
                               "  text: |\n"
                               "    --- not a marker: it is indented\n"
                               "    ...\n"
                               "--- # a marker with a comment\n"
                               "apiVersion: apps/v1\n"
                               "kind: Deployment\n"
                               "metadata:\n"
                               "  name: \"two\"\n"
                               "...\n"
                               "---\n";
    static const char *const keys[] = {"v1 ConfigMap kube-system one", "apps/v1 Deployment - two", NULL};
    _cleanup_manifest_ struct manifest manifest = {0};
    must_add(&manifest, text);
    assert_keys(&manifest, keys);
    assert_non_null(strstr(manifest.documents[0].text, "    ...\n"));
    _cleanup_manifest_ struct manifest again = {0};
    _cleanup_free_ char *joined = manifest_text(&manifest, 0, manifest.n);
    must_add(&again, joined);
    assert_keys(&again, keys);
}

static void a_stream_without_an_end_of_line_is_whole(void **state)
{
    (void)state;
    static const char *const keys[] = {"v1 Namespace - last", NULL};
    _cleanup_manifest_ struct manifest manifest = {0};
    must_add(&manifest, "{apiVersion: v1, kind: Namespace, metadata: {name: last}}");
    assert_keys(&manifest, keys);
}

static void later_documents_override(void **state)
{
    (void)state;
    static const char *const keys[] = {"v2 Thing - a", "v1 Thing - b", NULL};
    _cleanup_manifest_ struct manifest manifest = {0};
    must_add(&manifest, "{apiVersion: v1, kind: Thing, metadata: {name: a}}\n---\n"
                        "{apiVersion: v1, kind: Thing, metadata: {name: b}}\n");
    must_add(&manifest, "{apiVersion: v2, kind: Thing, metadata: {name: a}}\n");
    assert_keys(&manifest, keys);
}

static void objects_are_sorted_into_the_order_of_apply(void **state)
{
    (void)state;
    static const char *const keys[] = {"v1 CustomResourceDefinition - d",
                                       "v1 Namespace - e",
                                       "v1 Secret - c",
                                       "v1 Service - f",
                                       "v1 Deployment - a",
                                       "v1 Job - g",
                                       "v1 ValidatingWebhookConfiguration - h",
                                       "v1 APIService - b",
                                       NULL};
    static const char *const kinds[] = {"Deployment a", "APIService b", "Secret c", "CustomResourceDefinition d",
                                        "Namespace e",  "Service f",    "Job g",    "ValidatingWebhookConfiguration h"};
    _cleanup_manifest_ struct manifest manifest = {0};
    for (size_t i = 0; i < ELEMENTS(kinds); i++) {
        _cleanup_strv_ char **word = strv_split(kinds[i]);
        _cleanup_free_ char *text = xasprintf("{apiVersion: v1, kind: %s, metadata: {name: %s}}\n", word[0], word[1]);
        must_add(&manifest, text);
    }
    manifest_sort(&manifest);
    assert_keys(&manifest, keys);
    assert_int_equal(manifest_definitions(&manifest), 2);
}

static void a_text_that_is_not_an_object_is_refused(void **state)
{
    (void)state;
    assert_refused("apiVersion: v1\nkind: Thing\n---\nb: 1\n",
                   "test.yaml:1: the document from this line on has no metadata.name");
    assert_refused("{apiVersion: v1, kind: T, metadata: {name: a}}\n---\nkind: Thing\n", "test.yaml:2: ");
    assert_refused("kind: [\n", "test.yaml:");
    assert_refused("a: b: c\n", "not YAML");
    assert_refused("- list\n", "no apiVersion");
    assert_refused("plain text\n", "no apiVersion");
    assert_refused("{apiVersion: v1, kind: [K], metadata: {name: a}}\n", "no kind");
    assert_refused("{apiVersion: v1, kind: K, metadata: {name: \"two words\"}}\n", "no metadata.name");
    assert_refused("{apiVersion: v1, kind: K, metadata: {name: \"\"}}\n", "no metadata.name");
}

/* Whatever the style of the document: the rest of its text stays as it is. */
static void an_annotation_is_put_into_every_document(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"kind: K\nmetadata:\n    name: a\napiVersion: v1\n",
         "kind: K\nmetadata:\n    annotations:\n      x/y: z\n    name: a\napiVersion: v1\n"},
        {"# \xc3\xa9\xe4\xb8\xad \xf0\x9f\x98\x80\nkind: K\nmetadata: {name: a}\napiVersion: v1\n",
         "# \xc3\xa9\xe4\xb8\xad \xf0\x9f\x98\x80\nkind: K\nmetadata: {annotations: {x/y: z}, name: a}\napiVersion: "
         "v1\n"},
        {"{\"kind\": \"K\", \"apiVersion\": \"v1\", \"metadata\": {\"name\": \"a\"}}",
         "{\"kind\": \"K\", \"apiVersion\": \"v1\", \"metadata\": {annotations: {x/y: z}, \"name\": \"a\"}}"},
        {"kind: K\napiVersion: v1\nmetadata:\n  name: a\n  annotations:\n    # a comment\n    b: c\ndata: |\n  "
         "metadata:\n",
         "kind: K\napiVersion: v1\nmetadata:\n  name: a\n  annotations:\n    # a comment\n    x/y: z\n    b: c\ndata: "
         "|\n  metadata:\n"},
        {"kind: K\napiVersion: v1\nmetadata:\n  annotations: {}\n  name: a\n",
         "kind: K\napiVersion: v1\nmetadata:\n  annotations: {x/y: z}\n  name: a\n"},
        {"kind: K\napiVersion: v1\nmetadata:\n  annotations: {b: c}\n  name: a\n",
         "kind: K\napiVersion: v1\nmetadata:\n  annotations: {x/y: z, b: c}\n  name: a\n"},
    };
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        _cleanup_manifest_ struct manifest manifest = {0};
        _cleanup_manifest_ struct manifest again = {0};
        must_add(&manifest, texts[i][0]);
        manifest_annotate(&manifest, "x/y", "z");
        assert_string_equal(manifest.documents[0].text, texts[i][1]);
        must_add(&again, manifest.documents[0].text);
    }
}

static void an_object_key_becomes_its_identity(void **state)
{
    (void)state;
    _cleanup_json_ json_t *identity = object_identity("apps/v1 Deployment kube-system name");
    _cleanup_json_ json_t *expected = json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion", "apps/v1", "kind",
                                                "Deployment", "metadata", "name", "name", "namespace", "kube-system");
    assert_true(json_equal(identity, expected));
    _cleanup_json_ json_t *wide = object_identity("v1 Namespace - name");
    assert_null(json_object_get(json_object_get(wide, "metadata"), "namespace"));
    assert_null(object_identity("v1 Namespace name"));
    assert_null(object_identity(""));
    assert_true(object_key_same("batch/v1beta1 CronJob a b", "batch/v1 CronJob a b"));
    assert_false(object_key_same("v1 Secret a b", "v1 ConfigMap a b"));
    assert_false(object_key_same("nothing", "nothing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_of_one_stream_are_separated),
        cmocka_unit_test(a_stream_without_an_end_of_line_is_whole),
        cmocka_unit_test(later_documents_override),
        cmocka_unit_test(objects_are_sorted_into_the_order_of_apply),
        cmocka_unit_test(a_text_that_is_not_an_object_is_refused),
        cmocka_unit_test(an_object_key_becomes_its_identity),
        cmocka_unit_test(an_annotation_is_put_into_every_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
