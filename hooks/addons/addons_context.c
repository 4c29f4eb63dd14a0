#include "hooks/addons/addons_context.h"

#include "app/facts/storage_types.h"
#include "app/paths.h"
#include "hooks/clients/elasticsearch_release.h"
#include "hooks/engine/run.h"
#include "hooks/files/cloud_state.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"

/* Without a certificate nothing answers, and the API server is told of nothing. */
void addons_put_admission(const struct run *run, json_t *context)
{
    _cleanup_free_ char *path = run_state_path(run, ADMISSION_CERTIFICATE);
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    if (file_read(path, 0, &text, &len, NULL) == 0) {
        _cleanup_free_ char *encoded = base64_encode(text, len);
        json_object_set_new(json_object_get(context, "admission"), "certificate", json_string(encoded));
    }
}

/* The driver uses the class that the cloud's API gives, which `init` recorded. */
static void put_storage(const struct run *run, json_t *context)
{
    _cleanup_(cloud_state_clear) struct cloud_state state = {0};
    if (cloud_state_load(run, &state) && state.classes != NULL) {
        json_object_set_new(context, "storage", facts_storage(run->facts, state.classes));
    }
}

json_t *addons_context(const struct run *run)
{
    json_t *context = facts_context(run->facts);
    elasticsearch_describe(run, context);
    addons_put_admission(run, context);
    put_storage(run, context);
    return context;
}
