/* How far downloads are: bytes, rate, time left; one redrawn line on a terminal, a line every ten seconds elsewhere. */
#ifndef BAKE_PROGRESS_H
#define BAKE_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/core/util.h"

struct progress {
    int64_t begin, last_line;
    int64_t first_got; /* what was there already */
    bool started;
};

void progress_begin(struct progress *progress);
void progress_show(struct progress *progress, size_t done, size_t n, int64_t got, int64_t size);
void progress_end(struct progress *progress);

/* "2 of 7 files, 120.4 of 300.0 MiB, 10.2 MiB/s, 18 s left". MS is the time FRESH bytes took. The caller frees. */
char *progress_text(size_t done, size_t n, int64_t got, int64_t size, int64_t fresh, int64_t ms);

#endif
