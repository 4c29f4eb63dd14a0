/* Stands for Fluent Bit 1.8 with the plugins of the cluster's configuration: what it does not know it refuses, and what
 * it knows it does as fluent/fluent-bit v1.8 does, its limits included. */
#ifndef LAB_IMAGES_FLUENT_BIT_H
#define LAB_IMAGES_FLUENT_BIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <jansson.h>

#include "lib/core/util.h"

struct section {
    char *kind; /* "INPUT" */
    const char *name;
    json_t *entries; /* [[key, value]...] in their order, keys in lower case */
};
extern struct section *sections;
extern size_t n_sections;

/* Reads the configuration and the parsers it names; a section, plugin or property that is not known ends the program.
 */
void conf_read(const char *path);
/* The value of the first entry KEY (lower case), or USUAL. */
const char *conf_text(const struct section *section, const char *key, const char *usual);
bool conf_on(const struct section *section, const char *key, bool usual);
size_t conf_size(const struct section *section, const char *key, size_t usual); /* 64k, 1M; False: no limit */
/* Each of several entries KEY in turn; NULL at the end. *AT begins with 0. */
const char *conf_next(const struct section *section, const char *key, size_t *at);
const struct section *conf_parser(const char *name);
const struct section *conf_service(void);

/* Counted for /api/v1/metrics. */
struct counters {
    unsigned long records, bytes;                         /* of an input */
    unsigned long sent, errors, retries, failed, dropped; /* of an output */
};
extern struct counters *counters; /* a section each */

/* A record comes in: through the filters and to the outputs. RECORD is taken. DONE (may be NULL) is called once it was
 * sent or given up. */
void emit(size_t section, const char *tag, struct timespec when, json_t *record);
/* Until what was emitted before is sent or given up. */
uint64_t emitted(void);
uint64_t settled(void);
bool matches(const char *pattern, const char *tag); /* "kube.*" */

void tail_start(size_t section);
void units_start(size_t section);
void forward_start(size_t section);
void outputs_start(void);
void output_take(const char *tag, struct timespec when, json_t *record);
void es_start(void);
void es_take(const char *tag, struct timespec when, const json_t *record);
void forward_out_start(void);
void forward_take(const char *tag, struct timespec when, const json_t *record);
/* Retry_Limit of an output: -1 for no limit, 1 where nothing is said; and the seconds until try number TRIES + 1. */
long conf_retry_limit(const struct section *section);
long conf_retry_wait(int tries);

/* Filters: the record, changed, or NULL: dropped. */
json_t *filter_kubernetes(const struct section *section, const char *tag, json_t *record);
json_t *filter_lua(const struct section *section, const char *tag, struct timespec when, json_t *record);
json_t *filter_plain(const struct section *section, json_t *record); /* modify, grep */

/* The time in TEXT as "2026-01-02T03:04:05.678Z" or with an offset; false when it is none. */
bool time_parse(const char *text, struct timespec *when);

#endif
