#include "tests/lab/shared/cloudapi.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <microhttpd.h>

#include "lib/core/util.h"
#include "tests/lab/shared/cloudapi_private.h"
#include "tests/lab/shared/half_body.h"

struct cloudapi {
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock;
    json_t *data;
    struct cloudapi_fault fault;
    unsigned requests, with_signature;
    struct held *held; /* connections that hang */
    bool stopping;
};

struct held {
    struct MHD_Connection *connection;
    struct held *next;
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

static json_t *refusal(int code, const char *message)
{
    return json_pack("{s:i, s:s}", "ret_code", code, "message", message == NULL ? "" : message);
}

static enum MHD_Result answer(struct cloudapi *api, struct MHD_Connection *connection, bool known)
{
    struct cloudapi_fault fault = take_fault(api);
    if (fault.kind == CLOUDAPI_HTTP) {
        return respond(connection, (unsigned)fault.code, xstrdup(fault.text == NULL ? "" : fault.text), false);
    }
    if (!known) {
        return respond(connection, MHD_HTTP_NOT_FOUND, xstrdup("not found"), false);
    }
    _cleanup_(arguments_clear) struct cloudapi_arguments arguments = {0};
    const char *message = NULL;
    MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, take_argument, &arguments);
    int code = cloudapi_verify(&arguments, api->data, time(NULL), &message);
    api->with_signature += code == 0;
    if (code == 0 && fault.kind == CLOUDAPI_ERROR) {
        code = fault.code;
        message = fault.text;
    }
    _cleanup_json_ json_t *body = code == 0 ? cloudapi_answer(&arguments, api->data) : refusal(code, message);
    char *text = json_dumps(body, JSON_COMPACT);
    if (fault.kind == CLOUDAPI_HALF) {
        text[strlen(text) / 2] = '\0';
    }
    return respond(connection, MHD_HTTP_OK, text, fault.kind == CLOUDAPI_CLOSE);
}

static enum MHD_Result take_request(void *context, struct MHD_Connection *connection, const char *url,
                                    const char *method, const char *http_version, const char *upload_data,
                                    size_t *upload_size, void **state)
{
    (void)http_version;
    (void)upload_data;
    *upload_size = 0; /* a body is not looked at */
    struct cloudapi *api = context;
    static char seen;
    pthread_mutex_lock(&api->lock);
    enum MHD_Result result = MHD_YES;
    if (*state == NULL && api->fault.kind == CLOUDAPI_HANG) {
        api->requests++;
        struct held *held = xcalloc(1, sizeof *held);
        *held = (struct held){connection, api->held};
        api->held = held;
        MHD_suspend_connection(connection);
    } else if (*state == NULL && !api->stopping) {
        api->requests++;
    } else if (api->stopping || api->fault.kind == CLOUDAPI_HANG) {
        result = MHD_NO;
    } else {
        bool known = strcmp(method, "GET") == 0 && strcmp(url, "/iaas/") == 0;
        result = answer(api, connection, known);
    }
    *state = &seen;
    pthread_mutex_unlock(&api->lock);
    return result;
}

static void release(struct cloudapi *api)
{
    while (api->held != NULL) {
        struct held *held = api->held;
        api->held = held->next;
        MHD_resume_connection(held->connection);
        free(held);
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
    api->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_ALLOW_SUSPEND_RESUME, port, NULL, NULL,
                                   take_request, api, MHD_OPTION_SOCK_ADDR, &at, MHD_OPTION_END);
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
    if (api->daemon != NULL) {
        pthread_mutex_lock(&api->lock);
        api->stopping = true;
        release(api);
        pthread_mutex_unlock(&api->lock);
        MHD_stop_daemon(api->daemon);
    }
    pthread_mutex_destroy(&api->lock);
    json_decref(api->data);
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

void cloudapi_data(struct cloudapi *api, const json_t *data)
{
    pthread_mutex_lock(&api->lock);
    json_decref(api->data);
    api->data = json_deep_copy(data);
    pthread_mutex_unlock(&api->lock);
}

void cloudapi_fault(struct cloudapi *api, const struct cloudapi_fault *fault)
{
    pthread_mutex_lock(&api->lock);
    api->fault = *fault;
    if (fault->kind != CLOUDAPI_HANG) {
        release(api);
    }
    pthread_mutex_unlock(&api->lock);
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
