/* What a metadata server may answer, and what the agent's configuration may hold: understood or refused with a reason.
 */
#include <stdint.h>
#include <string.h>

#include "app/confd.h"
#include "app/metadata/meta_tree.h"
#include "lib/core/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_leaves(const json_t *value)
{
    const char *key = NULL;
    json_t *member = NULL;
    if (!json_is_object(value) && !json_is_string(value)) {
        abort();
    }
    json_object_foreach ((json_t *)value, key, member) {
        check_leaves(member);
    }
}

static void check_nodes(const char *text)
{
    _cleanup_strv_ char **nodes = confd_parse_nodes(text);
    for (char **node = nodes; *node != NULL; node++) {
        if (strstr(*node, "://") == NULL) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_free_ char *text = xstrndup((const char *)data, size);
    _cleanup_json_ json_t *tree = NULL;
    _cleanup_error_ struct error *err = NULL;
    int result = meta_tree_parse((const char *)data, size, &tree, &err);
    if ((result < 0) != (err != NULL) || (result == 0) != (tree != NULL)) {
        abort();
    }
    if (tree != NULL && !json_is_object(tree)) {
        abort();
    }
    if (tree != NULL) {
        check_leaves(tree);
    }
    check_nodes(text);
    return 0;
}
