/* Stands for the dashboard's metrics-scraper v1.0: reads the metrics API as its service account and keeps the last
 * values for the dashboard. */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/http.h"
#include "tests/lab/images/shared/program.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static json_t *nodes;

static void answer(const struct http_request *request, struct http_reply *reply, void *data)
{
    (void)data;
    reply->type = "text/plain";
    if (strcmp(request->path, "/") == 0) {
        buffer_printf(&reply->body, "URL: %s", request->path);
    } else if (strcmp(request->path, "/healthz") == 0) {
        buffer_puts(&reply->body, "ok");
    } else if (strncmp(request->path, "/api/v1/dashboard/nodes", 23) == 0) {
        (void)pthread_mutex_lock(&lock);
        reply->type = "application/json";
        reply_json(reply, json_pack("{sO}", "items", nodes));
        (void)pthread_mutex_unlock(&lock);
    } else {
        reply->status = 404;
    }
}

int main(int argc, char **argv)
{
    struct flag flags[] = {{"db-file", FLAG_TEXT, false, "/tmp/metrics.db"},
                           {"metric-resolution", FLAG_SECONDS, false, "1m"},
                           {"metric-duration", FLAG_SECONDS, false, "15m"},
                           {"log-level", FLAG_TEXT, false, "info"},
                           {"namespace", FLAG_TEXT, false, ""},
                           {NULL, FLAG_TEXT, false, NULL}};
    (void)argc;
    flags_parse(flags, argv);
    end_on_signals();
    cluster_open();
    FILE *db = fopen(flag_text(flags, "db-file"), "we");
    if (db == NULL) {
        fail("%s cannot be written", flag_text(flags, "db-file"));
    }
    (void)fclose(db);
    nodes = json_array();
    http_serve(8000, NULL, answer, NULL);
    for (;;) {
        json_t *items = cluster_list("/apis/metrics.k8s.io/v1beta1/nodes");
        if (items != NULL) {
            (void)pthread_mutex_lock(&lock);
            json_decref(nodes);
            nodes = items;
            (void)pthread_mutex_unlock(&lock);
        }
        (void)sleep(items == NULL ? 5 : 60);
    }
}
