#include "bake/progress.h"

#include <unistd.h>

#include "lib/core/logger.h"

#define LINE_MS 10000

void progress_begin(struct progress *progress)
{
    *progress = (struct progress){.begin = clock_ms(), .last_line = clock_ms()};
}

char *progress_text(size_t done, size_t n, int64_t got, int64_t size, int64_t fresh, int64_t ms)
{
    const double mib = 1024.0 * 1024.0;
    double rate = ms > 0 ? (double)fresh * 1000 / (double)ms : 0;
    struct buffer text = {0};
    buffer_printf(&text, "%zu of %zu files, %.1f of %.1f MiB, %.1f MiB/s", done, n, (double)got / mib,
                  (double)size / mib, rate / mib);
    if (rate > 0 && size > got) {
        buffer_printf(&text, ", %.0f s left", (double)(size - got) / rate);
    }
    return text.data;
}

void progress_show(struct progress *progress, size_t done, size_t n, int64_t got, int64_t size)
{
    int64_t now = clock_ms();
    if (!progress->started) {
        progress->started = true;
        progress->first_got = got;
    }
    _cleanup_free_ char *text = progress_text(done, n, got, size, got - progress->first_got, now - progress->begin);
    if (isatty(STDERR_FILENO)) {
        log_progress(text);
    } else if (now - progress->last_line >= LINE_MS) {
        progress->last_line = now;
        log_info("%s", text);
    }
}

void progress_end(struct progress *progress)
{
    if (progress->started) {
        log_progress(NULL);
    }
}
