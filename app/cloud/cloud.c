#include "app/cloud/cloud.h"

#include <string.h>

#include "app/cloud/cloud_answer.h"
#include "lib/core/interrupt.h"
#include "lib/core/json.h"
#include "lib/crypto/crypto.h"
#include "lib/net/http.h"

enum {
    TRIES = 3,
    TRY_MS = 15000,
    PAUSE_MS = 200,
};

struct cloud {
    struct cloud_account account;
    struct http *http;
    char **unknown; /* ids that the API has said it does not know: not queried again */
};

struct cloud_account cloud_account_of(const struct facts *facts)
{
    return (struct cloud_account){
        .protocol = facts->cluster.api_protocol,
        .host = facts->cluster.api_host,
        .port = facts->cluster.api_port,
        .zone = facts->cluster.zone,
        .access_key_id = facts->parameters.access_key_id,
        .secret_access_key = facts->parameters.secret_access_key,
    };
}

static int by_name(const void *a, const void *b)
{
    const struct cloud_parameter *x = a;
    const struct cloud_parameter *y = b;
    return strcmp(x->name, y->name);
}

char *cloud_query(const struct cloud_account *account, const char *action, const struct cloud_parameter *parameters,
                  size_t count, time_t now)
{
    char stamp[sizeof "2013-08-27T14:30:10Z"];
    struct tm utc;
    gmtime_r(&now, &utc);
    (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &utc);
    const struct cloud_parameter common[] = {
        {"access_key_id", account->access_key_id},
        {"action", action},
        {"signature_method", "HmacSHA256"},
        {"signature_version", "1"},
        {"time_stamp", stamp},
        {"version", "1"},
        {"zone", account->zone},
    };
    size_t all = ELEMENTS(common) + count;
    _cleanup_free_ struct cloud_parameter *sorted = xcalloc(all, sizeof *sorted);
    memcpy(sorted, common, sizeof common);
    if (count > 0) {
        memcpy(sorted + ELEMENTS(common), parameters, count * sizeof *sorted);
    }
    qsort(sorted, all, sizeof *sorted, by_name);

    struct buffer query = {0};
    for (size_t i = 0; i < all; i++) {
        _cleanup_free_ char *name = http_escape(sorted[i].name);
        _cleanup_free_ char *value = http_escape(sorted[i].value);
        buffer_printf(&query, "%s%s=%s", i > 0 ? "&" : "", name, value);
    }
    _cleanup_free_ char *text = xasprintf("GET\n/iaas/\n%s", query.data);
    _cleanup_free_ char *signature = hmac_sha256_base64(account->secret_access_key, text);
    _cleanup_free_ char *escaped = http_escape(signature);
    buffer_printf(&query, "&signature=%s", escaped);
    return query.data;
}

int cloud_open(struct cloud **cloud, const struct cloud_account *account, struct error **err)
{
    struct http *http = NULL;
    if (http_open(&http, NULL, err) < 0) {
        return -1;
    }
    *cloud = xcalloc(1, sizeof **cloud);
    (*cloud)->account = *account;
    (*cloud)->http = http;
    return 0;
}

void cloud_free(struct cloud *cloud)
{
    if (cloud != NULL) {
        http_free(cloud->http);
        strv_free(cloud->unknown);
        free(cloud);
    }
}

void cloud_freep(struct cloud **cloud)
{
    cloud_free(*cloud);
}

/* *code is the API's ret_code; -1: there was no usable answer. */
static int try_call(struct cloud *cloud, const char *action, const char *query, struct deadline deadline,
                    json_t **answer, json_int_t *code, struct error **err)
{
    const struct cloud_account *account = &cloud->account;
    _cleanup_free_ char *url = xasprintf("%s://%s:%d/iaas/?%s", account->protocol, account->host, account->port, query);
    const struct http_request request = {.url = url};
    _cleanup_answer_ struct http_answer reply = {0};
    *code = -1;
    if (http_do(cloud->http, &request, deadline, STATUS_CLOUD_UNREACHABLE, &reply, err) < 0) {
        return -1;
    }
    return cloud_answer_read(account, action, &reply, answer, code, err);
}

/* *code tells a caller whether the API itself refused. */
static int call(struct cloud *cloud, const char *action, const struct cloud_parameter *parameters, size_t count,
                struct deadline deadline, json_t **answer, json_int_t *code, struct error **err)
{
    for (int i = 0;; i++) {
        _cleanup_error_ struct error *reason = NULL;
        /* signed again each time: a signature is valid for a minute */
        _cleanup_free_ char *query = cloud_query(&cloud->account, action, parameters, count, time(NULL));
        struct deadline end = deadline_earlier(deadline, deadline_in(TRY_MS));
        if (try_call(cloud, action, query, end, answer, code, &reason) == 0) {
            return 0;
        }
        bool passing = reason->status == STATUS_DEADLINE || *code >= RET_SERVER ||
                       (*code < 0 && reason->status == STATUS_CLOUD_UNREACHABLE);
        if (!passing || i + 1 == TRIES || deadline_left(deadline) == 0) {
            bool late = reason->status == STATUS_DEADLINE;
            return error_new(err, late ? STATUS_CLOUD_UNREACHABLE : reason->status, "the cloud API: %s",
                             reason->message);
        }
        if (interrupt_sleep(PAUSE_MS << i, deadline, err) < 0) {
            return -1;
        }
    }
}

int cloud_call(struct cloud *cloud, const char *action, const struct cloud_parameter *parameters, size_t count,
               struct deadline deadline, json_t **answer, struct error **err)
{
    json_int_t code = 0;
    return call(cloud, action, parameters, count, deadline, answer, &code, err);
}

struct request {
    struct cloud_parameter *parameters;
    size_t count, owned; /* the names of the first OWNED are ours */
    char offset[24];
};

static void request_clear(struct request *request)
{
    for (size_t i = 0; i < request->owned; i++) {
        free((char *)request->parameters[i].name);
    }
    free(request->parameters);
}

static void request_add(struct request *request, const char *name, const char *value)
{
    request->parameters[request->count++] = (struct cloud_parameter){name, value};
}

static void request_fill(struct request *request, const struct cloud_list *what, char *const *ids, size_t n)
{
    size_t more = 0;
    while (what->more != NULL && what->more[more].name != NULL) {
        more++;
    }
    request->parameters = xcalloc(2 + more + n, sizeof *request->parameters);
    for (size_t i = 0; i < n; i++) {
        request_add(request, xasprintf("%s.%zu", what->filter, i + 1), ids[i]);
        request->owned++;
    }
    request_add(request, "limit", "100");
    request_add(request, "offset", request->offset);
    for (size_t i = 0; i < more; i++) {
        request_add(request, what->more[i].name, what->more[i].value);
    }
}

/* Appends all pages to FOUND, for the first N of IDS. *CODE as in call. */
static int gather_pages(struct cloud *cloud, const struct cloud_list *what, char *const *ids, size_t n,
                        struct deadline deadline, json_t *found, json_int_t *code, struct error **err)
{
    _cleanup_(request_clear) struct request request = {0};
    request_fill(&request, what, ids, n);
    json_int_t got = 0;
    for (json_int_t total = 1; got < total;) {
        _cleanup_json_ json_t *answer = NULL;
        (void)snprintf(request.offset, sizeof request.offset, "%" JSON_INTEGER_FORMAT, got);
        if (call(cloud, what->action, request.parameters, request.count, deadline, &answer, code, err) < 0) {
            return -1;
        }
        json_t *page = json_object_get(answer, what->set);
        if (!json_is_array(page)) {
            return error_new(err, STATUS_CLOUD_UNREACHABLE, "the cloud API: %s at %s: the answer has no %s",
                             what->action, cloud->account.host, what->set);
        }
        if (json_array_size(page) == 0) {
            break;
        }
        json_array_extend(found, page);
        got += (json_int_t)json_array_size(page);
        total = json_integer_value(json_object_get(answer, "total_count"));
    }
    return 0;
}

/* A call may be refused as a whole for one id that the API does not know: then each half has a call of its own. */
static int gather(struct cloud *cloud, const struct cloud_list *what, char *const *ids, size_t n,
                  struct deadline deadline, json_t *found, struct error **err)
{
    _cleanup_error_ struct error *why = NULL;
    json_int_t code = 0;
    if (gather_pages(cloud, what, ids, n, deadline, found, &code, &why) == 0) {
        return 0;
    }
    if (code != RET_NOT_FOUND) {
        return error_move(err, &why);
    }
    if (n == 1) {
        strv_push(&cloud->unknown, ids[0]);
    }
    if (n < 2) {
        return 0;
    }
    return gather(cloud, what, ids, n / 2, deadline, found, err) < 0
               ? -1
               : gather(cloud, what, ids + n / 2, n - n / 2, deadline, found, err);
}

int cloud_describe(struct cloud *cloud, const struct cloud_list *what, struct deadline deadline, json_t **list,
                   struct error **err)
{
    _cleanup_strv_ char **ids = NULL;
    _cleanup_json_ json_t *found = json_array();
    for (char *const *id = what->ids; id != NULL && *id != NULL; id++) {
        if (!strv_contains(cloud->unknown, *id)) {
            strv_push(&ids, *id);
        }
    }
    bool lists_all = what->ids == NULL || what->ids[0] == NULL;
    if (lists_all && gather(cloud, what, NULL, 0, deadline, found, err) < 0) {
        return -1;
    }
    size_t all = strv_length(ids);
    for (size_t done = 0; ids != NULL && done < all; done += CLOUD_IDS) {
        size_t n = all - done < CLOUD_IDS ? all - done : CLOUD_IDS;
        if (gather(cloud, what, ids + done, n, deadline, found, err) < 0) {
            return -1;
        }
    }
    *list = STEAL(found);
    return 0;
}
