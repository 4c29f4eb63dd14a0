/* Text in columns, as wide as their widest cell; a Chinese character is two columns wide. */
#ifndef LAB_TABLE_H
#define LAB_TABLE_H

#include <stdio.h>

#include "lib/core/util.h"

struct table {
    size_t columns;
    char **cells; /* row by row */
};

/* COLUMNS cells: plain text, NULL is "-". What would break a line becomes a blank. */
void table_row(struct table *table, size_t columns, const char *const *cells);
void table_print(const struct table *table, FILE *to);
void table_free(struct table *table);
#define _cleanup_table_ _cleanup_(table_free)

#endif
