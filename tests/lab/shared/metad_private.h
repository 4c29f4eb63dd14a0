/* What the metadata server's two halves share: its store (metad.c) and its listeners (metad_http.c). */
#ifndef TESTS_LAB_SHARED_METAD_PRIVATE_H
#define TESTS_LAB_SHARED_METAD_PRIVATE_H

#include <pthread.h>

#include <microhttpd.h>

#include "lib/core/util.h"
#include "tests/lab/shared/metad.h"

/* One request, from its first header to its completion. */
struct metad_request {
    struct metad *metad;
    struct MHD_Connection *connection;
    struct metad_request *next_held;
    struct metad_fault fault; /* that it meets; body owned */
    struct buffer body;
    uint64_t past_version; /* a long poll's; held until the version is past it */
    int64_t not_before;    /* clock_ms() of a delayed answer */
    bool started, waits, held;
};

struct metad {
    struct MHD_Daemon *listener, *manager;
    pthread_t timer; /* resumes delayed answers */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* the held list, or stopping */
    json_t *data, *mapping, *rules;
    uint64_t version;
    struct metad_fault fault; /* body owned */
    struct metad_request *held;
    unsigned requests;
    bool stopping, timer_runs;
};

/* The following are called with the lock held. */

/* After any change of data or mapping. */
void metad_changed(struct metad *metad);
/* Resumes every held request that has become ready. */
void metad_resume(struct metad *metad);
void metad_set_fault(struct metad *metad, const struct metad_fault *fault);
bool metad_must_hold(const struct metad_request *request);

enum MHD_Result metad_answer_client(void *context, struct MHD_Connection *connection, const char *url,
                                    const char *method, const char *http_version, const char *upload_data,
                                    size_t *upload_size, void **request);
enum MHD_Result metad_answer_manager(void *context, struct MHD_Connection *connection, const char *url,
                                     const char *method, const char *http_version, const char *upload_data,
                                     size_t *upload_size, void **request);
void metad_request_done(void *context, struct MHD_Connection *connection, void **request,
                        enum MHD_RequestTerminationCode code);

#endif
