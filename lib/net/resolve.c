#include "lib/net/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "lib/core/interrupt.h"

/* Shared by the thread and whoever waits for it, and freed by the last of the two. */
struct lookup {
    char *host, *port;
    struct addrinfo *list;
    int result, system_error;
    int done; /* the write end of a pipe: one byte when the resolver is back */
    bool finished, abandoned;
    pthread_mutex_t lock;
};

static void lookup_free(struct lookup *lookup)
{
    if (lookup->list != NULL) {
        freeaddrinfo(lookup->list);
    }
    pthread_mutex_destroy(&lookup->lock);
    util_closep(&lookup->done);
    free(lookup->host);
    free(lookup->port);
    free(lookup);
}

static int query(const char *host, const char *port, int flags, struct addrinfo **list)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    return getaddrinfo(host, port, &hints, list);
}

static void *work(void *data)
{
    struct lookup *lookup = data;
    struct addrinfo *list = NULL;
    int result = query(lookup->host, lookup->port, AI_ADDRCONFIG, &list);
    int why = errno;
    pthread_mutex_lock(&lookup->lock);
    lookup->list = result == 0 ? list : NULL;
    lookup->result = result;
    lookup->system_error = why;
    lookup->finished = true;
    bool alone = lookup->abandoned;
    if (!alone) {
        (void)!write(lookup->done, "", 1);
    }
    pthread_mutex_unlock(&lookup->lock);
    if (alone) {
        lookup_free(lookup);
    }
    return NULL;
}

/* NULL: no thread. */
static struct lookup *start(const char *host, const char *port, int done)
{
    struct lookup *lookup = xcalloc(1, sizeof *lookup);
    lookup->host = xstrdup(host);
    lookup->port = xstrdup(port);
    lookup->done = fcntl(done, F_DUPFD_CLOEXEC, 0);
    pthread_mutex_init(&lookup->lock, NULL);
    pthread_t thread;
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    int r = pthread_create(&thread, &detached, work, lookup);
    pthread_attr_destroy(&detached);
    if (r != 0) {
        lookup_free(lookup);
        return NULL;
    }
    return lookup;
}

/* Takes the list, or leaves LOOKUP to its thread. */
static int collect(struct lookup *lookup, int failure, struct addrinfo **list, struct error **err)
{
    pthread_mutex_lock(&lookup->lock);
    bool finished = lookup->finished;
    int result = lookup->result;
    int why = lookup->system_error;
    lookup->abandoned = true;
    *list = STEAL(lookup->list);
    pthread_mutex_unlock(&lookup->lock);
    if (!finished) {
        return error_new(err, STATUS_DEADLINE, "no connection: the resolver has no answer");
    }
    lookup_free(lookup);
    if (result != 0) {
        return error_new(err, failure, "resolving the name: %s",
                         result == EAI_SYSTEM ? strerrordesc_np(why) : gai_strerror(result));
    }
    return 0;
}

int resolve(const char *host, const char *port, struct deadline deadline, int failure, struct addrinfo **list,
            struct error **err)
{
    *list = NULL;
    if (query(host, port, AI_NUMERICHOST, list) == 0) {
        return 0;
    }
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return error_errno(err, STATUS_FAILED, errno, "making a pipe");
    }
    _cleanup_close_ int readable = ends[0];
    _cleanup_close_ int writable = ends[1];
    struct lookup *lookup = start(host, port, writable);
    if (lookup == NULL) {
        return error_new(err, STATUS_FAILED, "resolving the name: no thread");
    }
    _cleanup_error_ struct error *stop = NULL;
    int ready = interrupt_wait_readable(readable, deadline, &stop);
    int r = collect(lookup, failure, list, ready < 0 ? NULL : err);
    return ready < 0 ? error_move(err, &stop) : r;
}
