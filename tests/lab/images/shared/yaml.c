#include "tests/lab/images/shared/yaml.h"

#include <stdio.h>
#include <string.h>

#include <yaml.h>

#include "lib/core/util.h"
#include "tests/lab/images/shared/program.h"

static json_t *scalar(const yaml_node_t *node)
{
    const char *text = (const char *)node->data.scalar.value;
    char *end = NULL;
    if (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
        return json_string(text);
    }
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        return json_boolean(text[0] == 't');
    }
    if (text[0] == '\0' || strcmp(text, "null") == 0 || strcmp(text, "~") == 0) {
        return json_null();
    }
    long long number = strtoll(text, &end, 10);
    return *end == '\0' ? json_integer(number) : json_string(text);
}

static json_t *convert(yaml_document_t *document, const yaml_node_t *node)
{
    if (node == NULL) {
        return json_null();
    }
    if (node->type == YAML_SCALAR_NODE) {
        return scalar(node);
    }
    if (node->type == YAML_SEQUENCE_NODE) {
        json_t *array = json_array();
        for (yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++) {
            json_array_append_new(array, convert(document, yaml_document_get_node(document, *i)));
        }
        return array;
    }
    json_t *object = json_object();
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
        const yaml_node_t *key = yaml_document_get_node(document, p->key);
        json_object_set_new(object, (const char *)key->data.scalar.value,
                            convert(document, yaml_document_get_node(document, p->value)));
    }
    return object;
}

json_t *yaml_read(const char *path)
{
    _cleanup_free_ char *text = must_read(path);
    yaml_parser_t parser;
    yaml_document_t document;
    if (yaml_parser_initialize(&parser) == 0) {
        fail("%s: no YAML parser", path);
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    if (yaml_parser_load(&parser, &document) == 0) {
        fail("%s:%zu: %s", path, parser.problem_mark.line + 1, parser.problem);
    }
    json_t *json = convert(&document, yaml_document_get_root_node(&document));
    yaml_document_delete(&document);
    yaml_parser_delete(&parser);
    return json;
}
