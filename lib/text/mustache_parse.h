/* A Mustache template as a flat list of nodes: what lib/text/mustache.c renders. */
#ifndef LIB_TEXT_MUSTACHE_PARSE_H
#define LIB_TEXT_MUSTACHE_PARSE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/core/error.h"

/* Sections and partials within each other, at most: what a render needs of the C stack is bounded by it. */
#define MUSTACHE_DEPTH 1000

struct span {
    const char *at;
    size_t len;
};

enum node_type { NODE_TEXT, NODE_VALUE, NODE_RAW, NODE_SECTION, NODE_INVERTED, NODE_PARTIAL };

struct node {
    enum node_type type;
    bool line_start;          /* text: begins a line of the template; partial: is alone on its line */
    bool looked_for;          /* partial */
    unsigned line;            /* in the template, from 1 */
    struct span text;         /* the text (one line at most), or the name */
    struct span indent;       /* partial that is alone on its line: the blanks before it */
    size_t end;               /* section: the node after its last */
    struct template *partial; /* once searched; borrowed, NULL when there is none */
};

struct template
{
    char *name; /* for messages */
    char *text; /* owned by a partial, NULL in the template itself */
    struct node *nodes;
    size_t n_nodes;
    size_t size;
    struct template *next; /* of the partials of one render */
};

/* Spans of *TEMPLATE point into TEXT, which must outlive it. STATUS_TEMPLATE with NAME and line. */
int template_parse(struct template **template, const char *name, const char *text, size_t len, struct error **err);
void template_free(struct template *template);
void template_freep(struct template **template);

bool span_equal(struct span a, struct span b);

/* For messages: the span's bytes, cut where they get long. Use as printf("%.*s", SPAN_ARGS(s)). */
#define SPAN_SHOWN 80
#define SPAN_ARGS(s) (int)((s).len < SPAN_SHOWN ? (s).len : SPAN_SHOWN), (s).at

#endif
