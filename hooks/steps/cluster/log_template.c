#include "hooks/steps/cluster/log_template.h"

#include <string.h>

#include "hooks/clients/elasticsearch.h"
#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"

/* A service without endpoints refuses at once; an address that nobody has must not keep the add-ons waiting. */
enum { REQUEST_S = 3 };

/* Increase VERSION with every change of the mapping: a template in the cluster that has another one is replaced. */
enum { VERSION = 1, FIRST_WITH_PATTERNS = 6, FIRST_TYPELESS = 7 };
#define NAME "k8s-hooks"

/* A double holds all whole numbers below 2^53 exactly, and others do not come (templates/efk/fluent-bit-fields). Text
 * as by Elasticsearch's own dynamic mapping, without looking for dates: what follows the first one may be none. */
static json_t *dynamic_templates(void)
{
    static const char *const numbers[] = {"long", "double"};
    static const char *const texts[] = {"date", "string"};
    json_t *list = json_array();
    for (size_t i = 0; i < ELEMENTS(numbers); i++) {
        _cleanup_free_ char *name = xasprintf("log_processed_%s", numbers[i]);
        json_array_append_new(list, json_pack("{s:{ss ss s{ss sb}}}", name, "path_match", "log_processed.*",
                                              "match_mapping_type", numbers[i], "mapping", "type", "double",
                                              "ignore_malformed", 1));
    }
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        _cleanup_free_ char *name = xasprintf("log_processed_%s", texts[i]);
        json_array_append_new(list, json_pack("{s:{ss ss s{ss s{s{ss si}}}}}", name, "path_match", "log_processed.*",
                                              "match_mapping_type", texts[i], "mapping", "type", "text", "fields",
                                              "keyword", "type", "keyword", "ignore_above", 256));
    }
    json_array_append_new(list, json_pack("{s:{ss ss s{ss si}}}", "log_processed_boolean", "path_match",
                                          "log_processed.*", "match_mapping_type", "boolean", "mapping", "type",
                                          "keyword", "ignore_above", 256));
    return list;
}

/* Before 7 mappings belong to a type; _default_ is for every type, so that no index gets a second one. Order 1 is
 * merged over templates of order 0, as Logstash's. */
static json_t *make_template(int major)
{
    json_t *mapping = json_pack("{so}", "dynamic_templates", dynamic_templates());
    json_t *template = json_pack("{si si so}", "order", 1, "version", VERSION, "mappings",
                                 major >= FIRST_TYPELESS ? mapping : json_pack("{so}", "_default_", mapping));
    if (major >= FIRST_WITH_PATTERNS) {
        json_object_set_new(template, "index_patterns", json_pack("[s]", "logstash-*"));
    } else {
        json_object_set_new(template, "template", json_string("logstash-*"));
    }
    return template;
}

static bool expected(const struct run *run)
{
    return run->conf->addons.enabled && (run->facts->log_target != LOG_NODES || elasticsearch_expected(run));
}

/* 1: the template is there; 0: it is not; -1. */
static int there(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *answer = NULL;
    /* all of them, filtered: one that is not there would be status 404 */
    if (elasticsearch_get(run->facts, "/_template?filter_path=" NAME ".version", run_deadline(run, REQUEST_S), &answer,
                          err) < 0) {
        return -1;
    }
    const json_t *version = json_object_get(json_object_get(answer, NAME), "version");
    return json_is_integer(version) && json_integer_value(version) == VERSION;
}

/* 8 and later when the number is OpenSearch's own, which begins with 1. */
static int find_major(struct run *run, int *major, struct error **err)
{
    _cleanup_json_ json_t *answer = NULL;
    if (elasticsearch_get(run->facts, "/", run_deadline(run, REQUEST_S), &answer, err) < 0) {
        return -1;
    }
    const json_t *version = json_object_get(answer, "version");
    const char *number = json_text(version, "number");
    const char *distribution = json_text(version, "distribution");
    if (distribution != NULL && strcmp(distribution, "opensearch") == 0) {
        *major = FIRST_TYPELESS;
        return 0;
    }
    *major = number == NULL ? 0 : (int)strtol(number, NULL, 10);
    return *major > 0 ? 0 : error_new(err, STATUS_LOG_UNREACHABLE, "GET / of the Elasticsearch names no version");
}

static int put(struct run *run, struct error **err)
{
    int major = 0;
    if (find_major(run, &major, err) < 0) {
        return -1;
    }
    _cleanup_json_ json_t *template = make_template(major);
    if (elasticsearch_call(run->facts, "PUT", "/_template/" NAME, template, run_deadline(run, REQUEST_S), NULL, err) <
        0) {
        return -1;
    }
    log_info("index template " NAME " put into Elasticsearch");
    if (run->facts->log_target != LOG_NODES) {
        return 0;
    }
    /* today's index may have been made before; an index takes templates for fields that it has not seen */
    const json_t *mapping = json_object_get(template, "mappings");
    _cleanup_error_ struct error *reason = NULL;
    if (elasticsearch_call(run->facts, "PUT", "/logstash-*/_mapping", mapping, run_deadline(run, REQUEST_S), NULL,
                           &reason) < 0) {
        log_debug("the indices that are there keep their mapping: %s", reason->message);
    }
    return 0;
}

void log_template_put(struct run *run)
{
    _cleanup_error_ struct error *reason = NULL;
    if (!expected(run)) {
        return;
    }
    int found = there(run, &reason);
    if (found < 0) {
        log_debug("index template " NAME " deferred: %s", reason->message);
    } else if (found == 0 && put(run, &reason) < 0) {
        log_warning("index template " NAME ": %s: lines whose fields differ in type from another pod's may be refused",
                    reason->message);
    }
}

static int log_template_done(struct run *run, struct error **err)
{
    _cleanup_error_ struct error *reason = NULL;
    (void)err;
    return !expected(run) || there(run, &reason) != 0; /* one that does not answer: the next run's */
}

static int log_template_apply(struct run *run, struct error **err)
{
    (void)err;
    log_template_put(run);
    return 0;
}

const struct step step_put_log_template = {"put the logs' index template", log_template_done, log_template_apply, NULL};
