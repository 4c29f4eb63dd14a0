/* Manifests, which users may write, and keys of inventories: refused with a reason, or each document's text read again
 * names the object that it named before, annotated and sorted too. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hooks/addons/manifest.h"
#include "hooks/clients/image_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_again(const struct manifest *manifest)
{
    for (size_t i = 0; i < manifest->n; i++) {
        _cleanup_manifest_ struct manifest one = {0};
        _cleanup_free_ char *text = manifest_text(manifest, i, i + 1);
        if (manifest_add(&one, "again", text, NULL) < 0 || one.n != 1) {
            abort();
        }
        _cleanup_free_ char *before = object_key(&manifest->documents[i].object);
        _cleanup_free_ char *after = object_key(&one.documents[0].object);
        if (strcmp(before, after) != 0 || !object_key_same(before, after)) {
            abort();
        }
    }
}

static void read_key(const char *text)
{
    _cleanup_json_ json_t *identity = object_identity(text);
    _cleanup_free_ char *full = image_name_full(text);
    if ((identity != NULL && !json_is_object(identity)) || !image_name_same(text, full)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_free_ char *text = xstrndup((const char *)data, size);
    _cleanup_manifest_ struct manifest manifest = {0};
    _cleanup_error_ struct error *err = NULL;
    read_key(text);
    int r = manifest_add(&manifest, "input", text, &err);
    if ((r < 0) != (err != NULL)) {
        abort();
    }
    if (r < 0) {
        return 0;
    }
    read_again(&manifest);
    manifest_sort(&manifest);
    read_again(&manifest);
    manifest_annotate(&manifest, "k8s-hooks/fuzz", "yes");
    read_again(&manifest);
    if (manifest_definitions(&manifest) > manifest.n) {
        abort();
    }
    return 0;
}
