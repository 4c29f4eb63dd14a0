#include "lib/text/mustache_parse.h"

#include <string.h>

#include "lib/core/util.h"

struct tag {
    char sigil; /* 0: a plain {{name}} */
    struct span name;
    size_t begin, end; /* in the text, delimiters included */
    unsigned line;
};

struct parser {
    struct template *template;
    const char *text;
    size_t len;
    size_t pos;
    bool line_start; /* pos begins a line */
    unsigned line;   /* of counted */
    size_t counted;
    struct span open, close;
    size_t *sections; /* nodes of the sections that are open */
    size_t n_sections;
};

bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_space(char c)
{
    return is_blank(c) || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

static struct span strip(struct span s)
{
    while (s.len > 0 && is_space(s.at[0])) {
        s.at++;
        s.len--;
    }
    while (s.len > 0 && is_space(s.at[s.len - 1])) {
        s.len--;
    }
    return s;
}

/* The line of POS, which never goes back. */
static unsigned line_at(struct parser *p, size_t pos)
{
    while (p->counted < pos) {
        const char *newline = memchr(p->text + p->counted, '\n', pos - p->counted);
        if (newline == NULL) {
            break;
        }
        p->line++;
        p->counted = (size_t)(newline - p->text) + 1;
    }
    return p->line;
}

static struct node *add(struct parser *p, enum node_type type, struct span text, unsigned line)
{
    struct template *t = p->template;
    if (t->n_nodes == t->size) {
        t->size = t->size == 0 ? 64 : t->size * 2;
        t->nodes = xrealloc(t->nodes, t->size * sizeof *t->nodes);
    }
    struct node *node = &t->nodes[t->n_nodes++];
    *node = (struct node){.type = type, .line = line, .text = text};
    return node;
}

/* The text from pos up to TO, a node for each line: an indented partial needs to know where lines begin. */
static void add_text(struct parser *p, size_t to)
{
    while (p->pos < to) {
        const char *newline = memchr(p->text + p->pos, '\n', to - p->pos);
        size_t end = newline == NULL ? to : (size_t)(newline - p->text) + 1;
        add(p, NODE_TEXT, (struct span){p->text + p->pos, end - p->pos}, line_at(p, p->pos))->line_start =
            p->line_start;
        p->line_start = newline != NULL;
        p->pos = end;
    }
}

static int read_tag(struct parser *p, size_t begin, struct tag *tag, struct error **err)
{
    const char *name = p->template->name;
    size_t at = begin + p->open.len;
    *tag = (struct tag){.begin = begin, .line = line_at(p, begin)};
    while (at < p->len && is_space(p->text[at])) {
        at++;
    }
    if (at < p->len && strchr("!#^/>&={", p->text[at]) != NULL && p->text[at] != '\0') {
        tag->sigil = p->text[at++];
    }
    struct span close = p->close;
    char braced[64];
    if (tag->sigil == '{' || tag->sigil == '=') {
        close.len++;
        if (close.len > sizeof braced) {
            return error_new(err, STATUS_TEMPLATE, "%s:%u: delimiter longer than %zu bytes", name, tag->line,
                             sizeof braced - 1);
        }
        braced[0] = tag->sigil == '{' ? '}' : '=';
        memcpy(braced + 1, p->close.at, p->close.len);
        close.at = braced;
    }
    const char *end = memmem(p->text + at, p->len - at, close.at, close.len);
    if (end == NULL) {
        return error_new(err, STATUS_TEMPLATE, "%s:%u: a tag is opened by %.*s and never closed by %.*s", name,
                         tag->line, SPAN_ARGS(p->open), SPAN_ARGS(close));
    }
    tag->name = strip((struct span){p->text + at, (size_t)(end - p->text) - at});
    tag->end = (size_t)(end - p->text) + close.len;
    if (tag->name.len == 0 && tag->sigil != '!') {
        return error_new(err, STATUS_TEMPLATE, "%s:%u: a tag without a name", name, tag->line);
    }
    return 0;
}

static int set_delimiters(struct parser *p, const struct tag *tag, struct error **err)
{
    struct span open = tag->name;
    struct span close = tag->name;
    for (open.len = 0; open.len < tag->name.len && !is_space(open.at[open.len]);) {
        open.len++;
    }
    close.at += open.len;
    close.len -= open.len;
    close = strip(close);
    bool good = open.len > 0 && close.len > 0 && memchr(tag->name.at, '=', tag->name.len) == NULL;
    for (size_t i = 0; i < close.len; i++) {
        good = good && !is_space(close.at[i]);
    }
    if (!good) {
        return error_new(err, STATUS_TEMPLATE,
                         "%s:%u: cannot set delimiters to \"%.*s\": two words without \"=\" are needed, as in "
                         "{{=<%% %%>=}}",
                         p->template->name, tag->line, SPAN_ARGS(tag->name));
    }
    p->open = open;
    p->close = close;
    return 0;
}

static int open_section(struct parser *p, const struct tag *tag, struct error **err)
{
    if (p->n_sections == MUSTACHE_DEPTH) {
        return error_new(err, STATUS_TEMPLATE, "%s:%u: sections nested deeper than %d", p->template->name, tag->line,
                         MUSTACHE_DEPTH);
    }
    if (p->sections == NULL) {
        p->sections = xcalloc(MUSTACHE_DEPTH, sizeof *p->sections);
    }
    p->sections[p->n_sections++] = p->template->n_nodes;
    add(p, tag->sigil == '#' ? NODE_SECTION : NODE_INVERTED, tag->name, tag->line);
    return 0;
}

static char section_sigil(const struct node *node)
{
    return node->type == NODE_SECTION ? '#' : '^';
}

static int close_section(struct parser *p, const struct tag *tag, struct error **err)
{
    const char *name = p->template->name;
    if (p->n_sections == 0) {
        return error_new(err, STATUS_TEMPLATE, "%s:%u: {{/%.*s}} closes a section that was not opened", name, tag->line,
                         SPAN_ARGS(tag->name));
    }
    struct node *node = &p->template->nodes[p->sections[p->n_sections - 1]];
    if (!span_equal(node->text, tag->name)) {
        return error_new(err, STATUS_TEMPLATE, "%s:%u: {{/%.*s}} where {{%c%.*s}} of line %u is to be closed", name,
                         tag->line, SPAN_ARGS(tag->name), section_sigil(node), SPAN_ARGS(node->text), node->line);
    }
    node->end = p->template->n_nodes;
    p->n_sections--;
    return 0;
}

/* Nothing but blanks beside the tag on its line: then the whole line goes, from *from up to *to. */
static bool stands_alone(const struct parser *p, const struct tag *tag, size_t *from, size_t *to)
{
    if (tag->sigil == 0 || tag->sigil == '&' || tag->sigil == '{') {
        return false;
    }
    size_t before = tag->begin;
    while (before > p->pos && is_blank(p->text[before - 1])) {
        before--;
    }
    if (before > p->pos ? p->text[before - 1] != '\n' : !p->line_start) {
        return false;
    }
    size_t after = tag->end;
    while (after < p->len && is_blank(p->text[after])) {
        after++;
    }
    if (after < p->len && p->text[after] == '\r' && after + 1 < p->len && p->text[after + 1] == '\n') {
        after++;
    }
    if (after < p->len && p->text[after] != '\n') {
        return false;
    }
    *from = before;
    *to = after < p->len ? after + 1 : after;
    return true;
}

static int add_tag(struct parser *p, const struct tag *tag, struct span indent, bool alone, struct error **err)
{
    switch (tag->sigil) {
    case '!':
        return 0;
    case '=':
        return set_delimiters(p, tag, err);
    case '#':
    case '^':
        return open_section(p, tag, err);
    case '/':
        return close_section(p, tag, err);
    case '>': {
        struct node *node = add(p, NODE_PARTIAL, tag->name, tag->line);
        node->line_start = alone;
        node->indent = indent;
        return 0;
    }
    default:
        add(p, tag->sigil == 0 ? NODE_VALUE : NODE_RAW, tag->name, tag->line);
        return 0;
    }
}

static int parse_tag(struct parser *p, size_t begin, struct error **err)
{
    struct tag tag;
    if (read_tag(p, begin, &tag, err) < 0) {
        return -1;
    }
    size_t from = tag.begin;
    size_t to = tag.end;
    bool alone = stands_alone(p, &tag, &from, &to);
    add_text(p, from);
    if (!alone && p->line_start) {
        add(p, NODE_TEXT, (struct span){p->text + from, 0}, tag.line)->line_start = true;
    }
    p->pos = to;
    p->line_start = alone;
    return add_tag(p, &tag, (struct span){p->text + from, tag.begin - from}, alone, err);
}

static int parse(struct parser *p, struct error **err)
{
    while (p->pos < p->len) {
        const char *tag = memmem(p->text + p->pos, p->len - p->pos, p->open.at, p->open.len);
        if (tag == NULL) {
            add_text(p, p->len);
        } else if (parse_tag(p, (size_t)(tag - p->text), err) < 0) {
            return -1;
        }
    }
    if (p->n_sections > 0) {
        const struct node *node = &p->template->nodes[p->sections[p->n_sections - 1]];
        return error_new(err, STATUS_TEMPLATE, "%s:%u: section {{%c%.*s}} is never closed", p->template->name,
                         node->line, section_sigil(node), SPAN_ARGS(node->text));
    }
    return 0;
}

int template_parse(struct template **template, const char *name, const char *text, size_t len, struct error **err)
{
    struct parser p = {
        .template = xcalloc(1, sizeof *p.template),
        .text = text,
        .len = len,
        .line_start = true,
        .line = 1,
        .open = {"{{", 2},
        .close = {"}}", 2},
    };
    p.template->name = xstrdup(name);
    int r = parse(&p, err);
    free(p.sections);
    if (r < 0) {
        template_free(p.template);
        return -1;
    }
    *template = p.template;
    return 0;
}

void template_free(struct template *template)
{
    if (template == NULL) {
        return;
    }
    free(template->name);
    free(template->text);
    free(template->nodes);
    free(template);
}

void template_freep(struct template **template)
{
    template_free(*template);
}
