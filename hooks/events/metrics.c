#include "hooks/events/metrics.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/core/util.h"

enum { PER_MILLE = 1000, MS = 1000 };

static const double nano = 1e9;

/* To the nearest; -1, which is not a figure, for what is negative or beyond what an integer holds. */
static int64_t whole(double value)
{
    return value >= 0 && value < (double)INT64_MAX / 2 ? (int64_t)(value + 0.5) : -1;
}

static double number(const json_t *object, const char *group, const char *name)
{
    const json_t *value = json_object_get(json_object_get(object, group), name);
    return json_is_number(value) ? json_number_value(value) : -1;
}

struct node_use node_use_of(const json_t *summary, long cpus)
{
    struct node_use use = {-1, -1, -1, -1};
    const json_t *node = json_object_get(summary, "node");
    const json_t *pods = json_object_get(summary, "pods");
    if (json_is_array(pods)) {
        size_t i = 0;
        const json_t *pod = NULL;
        use.pods = 0;
        use.containers = 0;
        json_array_foreach (pods, i, pod) {
            /* One whose containers have not started yet is listed too. */
            size_t containers = json_array_size(json_object_get(pod, "containers"));
            use.pods += containers > 0;
            use.containers += (int64_t)containers;
        }
    }
    double cores = number(node, "cpu", "usageNanoCores") / nano;
    if (cores >= 0 && cpus > 0) {
        use.cpu_permille = whole(cores * PER_MILLE / (double)cpus);
    }
    double working = number(node, "memory", "workingSetBytes");
    double available = number(node, "memory", "availableBytes");
    if (working >= 0 && available >= 0 && working + available > 0) {
        use.memory_permille = whole(working * PER_MILLE / (working + available));
    }
    return use;
}

/* LINE is "name{labels} value" (Prometheus' text format). Adds the value to *sum when the name is NAME. */
static bool add_value(const char *line, const char *name, double *sum)
{
    size_t len = strlen(name);
    const char *value = strrchr(line, ' ');
    if (strncmp(line, name, len) != 0 || (line[len] != '{' && line[len] != ' ') || value == NULL) {
        return false;
    }
    *sum += strtod(value + 1, NULL);
    return true;
}

void api_sample_add(struct api_sample *sample, const char *line)
{
    static const char prefix[] = "apiserver_request_";
    if (strncmp(line, prefix, sizeof prefix - 1) != 0 ||
        add_value(line, "apiserver_request_total", &sample->requests) || strstr(line, "verb=\"WATCH\"") != NULL ||
        strstr(line, "verb=\"CONNECT\"") != NULL) {
        return;
    }
    (void)(add_value(line, "apiserver_request_duration_seconds_count", &sample->finished) ||
           add_value(line, "apiserver_request_duration_seconds_sum", &sample->seconds));
}

struct api_use api_use_between(const struct api_sample *before, const struct api_sample *now)
{
    double ms = (double)(now->at_ms - before->at_ms);
    double requests = now->requests - before->requests;
    double finished = now->finished - before->finished;
    double seconds = now->seconds - before->seconds;
    if (before->at_ms == 0 || ms <= 0 || requests < 0 || finished < 0 || seconds < 0) {
        return (struct api_use){0};
    }
    return (struct api_use){
        .requests_per_second = whole(requests * MS / ms),
        .latency_ms = finished > 0 ? whole(seconds * MS / finished) : 0,
    };
}

int64_t prometheus_value(const json_t *answer)
{
    const json_t *result = json_object_get(json_object_get(answer, "data"), "result");
    const json_t *sample = json_object_get(json_array_get(result, 0), "value");
    const char *text = json_string_value(json_array_get(sample, 1));
    char *end = NULL;
    double value = text == NULL ? -1 : strtod(text, &end);
    return end == NULL || *end != '\0' || end == text ? -1 : whole(value);
}

json_t *api_sample_json(const struct api_sample *sample)
{
    return json_pack("{sI sf sf sf}", "at_ms", (json_int_t)sample->at_ms, "requests", sample->requests, "finished",
                     sample->finished, "seconds", sample->seconds);
}

struct api_sample api_sample_parse(const json_t *json)
{
    return (struct api_sample){
        .at_ms = json_integer_value(json_object_get(json, "at_ms")),
        .requests = json_number_value(json_object_get(json, "requests")),
        .finished = json_number_value(json_object_get(json, "finished")),
        .seconds = json_number_value(json_object_get(json, "seconds")),
    };
}
