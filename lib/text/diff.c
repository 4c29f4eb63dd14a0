#include <string.h>

#include "lib/system/file.h"

#define CONTEXT 3
/* Edits searched, at most: the search takes the square of it in memory. Texts further apart are shown as replaced. */
#define MOST_EDITS 1000

struct line {
    const char *at;
    size_t len; /* its newline included */
    uint64_t hash;
};

struct text {
    struct line *lines;
    long n;
};

/* One step from the old text to the new one. */
struct edit {
    char sign; /* ' ', '-', '+' */
    const struct line *line;
};

struct script {
    struct edit *edits;
    long n, size;
};

static struct text split(const char *s)
{
    struct text t = {0};
    long size = 0;
    while (s != NULL && *s != '\0') {
        if (t.n == size) {
            size = size == 0 ? 64 : size * 2;
            t.lines = xrealloc(t.lines, (size_t)size * sizeof *t.lines);
        }
        const char *newline = strchrnul(s, '\n');
        struct line *line = &t.lines[t.n++];
        *line =
            (struct line){.at = s, .len = (size_t)(newline - s) + (*newline == '\n'), .hash = 14695981039346656037U};
        for (size_t i = 0; i < line->len; i++) { /* FNV-1a */
            line->hash = (line->hash ^ (unsigned char)s[i]) * 1099511628211U;
        }
        s += line->len;
    }
    return t;
}

static bool equal(const struct line *a, const struct line *b)
{
    return a->hash == b->hash && a->len == b->len && memcmp(a->at, b->at, a->len) == 0;
}

static void add(struct script *s, char sign, const struct line *line)
{
    if (s->n == s->size) {
        s->size = s->size == 0 ? 64 : s->size * 2;
        s->edits = xrealloc(s->edits, (size_t)s->size * sizeof *s->edits);
    }
    s->edits[s->n++] = (struct edit){sign, line};
}

/* The greedy search of E. Myers, "An O(ND) difference algorithm" (1986): row d holds, for each diagonal k in -d..d, how
 * far into A d edits lead. Returns the number of edits, or -1 when more than MOST_EDITS are needed. */
static long search(struct text a, struct text b, long **rows)
{
    for (long d = 0; d <= MOST_EDITS && d <= a.n + b.n; d++) {
        rows[d] = xcalloc((size_t)(2 * d + 1), sizeof **rows);
        const long *before = d == 0 ? NULL : rows[d - 1] + (d - 1);
        for (long k = -d; k <= d; k += 2) {
            long x = 0;
            if (d > 0) {
                bool down = k == -d || (k != d && before[k - 1] < before[k + 1]);
                x = down ? before[k + 1] : before[k - 1] + 1;
            }
            while (x < a.n && x - k < b.n && equal(&a.lines[x], &b.lines[x - k])) {
                x++;
            }
            rows[d][d + k] = x;
            if (x >= a.n && x - k >= b.n) {
                return d;
            }
        }
    }
    return -1;
}

/* Follows the rows back from the end; edits come out last first. */
static void trace(struct text a, struct text b, long **rows, long d, struct script *out)
{
    long x = a.n;
    long y = b.n;
    for (; d > 0; d--) {
        const long *before = rows[d - 1] + (d - 1);
        long k = x - y;
        bool down = k == -d || (k != d && before[k - 1] < before[k + 1]);
        long from_x = down ? before[k + 1] : before[k - 1];
        long from_y = from_x - (down ? k + 1 : k - 1);
        for (; x > from_x + (down ? 0 : 1); x--) {
            add(out, ' ', &a.lines[x - 1]);
        }
        add(out, down ? '+' : '-', down ? &b.lines[from_y] : &a.lines[from_x]);
        x = from_x;
        y = from_y;
    }
    while (x > 0) {
        add(out, ' ', &a.lines[--x]);
    }
}

static void compare_middle(struct text a, struct text b, struct script *out)
{
    long **rows = xcalloc(MOST_EDITS + 1, sizeof *rows);
    long d = a.n == 0 || b.n == 0 ? -1 : search(a, b, rows); /* where one has nothing left there is nothing to find */
    long first = out->n;
    if (d >= 0) {
        trace(a, b, rows, d, out);
        for (long i = first, j = out->n - 1; i < j; i++, j--) {
            struct edit swap = out->edits[i];
            out->edits[i] = out->edits[j];
            out->edits[j] = swap;
        }
    } else {
        for (long i = 0; i < a.n; i++) {
            add(out, '-', &a.lines[i]);
        }
        for (long i = 0; i < b.n; i++) {
            add(out, '+', &b.lines[i]);
        }
    }
    for (long i = 0; i <= MOST_EDITS; i++) {
        free(rows[i]);
    }
    free((void *)rows);
}

static void compare(struct text a, struct text b, struct script *out)
{
    long prefix = 0;
    while (prefix < a.n && prefix < b.n && equal(&a.lines[prefix], &b.lines[prefix])) {
        add(out, ' ', &a.lines[prefix++]);
    }
    long suffix = 0;
    while (suffix < a.n - prefix && suffix < b.n - prefix &&
           equal(&a.lines[a.n - 1 - suffix], &b.lines[b.n - 1 - suffix])) {
        suffix++;
    }
    compare_middle((struct text){a.lines + prefix, a.n - prefix - suffix},
                   (struct text){b.lines + prefix, b.n - prefix - suffix}, out);
    for (long i = a.n - suffix; i < a.n; i++) {
        add(out, ' ', &a.lines[i]);
    }
}

static void put_line(struct buffer *out, const struct edit *edit)
{
    buffer_append(out, &edit->sign, 1);
    buffer_append(out, edit->line->at, edit->line->len);
    if (edit->line->at[edit->line->len - 1] != '\n') {
        buffer_puts(out, "\n\\ No newline at end of file\n");
    }
}

/* BEFORE is the number of lines above the hunk. */
static void put_range(struct buffer *out, char sign, long before, long count)
{
    buffer_printf(out, "%c%ld", sign, count == 0 ? before : before + 1);
    if (count != 1) {
        buffer_printf(out, ",%ld", count);
    }
}

/* How far the edits have been counted, in edits and in lines of either text. */
struct position {
    long edit, old, new;
};

static void count(struct position *at, const struct script *s, long to)
{
    for (; at->edit < to; at->edit++) {
        at->old += s->edits[at->edit].sign != '+';
        at->new += s->edits[at->edit].sign != '-';
    }
}

/* Edits FROM up to TO, with what is removed in front of what is added in each run of changes. */
static void put_hunk(struct buffer *out, const struct script *s, long from, long to, struct position *at)
{
    count(at, s, from);
    struct position before = *at;
    count(at, s, to);
    buffer_puts(out, "@@ ");
    put_range(out, '-', before.old, at->old - before.old);
    buffer_puts(out, " ");
    put_range(out, '+', before.new, at->new - before.new);
    buffer_puts(out, " @@\n");
    for (long i = from; i < to;) {
        if (s->edits[i].sign == ' ') {
            put_line(out, &s->edits[i++]);
            continue;
        }
        long end = i;
        while (end < to && s->edits[end].sign != ' ') {
            end++;
        }
        for (const char *sign = "-+"; *sign != '\0'; sign++) {
            for (long j = i; j < end; j++) {
                if (s->edits[j].sign == *sign) {
                    put_line(out, &s->edits[j]);
                }
            }
        }
        i = end;
    }
}

static void put_hunks(struct buffer *out, const struct script *s)
{
    struct position at = {0};
    for (long i = 0; i < s->n; i++) {
        if (s->edits[i].sign == ' ') {
            continue;
        }
        long last = i; /* change of this hunk */
        long end = i;
        for (; end < s->n && end - last <= 2 * CONTEXT + 1; end++) {
            last = s->edits[end].sign == ' ' ? last : end;
        }
        end = last + 1 + CONTEXT < s->n ? last + 1 + CONTEXT : s->n;
        put_hunk(out, s, i > CONTEXT ? i - CONTEXT : 0, end, &at);
        i = end - 1;
    }
}

char *text_diff(const char *path, const char *before, const char *after)
{
    if ((before == NULL) == (after == NULL) && (before == NULL || strcmp(before, after) == 0)) {
        return NULL;
    }
    struct text a = split(before);
    struct text b = split(after);
    struct script s = {0};
    struct buffer out = {0};
    compare(a, b, &s);
    buffer_printf(&out, "--- %s\n+++ %s\n", before == NULL ? "/dev/null" : path, after == NULL ? "/dev/null" : path);
    put_hunks(&out, &s);
    free(s.edits);
    free(a.lines);
    free(b.lines);
    return out.data;
}
