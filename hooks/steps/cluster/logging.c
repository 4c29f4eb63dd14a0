#include "hooks/steps/cluster/logging.h"

#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"
#include "lib/net/http.h"

/* The user guide's limit, after which init fails with status 102; and how often it is probed until then. */
enum { LIMIT_S = 60, TRY_MS = 10000, PAUSE_MS = 1000 };

static int probe(struct http *http, const char *url, struct deadline deadline, struct error **err)
{
    const struct http_request request = {.url = url};
    _cleanup_answer_ struct http_answer answer = {0};
    if (http_do(http, &request, deadline_earlier(deadline, deadline_in(TRY_MS)), STATUS_LOG_UNREACHABLE, &answer, err) <
        0) {
        return -1;
    }
    return answer.code < 500 ? 0 : error_new(err, STATUS_LOG_UNREACHABLE, "GET %s: HTTP status %ld", url, answer.code);
}

int elasticsearch_await(const char *host, int port, struct deadline deadline, struct error **err)
{
    struct http *http __attribute__((cleanup(http_freep))) = NULL;
    _cleanup_free_ char *url = xasprintf("http://%s:%d/", host, port);
    if (http_open(&http, NULL, err) < 0) {
        return -1;
    }
    for (;;) {
        _cleanup_error_ struct error *reason = NULL;
        if (probe(http, url, deadline, &reason) == 0) {
            return 0;
        }
        log_debug("%s", reason->message);
        if (reason->status == STATUS_INTERRUPTED) {
            return error_move(err, &reason);
        }
        _cleanup_error_ struct error *stop = NULL;
        if (run_pause(PAUSE_MS, deadline, &stop) < 0) {
            return stop->status == STATUS_INTERRUPTED
                       ? error_move(err, &stop)
                       : error_new(
                             err, STATUS_LOG_UNREACHABLE,
                             "the Elasticsearch that logs go to does not answer: %s: check the address, and that it "
                             "can be reached from the cluster's vxnet",
                             reason->message);
        }
    }
}

static int logging_done(struct run *run, struct error **err)
{
    (void)err;
    return run->facts->log_target == LOG_NODES;
}

static int logging_apply(struct run *run, struct error **err)
{
    return elasticsearch_await(run->facts->es_host, run->facts->es_port, run_deadline(run, LIMIT_S), err);
}

const struct step step_probe_elasticsearch = {"probe external Elasticsearch", logging_done, logging_apply, NULL};
