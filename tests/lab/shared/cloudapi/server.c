#include "tests/lab/shared/cloudapi.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <microhttpd.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "lib/system/file.h"
#include "tests/lab/shared/cloudapi/api.h"
#include "tests/lab/shared/cloudapi/forward.h"
#include "tests/lab/shared/cloudapi/held.h"
#include "tests/lab/shared/half_body.h"

struct cloudapi {
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock;
    json_t *data, *state, *faults;
    char *path, *disks; /* of the state's file and the volumes'; NULL: none */
    struct cloudapi_fault fault;
    unsigned requests, with_signature;
    struct held_list *held;      /* connections that wait */
    struct forwarder *forwarder; /* NULL: load balancers are only told of */
    bool stopping;
};

/* What is remembered of a request until it is answered. */
struct request {
    json_t *fault; /* of the faults file */
};

static enum MHD_Result take_argument(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    struct cloudapi_arguments *arguments = context;
    arguments->list = xrealloc(arguments->list, (arguments->count + 1) * sizeof *arguments->list);
    arguments->list[arguments->count++] =
        (struct cloudapi_argument){xstrdup(name), xstrdup(value == NULL ? "" : value)};
    return MHD_YES;
}

static void arguments_clear(struct cloudapi_arguments *arguments)
{
    for (size_t i = 0; i < arguments->count; i++) {
        free(arguments->list[i].name);
        free(arguments->list[i].value);
    }
    free(arguments->list);
}

/* Sends BODY, which is freed. */
static enum MHD_Result respond(struct MHD_Connection *connection, unsigned code, char *body, bool cut)
{
    struct MHD_Response *response = cut ? MHD_create_response_from_callback(strlen(body), 4096, half_body, body, free)
                                        : MHD_create_response_from_buffer(strlen(body), body, MHD_RESPMEM_MUST_FREE);
    MHD_add_response_header(response, "Content-Type", "application/json");
    enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static struct cloudapi_fault take_fault(struct cloudapi *api)
{
    struct cloudapi_fault fault = api->fault;
    if (api->fault.count > 0 && --api->fault.count == 0) {
        api->fault.kind = CLOUDAPI_GOOD;
    }
    return fault;
}

/* What the faults file says of ACTION; a new reference, or NULL. */
static json_t *take_listed(struct cloudapi *api, const char *action)
{
    json_t *actions = json_object_get(api->faults, "actions");
    const char *name = action != NULL && json_object_get(actions, action) != NULL ? action : "*";
    json_t *fault = json_object_get(actions, name);
    json_t *taken = fault == NULL ? NULL : json_deep_copy(fault);
    json_t *count = json_object_get(fault, "count");
    if (count != NULL) {
        json_integer_set(count, json_integer_value(count) - 1);
        if (json_integer_value(count) <= 0) {
            json_object_del(actions, name);
        }
    }
    return taken;
}

static struct cloudapi_call call_of(const struct cloudapi *api)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (struct cloudapi_call){.data = api->data,
                                  .state = api->state,
                                  .faults = api->faults,
                                  .disks = api->disks,
                                  .now = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000};
}

static void save(const struct cloudapi *api)
{
    if (api->path == NULL) {
        return;
    }
    _cleanup_free_ char *text = json_dumps(api->state, JSON_INDENT(1));
    _cleanup_error_ struct error *err = NULL;
    const struct file_spec spec = {.path = api->path, .data = text, .len = strlen(text), .mode = 0600};
    if (file_put(&spec, NULL, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err->message);
    }
}

static void serve_balancers(struct cloudapi *api)
{
    if (api->forwarder != NULL) {
        const struct cloudapi_call call = call_of(api);
        _cleanup_json_ json_t *served = cloudapi_served(&call);
        forward_set(api->forwarder, served);
    }
}

static json_t *perform(struct cloudapi *api, const struct cloudapi_arguments *arguments, const json_t *fault)
{
    const char *action = cloudapi_argument(arguments, "action");
    struct cloudapi_call call = call_of(api);
    call.arguments = arguments;
    call.fault = fault;
    call.action = action;
    call.user = cloudapi_user(api->data, cloudapi_argument(arguments, "access_key_id"));
    bool changed = cloudapi_settle(&call);
    json_t *answer = cloudapi_answer(&call);
    if (changed || (!str_starts(action, "Describe") && !str_starts(action, "Get"))) {
        serve_balancers(api);
        save(api);
    }
    return answer;
}

static enum MHD_Result answer(struct cloudapi *api, struct MHD_Connection *connection, const char *path, bool known,
                              const json_t *listed)
{
    struct cloudapi_fault fault = take_fault(api);
    if (fault.kind == CLOUDAPI_HTTP) {
        return respond(connection, (unsigned)fault.code, xstrdup(fault.text == NULL ? "" : fault.text), false);
    }
    if (json_object_get(listed, "http") != NULL) {
        return respond(connection, (unsigned)json_integer_value(json_object_get(listed, "http")), xstrdup("{}"), false);
    }
    if (!known) {
        return respond(connection, MHD_HTTP_NOT_FOUND, xstrdup("not found"), false);
    }
    _cleanup_(arguments_clear) struct cloudapi_arguments arguments = {0};
    const char *message = NULL;
    MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, take_argument, &arguments);
    int code = cloudapi_verify(&arguments, path, api->data, time(NULL), &message);
    api->with_signature += code == 0;
    if (code == 0 && fault.kind == CLOUDAPI_ERROR) {
        code = fault.code;
        message = fault.text;
    } else if (code == 0 && json_object_get(listed, "ret_code") != NULL) {
        code = (int)json_integer_value(json_object_get(listed, "ret_code"));
        message = json_text_or(listed, "message", "");
    }
    _cleanup_json_ json_t *body =
        code == 0 ? perform(api, &arguments, listed) : cloudapi_refuse(code, "%s", message == NULL ? "" : message);
    char *text = json_dumps(body, JSON_COMPACT);
    if (fault.kind == CLOUDAPI_HALF) {
        text[strlen(text) / 2] = '\0';
    }
    return respond(connection, MHD_HTTP_OK, text, fault.kind == CLOUDAPI_CLOSE);
}

/* The first time that a request is seen: it may have to wait. */
static void begin(struct cloudapi *api, struct MHD_Connection *connection, struct request *request)
{
    api->requests++;
    request->fault = take_listed(api, MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "action"));
    const json_t *delay = json_object_get(request->fault, "delay_ms");
    if (api->fault.kind == CLOUDAPI_HANG || json_is_true(json_object_get(request->fault, "hang"))) {
        held_add(api->held, connection, deadline_never());
    } else if (delay != NULL) {
        held_add(api->held, connection, deadline_in(json_integer_value(delay)));
    }
}

static enum MHD_Result take_request(void *context, struct MHD_Connection *connection, const char *url,
                                    const char *method, const char *http_version, const char *upload_data,
                                    size_t *upload_size, void **state)
{
    (void)http_version;
    (void)upload_data;
    *upload_size = 0; /* a body is not looked at */
    struct cloudapi *api = context;
    struct request *request = *state;
    enum MHD_Result result = MHD_YES;
    pthread_mutex_lock(&api->lock);
    if (api->stopping || (request != NULL && api->fault.kind == CLOUDAPI_HANG)) {
        result = MHD_NO;
    } else if (request == NULL) {
        *state = request = xcalloc(1, sizeof *request);
        begin(api, connection, request);
    } else {
        bool known = strcmp(method, "GET") == 0 && (strcmp(url, "/iaas/") == 0 || strcmp(url, "/iaas") == 0);
        result = answer(api, connection, url, known, request->fault);
    }
    pthread_mutex_unlock(&api->lock);
    return result;
}

static void end_request(void *context, struct MHD_Connection *connection, void **state,
                        enum MHD_RequestTerminationCode why)
{
    (void)context;
    (void)connection;
    (void)why;
    struct request *request = *state;
    if (request != NULL) {
        json_decref(request->fault);
        free(request);
        *state = NULL;
    }
}

int cloudapi_start(struct cloudapi **result, const char *address, uint16_t port, const json_t *data, struct error **err)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, address, &at.sin_addr) != 1) {
        return error_new(err, STATUS_USAGE, "%s is not an IPv4 address", address);
    }
    struct cloudapi *api = xcalloc(1, sizeof *api);
    pthread_mutex_init(&api->lock, NULL);
    api->data = json_deep_copy(data);
    api->state = json_object();
    api->faults = json_object();
    api->held = held_start();
    api->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_ALLOW_SUSPEND_RESUME, port, NULL, NULL,
                                   take_request, api, MHD_OPTION_NOTIFY_COMPLETED, end_request, NULL,
                                   MHD_OPTION_SOCK_ADDR, &at, MHD_OPTION_END);
    if (api->daemon == NULL) {
        int saved = errno;
        cloudapi_stop(api);
        return error_errno(err, STATUS_FAILED, saved, "listening on %s:%u", address, port);
    }
    *result = api;
    return 0;
}

void cloudapi_stop(struct cloudapi *api)
{
    if (api == NULL) {
        return;
    }
    pthread_mutex_lock(&api->lock);
    api->stopping = true;
    pthread_mutex_unlock(&api->lock);
    held_stop(api->held);
    if (api->daemon != NULL) {
        MHD_stop_daemon(api->daemon);
    }
    forward_stop(api->forwarder);
    pthread_mutex_destroy(&api->lock);
    json_decref(api->data);
    json_decref(api->state);
    json_decref(api->faults);
    free(api->path);
    free(api->disks);
    free(api);
}

void cloudapi_stopp(struct cloudapi **api)
{
    cloudapi_stop(*api);
}

uint16_t cloudapi_port(const struct cloudapi *api)
{
    return MHD_get_daemon_info(api->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

int cloudapi_keep(struct cloudapi *api, const char *path, const char *disks, struct error **err)
{
    json_error_t why = {0};
    json_t *state = access(path, F_OK) != 0 ? json_object() : json_load_file(path, 0, &why);
    if (state == NULL) {
        return error_new(err, STATUS_FILE, "%s:%d: %s", path, why.line, why.text);
    }
    if (disks != NULL && dir_make(disks, 0700, err) < 0) {
        json_decref(state);
        return -1;
    }
    pthread_mutex_lock(&api->lock);
    json_decref(api->state);
    api->state = state;
    free(api->path);
    free(api->disks);
    api->path = xstrdup(path);
    api->disks = disks == NULL ? NULL : xstrdup(disks);
    pthread_mutex_unlock(&api->lock);
    return 0;
}

void cloudapi_data(struct cloudapi *api, const json_t *data)
{
    pthread_mutex_lock(&api->lock);
    json_decref(api->data);
    api->data = json_deep_copy(data);
    struct cloudapi_call call = call_of(api);
    bool volumes = cloudapi_release_volumes(&call);
    serve_balancers(api);
    if (cloudapi_release_nics(&call) || volumes) {
        save(api);
    }
    pthread_mutex_unlock(&api->lock);
}

void cloudapi_settle_jobs(struct cloudapi *api)
{
    pthread_mutex_lock(&api->lock);
    struct cloudapi_call call = call_of(api);
    if (cloudapi_settle(&call)) {
        serve_balancers(api);
        save(api);
    }
    pthread_mutex_unlock(&api->lock);
}

void cloudapi_forward(struct cloudapi *api)
{
    pthread_mutex_lock(&api->lock);
    api->forwarder = forward_start();
    serve_balancers(api);
    pthread_mutex_unlock(&api->lock);
}

void cloudapi_faults(struct cloudapi *api, const json_t *faults)
{
    pthread_mutex_lock(&api->lock);
    json_decref(api->faults);
    api->faults = json_is_object(faults) ? json_deep_copy(faults) : json_object();
    pthread_mutex_unlock(&api->lock);
    held_release(api->held);
}

void cloudapi_fault(struct cloudapi *api, const struct cloudapi_fault *fault)
{
    pthread_mutex_lock(&api->lock);
    api->fault = *fault;
    pthread_mutex_unlock(&api->lock);
    if (fault->kind != CLOUDAPI_HANG) {
        held_release(api->held);
    }
}

static unsigned counter(struct cloudapi *api, const unsigned *value)
{
    pthread_mutex_lock(&api->lock);
    unsigned now = *value;
    pthread_mutex_unlock(&api->lock);
    return now;
}

unsigned cloudapi_requests(struct cloudapi *api)
{
    return counter(api, &api->requests);
}

unsigned cloudapi_signed(struct cloudapi *api)
{
    return counter(api, &api->with_signature);
}
