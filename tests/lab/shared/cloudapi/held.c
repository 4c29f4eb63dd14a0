#include "tests/lab/shared/cloudapi/held.h"

#include <pthread.h>
#include <stdlib.h>

struct held {
    struct MHD_Connection *connection;
    struct deadline until;
    struct held *next;
};

struct held_list {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    struct held *first;
    bool stopping;
};

/* Resumes what is due; milliseconds until the next is. */
static int64_t resume_due(struct held_list *list, bool all)
{
    int64_t next = deadline_left(deadline_never());
    for (struct held **at = &list->first; *at != NULL;) {
        struct held *held = *at;
        int64_t left = all ? 0 : deadline_left(held->until);
        if (left > 0) {
            next = left < next ? left : next;
            at = &held->next;
            continue;
        }
        *at = held->next;
        MHD_resume_connection(held->connection);
        free(held);
    }
    return next;
}

static void *watch(void *context)
{
    struct held_list *list = context;
    pthread_mutex_lock(&list->lock);
    while (!list->stopping) {
        int64_t left = resume_due(list, false);
        if (left > 86400000) {
            pthread_cond_wait(&list->changed, &list->lock);
            continue;
        }
        struct timespec at;
        clock_gettime(CLOCK_MONOTONIC, &at);
        at.tv_sec += left / 1000;
        at.tv_nsec += left % 1000 * 1000000;
        at.tv_sec += at.tv_nsec / 1000000000;
        at.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&list->changed, &list->lock, &at);
    }
    pthread_mutex_unlock(&list->lock);
    return NULL;
}

struct held_list *held_start(void)
{
    struct held_list *list = xcalloc(1, sizeof *list);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&list->lock, NULL);
    pthread_cond_init(&list->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&list->thread, NULL, watch, list) != 0) {
        abort();
    }
    return list;
}

void held_add(struct held_list *list, struct MHD_Connection *connection, struct deadline until)
{
    struct held *held = xcalloc(1, sizeof *held);
    pthread_mutex_lock(&list->lock);
    *held = (struct held){connection, until, list->first};
    list->first = held;
    MHD_suspend_connection(connection);
    pthread_cond_signal(&list->changed);
    pthread_mutex_unlock(&list->lock);
}

void held_release(struct held_list *list)
{
    pthread_mutex_lock(&list->lock);
    (void)resume_due(list, true);
    pthread_mutex_unlock(&list->lock);
}

void held_stop(struct held_list *list)
{
    pthread_mutex_lock(&list->lock);
    (void)resume_due(list, true);
    list->stopping = true;
    pthread_cond_signal(&list->changed);
    pthread_mutex_unlock(&list->lock);
    pthread_join(list->thread, NULL);
    pthread_cond_destroy(&list->changed);
    pthread_mutex_destroy(&list->lock);
    free(list);
}
