/* The metadata as JSON: whatever it is, it is understood or refused with a reason, and templates see valid text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "app/facts/facts.h"
#include "lib/core/json.h"
#include "lib/core/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct conf conf = {.paths = {.opt = (char *)"tests/golden/opt"}};
    _cleanup_json_ json_t *tree = json_loadb((const char *)data, size, 0, NULL);
    if (tree == NULL) {
        return 0;
    }
    _cleanup_(facts_freep) struct facts *facts = NULL;
    _cleanup_error_ struct error *err = NULL;
    int result = facts_load(&facts, tree, &conf, &err);
    if ((result < 0) != (err != NULL) || (result == 0) != (facts != NULL)) {
        abort();
    }
    if (facts == NULL) {
        return 0;
    }
    _cleanup_json_ json_t *context = facts_context(facts);
    _cleanup_json_ json_t *public = facts_public(facts);
    const char *secret = json_text(json_object_get(public, "cloud"), "secret_access_key");
    _cleanup_free_ char *text = json_dumps(context, 0);
    if (text == NULL || (!str_empty(secret) && strcmp(secret, "***") != 0)) {
        abort();
    }
    (void)facts_check_change(facts, tree, NULL);
    return 0;
}
