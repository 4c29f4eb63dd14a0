#include "tests/lab/lab/verbs/table.h"

#include <ctype.h>
#include <string.h>
#include <wchar.h>

void table_row(struct table *table, size_t columns, const char *const *cells)
{
    table->columns = columns;
    for (size_t i = 0; i < columns; i++) {
        _cleanup_free_ char *cell = xstrdup(str_empty(cells[i]) ? "-" : cells[i]);
        for (char *c = cell; *c != '\0'; c++) {
            *c = iscntrl((unsigned char)*c) ? ' ' : *c;
        }
        strv_push(&table->cells, cell);
    }
}

/* On a terminal; bytes where TEXT is not in the locale's character set. */
static size_t width_of(const char *text)
{
    wchar_t wide[1024];
    size_t n = mbstowcs(wide, text, ELEMENTS(wide));
    int width = n == (size_t)-1 || n == ELEMENTS(wide) ? -1 : wcswidth(wide, n);
    return width < 0 ? strlen(text) : (size_t)width;
}

void table_print(const struct table *table, FILE *to)
{
    size_t cells = strv_length(table->cells);
    for (size_t i = 0; i < cells; i++) {
        size_t column = i % table->columns;
        size_t width = 0;
        for (size_t j = column; j < cells; j += table->columns) {
            size_t other = width_of(table->cells[j]);
            width = other > width ? other : width;
        }
        bool last = column + 1 == table->columns;
        (void)fprintf(to, "%s%*s", table->cells[i], last ? 0 : (int)(width - width_of(table->cells[i]) + 2), "");
        if (last) {
            (void)fputc('\n', to);
        }
    }
}

void table_free(struct table *table)
{
    strv_free(table->cells);
    *table = (struct table){0};
}
