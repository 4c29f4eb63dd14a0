#include "hooks/addons/addons_context.h"

#include "app/paths.h"
#include "hooks/clients/elasticsearch_release.h"
#include "hooks/engine/run.h"
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

json_t *addons_context(const struct run *run)
{
    json_t *context = facts_context(run->facts);
    elasticsearch_describe(run, context);
    addons_put_admission(run, context);
    return context;
}
