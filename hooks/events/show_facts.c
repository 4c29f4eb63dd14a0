#include "hooks/events/events.h"

/* One "path value" line a leaf, as the metadata server's plain text. */
static void print_leaves(const char *path, const json_t *value)
{
    const char *key;
    json_t *member;
    size_t i;
    if (json_is_object(value)) {
        json_object_foreach ((json_t *)value, key, member) {
            _cleanup_free_ char *below = xasprintf("%s/%s", path, key);
            print_leaves(below, member);
        }
    } else if (json_is_array(value)) {
        json_array_foreach (value, i, member) {
            _cleanup_free_ char *below = xasprintf("%s/%zu", path, i);
            print_leaves(below, member);
        }
    } else if (json_is_string(value)) {
        printf("%s\t%s\n", path, json_string_value(value));
    } else {
        _cleanup_free_ char *text = json_dumps(value, JSON_ENCODE_ANY);
        printf("%s\t%s\n", path, text);
    }
}

int event_facts(struct run *run, struct error **err)
{
    (void)err;
    _cleanup_json_ json_t *facts = facts_public(run->facts);
    if (run->json) {
        _cleanup_free_ char *text = json_dumps(facts, JSON_INDENT(2));
        puts(text);
    } else {
        print_leaves("", facts);
    }
    return 0;
}
