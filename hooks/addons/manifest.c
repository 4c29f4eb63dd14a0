#include "hooks/addons/manifest.h"

#include <string.h>

#include <yaml.h>

static const yaml_node_t *yaml_member(yaml_document_t *yaml, const yaml_node_t *mapping, const char *name)
{
    if (mapping == NULL || mapping->type != YAML_MAPPING_NODE) {
        return NULL;
    }
    for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(yaml, pair->key);
        if (key->type == YAML_SCALAR_NODE && strcmp((const char *)key->data.scalar.value, name) == 0) {
            return yaml_document_get_node(yaml, pair->value);
        }
    }
    return NULL;
}

static char *yaml_string(yaml_document_t *yaml, const yaml_node_t *mapping, const char *name)
{
    const yaml_node_t *node = yaml_member(yaml, mapping, name);
    if (node == NULL || node->type != YAML_SCALAR_NODE ||
        strpbrk((const char *)node->data.scalar.value, " \t\n") != NULL) {
        return NULL;
    }
    return str_empty((const char *)node->data.scalar.value) ? NULL : xstrdup((const char *)node->data.scalar.value);
}

static void object_clear(struct object *object)
{
    free(object->version);
    free(object->kind);
    free(object->space);
    free(object->name);
    *object = (struct object){0};
}

static int identify(yaml_document_t *yaml, const char *source, size_t line, struct object *object, struct error **err)
{
    const yaml_node_t *root = yaml_document_get_root_node(yaml);
    const yaml_node_t *metadata = yaml_member(yaml, root, "metadata");
    object->version = yaml_string(yaml, root, "apiVersion");
    object->kind = yaml_string(yaml, root, "kind");
    object->name = yaml_string(yaml, metadata, "name");
    object->space = yaml_string(yaml, metadata, "namespace");
    if (object->version != NULL && object->kind != NULL && object->name != NULL) {
        return 0;
    }
    const char *absent = object->version == NULL ? "apiVersion" : object->kind == NULL ? "kind" : "metadata.name";
    return error_new(err, STATUS_TEMPLATE, "%s:%zu: the document from this line on has no %s", source, line, absent);
}

/* 1: *object is what the document describes; 0: nothing but comments. */
static int parse(const char *source, size_t line, const char *text, struct object *object, struct error **err)
{
    yaml_parser_t parser;
    yaml_document_t yaml;
    if (yaml_parser_initialize(&parser) == 0) {
        abort();
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    if (yaml_parser_load(&parser, &yaml) == 0) {
        error_new(err, STATUS_TEMPLATE, "%s:%zu: not YAML: %s", source, line + parser.problem_mark.line,
                  parser.problem != NULL ? parser.problem : "out of memory");
        yaml_parser_delete(&parser);
        return -1;
    }
    int found = yaml_document_get_root_node(&yaml) != NULL;
    if (found == 1 && identify(&yaml, source, line, object, err) < 0) {
        object_clear(object);
        found = -1;
    }
    yaml_document_delete(&yaml);
    yaml_parser_delete(&parser);
    return found;
}

static bool same_object(const struct object *a, const struct object *b)
{
    return strcmp(a->kind, b->kind) == 0 && strcmp(a->name, b->name) == 0 &&
           strcmp(a->space != NULL ? a->space : "", b->space != NULL ? b->space : "") == 0;
}

static void document_free(struct document *document)
{
    object_clear(&document->object);
    util_wipe_freep(&document->text);
}

static void put(struct manifest *manifest, struct document document)
{
    for (size_t i = 0; i < manifest->n; i++) {
        if (same_object(&manifest->documents[i].object, &document.object)) {
            document_free(&manifest->documents[i]);
            manifest->documents[i] = document;
            return;
        }
    }
    manifest->documents = xrealloc(manifest->documents, (manifest->n + 1) * sizeof document);
    manifest->documents[manifest->n++] = document;
}

/* What a marker leaves, so that a document is the same text whether one was before it or not. */
static const char *after_blank_lines(const char *text)
{
    for (size_t blank = strspn(text, " \t\r"); text[blank] == '\n'; blank = strspn(text, " \t\r")) {
        text += blank + 1;
    }
    return text;
}

static int add_document(struct manifest *manifest, const char *source, size_t line, const struct buffer *text,
                        struct error **err)
{
    struct document document = {0};
    if (text->len == 0) {
        return 0;
    }
    int found = parse(source, line, text->data, &document.object, err);
    if (found == 1) {
        document.text = xstrdup(after_blank_lines(text->data));
        put(manifest, document);
    }
    return found < 0 ? -1 : 0;
}

/* In YAML a line that begins with "---" or "..." and ends there or goes on with a blank is a marker wherever it stands,
 * block scalars included (YAML 1.1, 9.1.2 and 9.1.3). */
static bool is_marker(const char *line)
{
    return (str_starts(line, "---") || str_starts(line, "...")) &&
           (line[3] == '\0' || strchr(" \t\r\n", line[3]) != NULL);
}

int manifest_add(struct manifest *manifest, const char *source, const char *text, struct error **err)
{
    _cleanup_buffer_ struct buffer document = {0};
    size_t line = 1;
    size_t first = 1;
    for (const char *p = text; *p != '\0'; line++) {
        size_t len = strcspn(p, "\n");
        len += p[len] == '\n';
        if (!is_marker(p)) {
            buffer_append(&document, p, len);
        } else {
            if (add_document(manifest, source, first, &document, err) < 0) {
                return -1;
            }
            buffer_free(&document);
            document = (struct buffer){0};
            first = line;
            buffer_append(&document, "   ", 3);
            buffer_append(&document, p + 3, len - 3);
        }
        p += len;
    }
    return add_document(manifest, source, first, &document, err);
}

void manifest_free(struct manifest *manifest)
{
    for (size_t i = 0; i < manifest->n; i++) {
        document_free(&manifest->documents[i]);
    }
    free(manifest->documents);
    *manifest = (struct manifest){0};
}

/* A mark's index counts characters, not bytes. */
static size_t byte_of(const char *text, size_t characters)
{
    size_t i = 0;
    for (; text[i] != '\0' && characters > 0; characters--) {
        i++;
        while (((unsigned char)text[i] & 0xC0) == 0x80) {
            i++;
        }
    }
    return i;
}

/* Puts MEMBER, of one or two lines of which the second is indented by two, in front of the others of MAPPING. */
static void insert_member(char **text, const yaml_node_t *mapping, const char *block, const char *flow)
{
    size_t at = byte_of(*text, mapping->start_mark.index);
    bool empty = mapping->data.mapping.pairs.start == mapping->data.mapping.pairs.top;
    struct buffer more = {0};
    if (mapping->data.mapping.style == YAML_FLOW_MAPPING_STYLE) {
        at++; /* behind the brace */
        buffer_printf(&more, "%s%s", flow, empty ? "" : ", ");
    } else {
        int indent = (int)mapping->start_mark.column;
        for (const char *line = block; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
            buffer_printf(&more, "%.*s\n%*s", (int)strcspn(line, "\n"), line,
                          strchr(line, '\n') != NULL ? indent + 2 : indent, "");
        }
    }
    char *wider = xasprintf("%.*s%s%s", (int)at, *text, more.data, *text + at);
    util_wipe_freep(text);
    *text = wider;
    buffer_free(&more);
}

static void annotate(struct document *document, const char *name, const char *value)
{
    yaml_parser_t parser;
    yaml_document_t yaml;
    if (yaml_parser_initialize(&parser) == 0) {
        abort();
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)document->text, strlen(document->text));
    if (yaml_parser_load(&parser, &yaml) == 0) {
        abort(); /* manifest_add has parsed it */
    }
    const yaml_node_t *metadata = yaml_member(&yaml, yaml_document_get_root_node(&yaml), "metadata");
    const yaml_node_t *annotations = yaml_member(&yaml, metadata, "annotations");
    _cleanup_free_ char *member = xasprintf("%s: %s", name, value);
    _cleanup_free_ char *block = xasprintf("annotations:\n%s", member);
    _cleanup_free_ char *flow = xasprintf("annotations: {%s}", member);
    if (annotations == NULL) {
        insert_member(&document->text, metadata, block, flow);
    } else if (annotations->type == YAML_MAPPING_NODE) {
        insert_member(&document->text, annotations, member, member);
    }
    yaml_document_delete(&yaml);
    yaml_parser_delete(&parser);
}

void manifest_annotate(struct manifest *manifest, const char *name, const char *value)
{
    for (size_t i = 0; i < manifest->n; i++) {
        annotate(&manifest->documents[i], name, value);
    }
}

static int rank(const struct object *object)
{
    static const struct {
        const char *kind;
        int rank;
    } ranks[] = {
        {"Namespace", 0},
        {"CustomResourceDefinition", 0},
        {"Deployment", 2},
        {"StatefulSet", 2},
        {"DaemonSet", 2},
        {"ReplicaSet", 2},
        {"Pod", 2},
        {"Job", 2},
        {"CronJob", 2},
        {"MutatingWebhookConfiguration", 3},
        {"ValidatingWebhookConfiguration", 3},
        {"APIService", 4},
    };
    for (size_t i = 0; i < ELEMENTS(ranks); i++) {
        if (strcmp(object->kind, ranks[i].kind) == 0) {
            return ranks[i].rank;
        }
    }
    return 1;
}

/* Insertion sort: stable, and a manifest has a few dozen documents. */
void manifest_sort(struct manifest *manifest)
{
    for (size_t i = 1; i < manifest->n; i++) {
        struct document moving = manifest->documents[i];
        size_t at = i;
        for (; at > 0 && rank(&manifest->documents[at - 1].object) > rank(&moving.object); at--) {
            manifest->documents[at] = manifest->documents[at - 1];
        }
        manifest->documents[at] = moving;
    }
}

size_t manifest_definitions(const struct manifest *manifest)
{
    size_t n = 0;
    while (n < manifest->n && rank(&manifest->documents[n].object) == 0) {
        n++;
    }
    return n;
}

char *manifest_text(const struct manifest *manifest, size_t from, size_t to)
{
    struct buffer text = {0};
    for (size_t i = from; i < to; i++) {
        const char *document = manifest->documents[i].text;
        buffer_printf(&text, "---\n%s%s", document, str_ends(document, "\n") ? "" : "\n");
    }
    return text.data != NULL ? text.data : xstrdup("");
}

char *object_key(const struct object *object)
{
    return xasprintf("%s %s %s %s", object->version, object->kind, object->space != NULL ? object->space : "-",
                     object->name);
}

bool object_key_same(const char *a, const char *b)
{
    const char *kind_a = strchr(a, ' ');
    const char *kind_b = strchr(b, ' ');
    return kind_a != NULL && kind_b != NULL && strcmp(kind_a, kind_b) == 0;
}

json_t *object_identity(const char *key)
{
    _cleanup_strv_ char **part = strv_split(key);
    if (strv_length(part) != 4) {
        return NULL;
    }
    json_t *identity =
        json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", part[0], "kind", part[1], "metadata", "name", part[3]);
    if (identity != NULL && strcmp(part[2], "-") != 0) {
        json_object_set_new(json_object_get(identity, "metadata"), "namespace", json_string(part[2]));
    }
    return identity;
}
