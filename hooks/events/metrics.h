/* What `monitor` reads out of the answers of the kubelet, the API server and Prometheus. */
#ifndef HOOKS_EVENTS_METRICS_H
#define HOOKS_EVENTS_METRICS_H

#include <stdint.h>

#include <jansson.h>

/* From the kubelet's /stats/summary. -1: not reported. */
struct node_use {
    int64_t pods, containers;
    int64_t cpu_permille; /* of all CPUs */
    int64_t memory_permille;
};
struct node_use node_use_of(const json_t *summary, long cpus);

/* Counters of the API server's /metrics since it started; requests that stay open by design (WATCH, CONNECT) are not in
 * the latency. */
struct api_sample {
    int64_t at_ms;   /* when it was taken, CLOCK_REALTIME */
    double requests; /* apiserver_request_total */
    double finished; /* apiserver_request_duration_seconds_count */
    double seconds;  /* apiserver_request_duration_seconds_sum */
};
/* Adds one line of /metrics. */
void api_sample_add(struct api_sample *sample, const char *line);

struct api_use {
    int64_t requests_per_second;
    int64_t latency_ms; /* mean */
};
/* 0 for both where there is no sample before, or the API server was restarted since. */
struct api_use api_use_between(const struct api_sample *before, const struct api_sample *now);

/* The one number in the answer of Prometheus' /api/v1/query; -1: there is none. */
int64_t prometheus_value(const json_t *answer);

/* For the state directory. */
json_t *api_sample_json(const struct api_sample *sample);
struct api_sample api_sample_parse(const json_t *json);

#endif
