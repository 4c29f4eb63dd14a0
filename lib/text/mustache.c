#include "lib/text/mustache.h"

#include <errno.h>
#include <string.h>

#include "lib/system/file.h"
#include "lib/text/mustache_parse.h"

/* Partials that include each other twice double with every level; these two end such a render in a second or so. */
#define MOST_NODES 50000000UL
#define MOST_OUTPUT (64UL << 20)

struct frame {
    const json_t *value;
};

struct render {
    const struct mustache_options *options;
    struct buffer *out;
    size_t start;        /* what was in out before */
    struct frame *stack; /* the innermost last */
    size_t n_stack, stack_size;
    struct buffer indent;      /* of the partials around */
    size_t indent_from;        /* of which this much is for others: an inline partial indents nothing */
    struct template *partials; /* all that were loaded */
    unsigned depth;
    unsigned long nodes;
    struct error **err;
};

static int render_nodes(struct render *r, const struct template *t, size_t from, size_t to);

static int fail(struct render *r, const struct template *t, const struct node *node, const char *why)
{
    return error_new(r->err, STATUS_TEMPLATE, "%s:%u: %.*s: %s", t->name, node->line, SPAN_ARGS(node->text), why);
}

static void push(struct render *r, const json_t *value)
{
    if (r->n_stack == r->stack_size) {
        r->stack_size = r->stack_size == 0 ? 16 : r->stack_size * 2;
        r->stack = xrealloc(r->stack, r->stack_size * sizeof *r->stack);
    }
    r->stack[r->n_stack++].value = value;
}

static const json_t *member(const json_t *object, struct span name)
{
    return json_is_object(object) ? json_object_getn(object, name.at, name.len) : NULL;
}

/* The first part of a dotted name is searched in the whole stack, the others in what it gave alone. */
static const json_t *look_up(const struct render *r, struct span name)
{
    if (name.len == 1 && name.at[0] == '.') {
        return r->stack[r->n_stack - 1].value;
    }
    const char *end = name.at + name.len;
    const char *dot = memchr(name.at, '.', name.len);
    struct span part = {name.at, (size_t)((dot == NULL ? end : dot) - name.at)};
    const json_t *value = NULL;
    for (size_t i = r->n_stack; i-- > 0 && value == NULL;) {
        value = member(r->stack[i].value, part);
    }
    while (dot != NULL && value != NULL) {
        part.at = dot + 1;
        dot = memchr(part.at, '.', (size_t)(end - part.at));
        part.len = (size_t)((dot == NULL ? end : dot) - part.at);
        value = member(value, part);
    }
    return value;
}

/* The fewest digits that read back as the same number, with ".0" on whole ones as JSON writers do. */
static void print_real(double value, char *text, size_t size)
{
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, size, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    if (strspn(text, "-0123456789") == strlen(text)) {
        (void)strncat(text, ".0", size - strlen(text) - 1);
    }
}

static int append_value(struct render *r, const json_t *value, enum format format)
{
    char number[64];
    switch (json_typeof(value)) {
    case JSON_STRING:
        return format_escape(format, json_string_value(value), r->out, r->err);
    case JSON_INTEGER:
        (void)snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        buffer_puts(r->out, number);
        return 0;
    case JSON_REAL:
        print_real(json_real_value(value), number, sizeof number);
        buffer_puts(r->out, number);
        return 0;
    case JSON_TRUE:
    case JSON_FALSE:
        buffer_puts(r->out, json_is_true(value) ? "true" : "false");
        return 0;
    case JSON_NULL:
        return 0;
    default: {
        if (r->options->strict) {
            return error_new(r->err, STATUS_TEMPLATE, "this is %s, not a text",
                             json_is_array(value) ? "a list" : "an object");
        }
        _cleanup_free_ char *text = json_dumps(value, JSON_COMPACT);
        return format_escape(format, text == NULL ? "" : text, r->out, r->err);
    }
    }
}

static int render_value(struct render *r, const struct template *t, const struct node *node)
{
    const json_t *value = look_up(r, node->text);
    if (value == NULL) {
        return r->options->strict ? fail(r, t, node, "no such name in the context") : 0;
    }
    if (append_value(r, value, node->type == NODE_RAW ? FORMAT_PLAIN : r->options->format) < 0) {
        return error_wrap(r->err, "%s:%u: %.*s", t->name, node->line, SPAN_ARGS(node->text));
    }
    return 0;
}

static bool truthy(const json_t *value)
{
    switch (value == NULL ? JSON_NULL : json_typeof(value)) {
    case JSON_NULL:
    case JSON_FALSE:
        return false;
    case JSON_STRING:
        return json_string_length(value) > 0;
    case JSON_ARRAY:
        return json_array_size(value) > 0;
    case JSON_INTEGER:
        return json_integer_value(value) != 0;
    case JSON_REAL:
        return json_real_value(value) != 0;
    default:
        return true;
    }
}

bool mustache_truthy(const json_t *context, const char *name)
{
    struct frame stack[] = {{context}};
    const struct render r = {.stack = stack, .n_stack = 1};
    return truthy(look_up(&r, (struct span){name, strlen(name)}));
}

static int render_inside(struct render *r, const struct template *t, const struct node *node, const json_t *value)
{
    size_t from = (size_t)(node - t->nodes) + 1;
    push(r, value);
    int status = render_nodes(r, t, from, node->end);
    r->n_stack--;
    return status;
}

static int render_section(struct render *r, const struct template *t, const struct node *node)
{
    const json_t *value = look_up(r, node->text);
    if (node->type == NODE_INVERTED) {
        return truthy(value) ? 0 : render_nodes(r, t, (size_t)(node - t->nodes) + 1, node->end);
    }
    if (!truthy(value)) {
        return 0;
    }
    if (!json_is_array(value)) {
        return render_inside(r, t, node, value);
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (render_inside(r, t, node, json_array_get(value, i)) < 0) {
            return -1;
        }
    }
    return 0;
}

/* A name leads to a file below the directory and to no other. */
static bool partial_name_good(struct span name)
{
    if (name.at[0] == '/' || memchr(name.at, '\0', name.len) != NULL) {
        return false;
    }
    for (struct span rest = name;;) {
        const char *slash = memchr(rest.at, '/', rest.len);
        size_t len = slash == NULL ? rest.len : (size_t)(slash - rest.at);
        if (len == 2 && memcmp(rest.at, "..", 2) == 0) {
            return false;
        }
        if (slash == NULL) {
            return true;
        }
        rest = (struct span){slash + 1, rest.len - len - 1};
    }
}

/* *partial stays NULL where there is no such file and that is allowed. */
static int load_partial(struct render *r, const struct template *t, const struct node *node, struct template **partial)
{
    if (!partial_name_good(node->text)) {
        return fail(r, t, node, "a partial must be a file below the directory of partials");
    }
    if (r->options->partials == NULL) {
        return r->options->strict ? fail(r, t, node, "there is no directory of partials") : 0;
    }
    _cleanup_free_ char *name = xasprintf("%.*s.mustache", (int)node->text.len, node->text.at);
    for (struct template *loaded = r->partials; loaded != NULL; loaded = loaded->next) {
        if (strcmp(loaded->name, name) == 0) {
            *partial = loaded;
            return 0;
        }
    }
    _cleanup_free_ char *path = path_join(r->options->partials, name);
    _cleanup_free_ char *text = NULL;
    _cleanup_error_ struct error *why = NULL;
    size_t len = 0;
    if (file_read(path, 0, &text, &len, &why) < 0) {
        return errno == ENOENT && !r->options->strict ? 0 : fail(r, t, node, why->message);
    }
    if (template_parse(partial, name, text, len, r->err) < 0) {
        return -1;
    }
    (*partial)->text = STEAL(text);
    (*partial)->next = r->partials;
    r->partials = *partial;
    return 0;
}

static int render_partial(struct render *r, const struct template *t, struct node *node)
{
    if (!node->looked_for && load_partial(r, t, node, &node->partial) < 0) {
        return -1;
    }
    node->looked_for = true;
    if (node->partial == NULL) {
        return 0;
    }
    size_t from = r->indent_from;
    size_t len = r->indent.len;
    if (node->line_start) {
        buffer_append(&r->indent, node->indent.at, node->indent.len);
    } else {
        r->indent_from = len;
    }
    int status = render_nodes(r, node->partial, 0, node->partial->n_nodes);
    r->indent_from = from;
    r->indent.len = len;
    return status;
}

static int render_node(struct render *r, const struct template *t, struct node *node)
{
    switch (node->type) {
    case NODE_TEXT:
        if (node->line_start) {
            buffer_append(r->out, r->indent.data + r->indent_from, r->indent.len - r->indent_from);
        }
        buffer_append(r->out, node->text.at, node->text.len);
        return 0;
    case NODE_VALUE:
    case NODE_RAW:
        return render_value(r, t, node);
    case NODE_SECTION:
    case NODE_INVERTED:
        return render_section(r, t, node);
    case NODE_PARTIAL:
        return render_partial(r, t, node);
    }
    return 0;
}

static int render_nodes(struct render *r, const struct template *t, size_t from, size_t to)
{
    if (r->depth == MUSTACHE_DEPTH + 1) {
        return error_new(
            r->err, STATUS_TEMPLATE,
            "%s: sections and partials go deeper than %d levels; a partial that includes itself must do so "
            "inside a section that ends",
            t->name, MUSTACHE_DEPTH);
    }
    r->depth++;
    for (size_t i = from; i < to;) {
        struct node *node = &t->nodes[i];
        if (++r->nodes > MOST_NODES || r->out->len - r->start > MOST_OUTPUT) {
            return fail(r, t, node, "the result grows beyond 64 MiB or 50 million pieces; do partials multiply?");
        }
        if (render_node(r, t, node) < 0) {
            return -1;
        }
        i = node->type == NODE_SECTION || node->type == NODE_INVERTED ? node->end : i + 1;
    }
    r->depth--;
    return 0;
}

int mustache_render(const char *name, const char *text, size_t len, const json_t *context,
                    const struct mustache_options *options, struct buffer *out, struct error **err)
{
    _cleanup_(template_freep) struct template *t = NULL;
    if (template_parse(&t, name, text, len, err) < 0) {
        return -1;
    }
    struct render r = {.options = options, .out = out, .start = out->len, .err = err};
    buffer_append(out, "", 0);
    buffer_append(&r.indent, "", 0);
    push(&r, context);
    int status = render_nodes(&r, t, 0, t->n_nodes);
    if (status < 0) {
        out->len = r.start;
        out->data[out->len] = '\0';
    }
    while (r.partials != NULL) {
        struct template *next = r.partials->next;
        template_free(r.partials);
        r.partials = next;
    }
    free(r.stack);
    buffer_free(&r.indent);
    return status;
}
