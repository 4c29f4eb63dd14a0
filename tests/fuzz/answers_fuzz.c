/* What Docker, the kubelet and the Kubernetes API may answer, and kubeconfig files: tables, metrics and choices are
 * made of whatever it is. */
#include <stdint.h>
#include <string.h>

#include "hooks/clients/docker_unused.h"
#include "hooks/clients/kubeconfig.h"
#include "hooks/clients/pods.h"
#include "hooks/events/metrics.h"
#include "hooks/events/tables.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* AppCenter draws nothing of a table with a cell that is not a string, or more rows than it takes. */
static void check_table(json_t *table)
{
    const json_t *rows = json_object_get(table, "data");
    size_t i = 0;
    size_t j = 0;
    json_t *row = NULL;
    json_t *cell = NULL;
    if (!json_is_array(rows) || json_array_size(rows) > TABLE_ROWS + 1) {
        abort();
    }
    json_array_foreach (rows, i, row) {
        json_array_foreach (row, j, cell) {
            if (!json_is_string(cell)) {
                abort();
            }
        }
    }
    json_decref(table);
}

static void read_json(const json_t *value)
{
    check_table(nodes_table(value));
    check_table(components_table(value, value, value, value, value));
    _cleanup_strv_ char **unused = docker_unused_images(value, value, value, 0);
    _cleanup_free_ char *moving = pods_that_move(value);
    const char *reason = NULL;
    (void)pod_moves(value);
    (void)kube_condition(value, "Ready", &reason);
    (void)node_use_of(value, 4);
}

static void read_text(const char *text)
{
    struct api_sample sample = {0};
    struct kubeconfig config = {0};
    _cleanup_error_ struct error *err = NULL;
    api_sample_add(&sample, text);
    int r = kubeconfig_parse(text, &config, &err);
    if ((r < 0) != (err != NULL)) {
        abort();
    }
    kubeconfig_free(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_json_ json_t *value = json_loadb((const char *)data, size, JSON_DECODE_ANY, NULL);
    _cleanup_free_ char *text = xstrndup((const char *)data, size);
    read_json(value);
    read_text(text);
    return 0;
}
