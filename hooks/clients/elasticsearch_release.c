#include "hooks/clients/elasticsearch_release.h"

#include <string.h>

#include "hooks/clients/elasticsearch.h"
#include "hooks/engine/run.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"

/* {"server": "HOST:PORT", "number": "7.10.2", "opensearch": true or false} */
#define RECORD "elasticsearch.json"

enum { QUERY_MS = 3000, TYPELESS = 7, NAMED_DOC = 6 };

struct release {
    int major, minor; /* 0: not known */
    bool opensearch;
};

static void parse_number(const char *text, struct release *release)
{
    char *end = NULL;
    *release = (struct release){.opensearch = release->opensearch};
    if (text != NULL) {
        release->major = (int)strtol(text, &end, 10);
        release->minor = *end == '.' ? (int)strtol(end + 1, NULL, 10) : 0;
    }
}

static char *server_of(const struct facts *facts)
{
    return xasprintf("%s:%d", facts->es_host, facts->es_port);
}

static json_t *read_record(const struct run *run)
{
    _cleanup_free_ char *path = run_state_path(run, RECORD);
    _cleanup_free_ char *server = server_of(run->facts);
    _cleanup_json_ json_t *record = NULL;
    (void)file_read_json(path, &record, NULL);
    const char *of = json_text(record, "server");
    return of != NULL && strcmp(of, server) == 0 ? STEAL(record) : NULL;
}

static struct release release_of(const json_t *record)
{
    struct release release = {.opensearch = json_is_true(json_object_get(record, "opensearch"))};
    parse_number(json_text(record, "number"), &release);
    return release;
}

/* The image's Kibana, by its tag. */
static struct release kibana_of(const struct run *run)
{
    const char *image = json_text(json_object_get(run->facts->versions, "images"), "kibana");
    const char *tag = image == NULL ? NULL : strrchr(image, ':');
    struct release kibana = {0};
    parse_number(tag == NULL ? NULL : tag + 1, &kibana);
    return kibana;
}

/* Kibana refuses another major version, and an older minor one than its own. OpenSearch can be set up to give
 * Elasticsearch's number. */
static bool kibana_works(struct release with, struct release kibana)
{
    return with.major == 0 || kibana.major == 0 || (with.major == kibana.major && with.minor >= kibana.minor);
}

static void warn(const struct run *run, struct release release)
{
    _cleanup_free_ char *server = server_of(run->facts);
    struct release kibana = kibana_of(run);
    if (!kibana_works(release, kibana)) {
        log_warning("%s %d.%d at %s: Kibana %d.%d refuses it and is not installed: use one of that version, as the ELK "
                    "app brings; logs are written there all the same",
                    release.opensearch ? "OpenSearch" : "Elasticsearch", release.major, release.minor, server,
                    kibana.major, kibana.minor);
    }
}

static int record(const struct run *run, const json_t *version, struct error **err)
{
    _cleanup_free_ char *server = server_of(run->facts);
    const char *number = json_text(version, "number");
    const char *distribution = json_text(version, "distribution");
    bool opensearch = distribution != NULL && strcmp(distribution, "opensearch") == 0;
    if (number == NULL) {
        return error_new(err, STATUS_LOG_UNREACHABLE, "GET http://%s/ names no version", server);
    }
    _cleanup_json_ json_t *now =
        json_pack("{s:s, s:s, s:b}", "server", server, "number", number, "opensearch", opensearch);
    _cleanup_json_ json_t *former = read_record(run);
    if (json_equal(now, former)) {
        return 0;
    }
    warn(run, release_of(now));
    _cleanup_free_ char *path = run_state_path(run, RECORD);
    _cleanup_free_ char *text = json_dumps(now, JSON_COMPACT | JSON_SORT_KEYS);
    return run->dry_run || run->diff ? 0 : file_put_private(path, text, err);
}

void elasticsearch_find_release(const struct run *run)
{
    _cleanup_json_ json_t *answer = NULL;
    _cleanup_error_ struct error *reason = NULL;
    if (run->facts->log_target == LOG_NODES) {
        return;
    }
    struct deadline deadline = deadline_earlier(run->deadline, deadline_in(QUERY_MS));
    if (elasticsearch_get(run->facts, "/", deadline, &answer, &reason) < 0 ||
        record(run, json_object_get(answer, "version"), &reason) < 0) {
        log_warning("the release of the Elasticsearch outside is not known: %s", reason->message);
    }
}

void elasticsearch_describe(const struct run *run, json_t *context)
{
    json_t *logging = json_object_get(context, "logging");
    _cleanup_json_ json_t *known = run->facts->log_target == LOG_NODES ? NULL : read_record(run);
    struct release release = release_of(known);
    if (release.major == 0) {
        return;
    }
    json_object_set_new(logging, "typeless", json_boolean(release.opensearch || release.major >= TYPELESS));
    json_object_set_new(logging, "type", json_string(release.major == NAMED_DOC ? "_doc" : "doc"));
    json_object_set_new(logging, "kibana", json_boolean(kibana_works(release, kibana_of(run))));
}
