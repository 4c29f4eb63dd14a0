#include "app/kube.h"

#include <string.h>

#include "lib/core/json.h"

enum { EXCERPT = 400 };

struct kube {
    struct http *http;
    char *server;
};

int kube_open(struct kube **kube, const char *server, const struct http_tls *tls, struct error **err)
{
    struct http *http = NULL;
    if (http_open(&http, tls, err) < 0) {
        return -1;
    }
    *kube = xcalloc(1, sizeof **kube);
    (*kube)->http = http;
    (*kube)->server = xstrdup(server);
    return 0;
}

void kube_free(struct kube *kube)
{
    if (kube != NULL) {
        http_free(kube->http);
        free(kube->server);
        free(kube);
    }
}

void kube_freep(struct kube **kube)
{
    kube_free(*kube);
    *kube = NULL;
}

/* The API's reason: the message of its Status object, else the start of the text. */
static char *reason_of(const struct http_answer *answer)
{
    /* /readyz and /healthz list what holds too; only what fails matters. */
    struct buffer failing = {0};
    for (const char *line = answer->body.data; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += strspn(line, "\n");
        if (str_starts(line, "[-]")) {
            buffer_printf(&failing, "%s%.*s", failing.len == 0 ? "" : ", ", (int)strcspn(line, "\n"), line);
        }
    }
    return failing.data != NULL ? failing.data : http_reason(answer);
}

struct exchange {
    const char *method, *path, *content_type;
    const char *accept;   /* NULL: JSON or text */
    const json_t *object; /* NULL: no body */
    long allowed;         /* an HTTP status that is not an error, besides 2xx */
    bool (*line)(void *context, const char *line);
    void *context;
};

static int exchange(struct kube *kube, const struct exchange *what, struct deadline deadline,
                    struct http_answer *answer, long *code, struct error **err)
{
    if (code != NULL) {
        *code = 0;
    }
    _cleanup_free_ char *url = xasprintf("%s%s", kube->server, what->path);
    _cleanup_secret_ char *body = what->object == NULL ? NULL : json_dumps(what->object, JSON_COMPACT);
    _cleanup_free_ char *type = xasprintf("Content-Type: %s", what->content_type);
    _cleanup_free_ char *accept =
        xasprintf("Accept: %s", what->accept != NULL ? what->accept : "application/json, text/plain;q=0.9, */*;q=0.1");
    const char *headers[] = {accept, body == NULL ? NULL : type, NULL};
    const struct http_request request = {
        .method = what->method,
        .url = url,
        .headers = headers,
        .body = body,
        .body_len = body == NULL ? 0 : strlen(body),
        .line = what->line,
        .line_context = what->context,
    };
    if (http_do(kube->http, &request, deadline, STATUS_API, answer, err) < 0) {
        return -1;
    }
    if (code != NULL) {
        *code = answer->code;
    }
    if ((answer->code >= 200 && answer->code < 300) || (answer->code == what->allowed && code != NULL)) {
        return 0;
    }
    _cleanup_free_ char *reason = reason_of(answer);
    return error_new(err, STATUS_API, "%s %s: the API answers %ld: %s", what->method, url, answer->code, reason);
}

/* *object is NULL for the status that GET allows. */
static int get_object(struct kube *kube, const struct exchange *get, struct deadline deadline, json_t **object,
                      long *code, struct error **err)
{
    _cleanup_answer_ struct http_answer answer = {0};
    if (exchange(kube, get, deadline, &answer, code, err) < 0) {
        return -1;
    }
    if (code != NULL && *code == get->allowed) {
        *object = NULL;
        return 0;
    }
    json_error_t why;
    json_t *parsed = json_loadb(answer.body.data == NULL ? "" : answer.body.data, answer.body.len, 0, &why);
    if (!json_is_object(parsed)) {
        json_decref(parsed);
        return error_new(err, STATUS_API, "GET %s%s: the answer is not a JSON object (%s); is this the Kubernetes API?",
                         kube->server, get->path, why.text);
    }
    *object = parsed;
    return 0;
}

int kube_get(struct kube *kube, const char *path, struct deadline deadline, json_t **object, long *code,
             struct error **err)
{
    const struct exchange get = {.method = "GET", .path = path, .content_type = ""};
    return get_object(kube, &get, deadline, object, code, err);
}

int kube_get_metadata(struct kube *kube, const char *path, struct deadline deadline, json_t **object,
                      struct error **err)
{
    const struct exchange get = {
        .method = "GET",
        .path = path,
        .content_type = "",
        .accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
        .allowed = 404,
    };
    long code = 0;
    return get_object(kube, &get, deadline, object, &code, err);
}

int kube_get_text(struct kube *kube, const char *path, struct deadline deadline, char **text, long *code,
                  struct error **err)
{
    _cleanup_answer_ struct http_answer answer = {0};
    const struct exchange get = {.method = "GET", .path = path, .content_type = ""};
    if (exchange(kube, &get, deadline, &answer, code, err) < 0) {
        return -1;
    }
    *text = answer.body.data == NULL ? xstrdup("") : STEAL(answer.body.data);
    return 0;
}

int kube_get_lines(struct kube *kube, const char *path, struct deadline deadline,
                   bool (*line)(void *context, const char *line), void *context, struct error **err)
{
    _cleanup_answer_ struct http_answer answer = {0};
    const struct exchange get = {.method = "GET", .path = path, .content_type = "", .line = line, .context = context};
    return exchange(kube, &get, deadline, &answer, NULL, err);
}

struct watch {
    bool (*seen)(void *context, const json_t *object);
    void *context;
    bool begun; /* an object came */
    bool over;  /* SEEN has seen what it waits for */
    struct error *failure;
};

/* One event a line: {"type": "ADDED", "object": {...}}. */
static bool take_event(void *context, const char *line)
{
    struct watch *watch = context;
    _cleanup_json_ json_t *event = json_loads(line, 0, NULL);
    const char *type = json_text(event, "type");
    const json_t *object = json_object_get(event, "object");
    if (type == NULL || strcmp(type, "ERROR") == 0) {
        const char *message = json_text(object, "message");
        (void)error_new(&watch->failure, STATUS_API, "%s", message != NULL ? message : line);
        return false;
    }
    if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0) {
        watch->begun = true;
        watch->over = !watch->seen(watch->context, object);
    }
    return !watch->over;
}

int kube_watch(struct kube *kube, const char *path, struct deadline deadline,
               bool (*seen)(void *context, const json_t *object), void *context, struct error **err)
{
    _cleanup_free_ char *query = xasprintf("%s%cwatch=true", path, strchr(path, '?') == NULL ? '?' : '&');
    struct watch watch = {.seen = seen, .context = context};
    _cleanup_error_ struct error *broken = NULL;
    int r = kube_get_lines(kube, query, deadline, take_event, &watch, &broken);
    _cleanup_error_ struct error *failure = watch.failure;
    if (watch.over && r == 0) {
        return 0;
    }
    if (r < 0 && watch.begun && broken->status == STATUS_DEADLINE) { /* no fault of the API server's */
        return error_new(err, STATUS_DEADLINE, "watching %s%s: no further change", kube->server, path);
    }
    if (r < 0) {
        return error_move(err, &broken);
    }
    return error_new(err, STATUS_API, "watching %s%s: the API server closed the watch: %s", kube->server, path,
                     failure != NULL ? failure->message : "no reason given");
}

int kube_merge_patch(struct kube *kube, const char *path, const json_t *patch, struct deadline deadline,
                     struct error **err)
{
    _cleanup_answer_ struct http_answer answer = {0};
    /* RFC 7396 */
    const struct exchange what = {
        .method = "PATCH", .path = path, .content_type = "application/merge-patch+json", .object = patch};
    return exchange(kube, &what, deadline, &answer, NULL, err);
}

int kube_post(struct kube *kube, const char *path, const json_t *object, struct deadline deadline, long *code,
              struct error **err)
{
    _cleanup_answer_ struct http_answer answer = {0};
    const struct exchange what = {
        .method = "POST", .path = path, .content_type = "application/json", .object = object, .allowed = 409};
    return exchange(kube, &what, deadline, &answer, code, err);
}

int kube_delete(struct kube *kube, const char *path, struct deadline deadline, long *code, struct error **err)
{
    _cleanup_answer_ struct http_answer answer = {0};
    const struct exchange what = {.method = "DELETE", .path = path, .content_type = "", .allowed = 404};
    return exchange(kube, &what, deadline, &answer, code, err);
}

const char *kube_condition(const json_t *object, const char *type, const char **reason)
{
    const json_t *conditions = json_object_get(json_object_get(object, "status"), "conditions");
    size_t i = 0;
    const json_t *condition = NULL;
    json_array_foreach (conditions, i, condition) {
        const char *name = json_text(condition, "type");
        if (name == NULL || strcmp(name, type) != 0) {
            continue;
        }
        if (reason != NULL) {
            const char *message = json_text(condition, "message");
            *reason = message != NULL ? message : json_text(condition, "reason");
        }
        return json_text(condition, "status");
    }
    return NULL;
}
