#include "tests/lab/lab/machine/parallel.h"

#include <pthread.h>

#include "lib/core/util.h"

static void *run(void *argument)
{
    struct job *job = argument;
    if (job->run(job->data, &job->err) != 0 && job->err == NULL) {
        (void)error_new(&job->err, STATUS_FAILED, "failed without a reason");
    }
    return NULL;
}

int parallel(struct job *jobs, size_t count, struct error **err)
{
    pthread_t *threads = xcalloc(count + 1, sizeof *threads);
    for (size_t i = 0; i < count; i++) {
        if (pthread_create(&threads[i], NULL, run, &jobs[i]) != 0) {
            abort();
        }
    }
    struct error *first = NULL;
    for (size_t i = 0; i < count; i++) {
        (void)pthread_join(threads[i], NULL);
        (void)error_move(first == NULL ? &first : NULL, &jobs[i].err);
    }
    free(threads);
    return first == NULL ? 0 : error_move(err, &first);
}
