#include <string.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/engine/run.h"
#include "hooks/events/events.h"
#include "hooks/steps/cloud/load_balancers.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/core/syntax.h"
#include "lib/crypto/crypto.h"
#include "lib/net/serve_https.h"

/* kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers: an AdmissionReview with a Service
 * before it is stored comes, one with a JSON patch (RFC 6902) goes. An object has at most 1.5 MiB in etcd; a review
 * holds two. */
enum { LIMIT = 8 * 1024 * 1024 };

static const char warning[] = "no annotation chooses a network for the load balancer: it will be private, in the "
                              "cluster's vxnet; for a public one set " BALANCER "eip-ids";

static json_t *operation(const char *name, const json_t *value)
{
    _cleanup_buffer_ struct buffer path = {0};
    buffer_puts(&path, "/metadata/annotations/");
    for (const char *c = name; *c != '\0'; c++) {
        if (*c == '/' || *c == '~') {
            buffer_puts(&path, *c == '/' ? "~1" : "~0");
        } else {
            buffer_append(&path, c, 1);
        }
    }
    return json_is_null(value) ? json_pack("{ss ss}", "op", "remove", "path", path.data)
                               : json_pack("{ss ss sO}", "op", "add", "path", path.data, "value", value);
}

static json_t *patch_of(const json_t *service, json_t *annotations)
{
    json_t *patch = json_array();
    if (!json_is_object(json_object_get(json_object_get(service, "metadata"), "annotations"))) {
        json_array_append_new(patch, json_pack("{ss ss s{}}", "op", "add", "path", "/metadata/annotations", "value"));
    }
    const char *name;
    json_t *value;
    json_object_foreach (annotations, name, value) {
        json_array_append_new(patch, operation(name, value));
    }
    return patch;
}

static void put_patch(json_t *response, const json_t *service, json_t *annotations)
{
    _cleanup_json_ json_t *patch = patch_of(service, annotations);
    _cleanup_free_ char *text = json_dumps(patch, JSON_COMPACT);
    _cleanup_free_ char *encoded = base64_encode(text, strlen(text));
    json_object_set_new(response, "patchType", json_string("JSONPatch"));
    json_object_set_new(response, "patch", json_string(encoded));
    if (!json_is_null(json_object_get(annotations, BALANCER_NETWORK))) {
        json_object_set_new(response, "warnings", json_pack("[s]", warning));
    }
}

/* Names are validated after admission: what is not one might begin lines of its own in the log. */
static const char *shown(const json_t *request, const char *key)
{
    const char *name = json_text_or(request, key, "");
    return syntax_dns_name(name) ? name : "?";
}

static char *answer(void *context, const char *body, size_t len)
{
    (void)context;
    _cleanup_json_ json_t *review = json_loadb(body, len, 0, NULL);
    const json_t *request = json_object_get(review, "request");
    const json_t *service = json_object_get(request, "object");
    const char *uid = json_text(request, "uid");
    if (uid == NULL) {
        return NULL;
    }
    json_t *response = json_pack("{ss sb}", "uid", uid, "allowed", 1);
    _cleanup_json_ json_t *result =
        json_pack("{ss ss so}", "apiVersion", "admission.k8s.io/v1", "kind", "AdmissionReview", "response", response);
    _cleanup_json_ json_t *annotations = load_balancer_annotations(service);
    if (annotations != NULL) {
        put_patch(response, service, annotations);
        log_info("service %s/%s: load balancer %s", shown(request, "namespace"), shown(request, "name"),
                 json_is_null(json_object_get(annotations, BALANCER_NETWORK)) ? "as the user chose"
                                                                              : "private by default");
    }
    return json_dumps(result, JSON_COMPACT);
}

int event_admit(struct run *run, struct error **err)
{
    _cleanup_free_ char *cert = run_state_path(run, ADMISSION_CERTIFICATE);
    _cleanup_free_ char *key = run_state_path(run, ADMISSION_KEY);
    const struct https_service service = {.cert = cert, .key = key, .limit = LIMIT, .answer = answer};
    return https_serve(STDIN_FILENO, &service, run->deadline, err);
}
