#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "tests/lab/shared/cloudapi_private.h"

/* A request is good for this long, on either side of the server's clock. */
enum { VALID_S = 60 };

enum { RET_FORMAT = 1100, RET_AUTHENTICATION = 1200, RET_EXPIRED = 1300 };

const char *cloudapi_argument(const struct cloudapi_arguments *arguments, const char *name)
{
    for (size_t i = 0; i < arguments->count; i++) {
        if (strcmp(arguments->list[i].name, name) == 0) {
            return arguments->list[i].value;
        }
    }
    return NULL;
}

/* Written against the API's text, not against the client: RFC 3986, capitals. */
static void encode(struct buffer *out, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        bool plain = (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-' ||
                     *c == '_' || *c == '.' || *c == '~';
        const char escaped[] = {'%', hex[*c >> 4], hex[*c & 15]};
        buffer_append(out, plain ? (const char *)c : escaped, plain ? 1 : sizeof escaped);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct cloudapi_argument *)a)->name, ((const struct cloudapi_argument *)b)->name);
}

static bool signature_right(const struct cloudapi_arguments *arguments, const char *secret)
{
    const char *given = cloudapi_argument(arguments, "signature");
    _cleanup_free_ struct cloudapi_argument *sorted = xcalloc(arguments->count, sizeof *sorted);
    memcpy(sorted, arguments->list, arguments->count * sizeof *sorted);
    qsort(sorted, arguments->count, sizeof *sorted, by_name);
    _cleanup_buffer_ struct buffer text = {0};
    buffer_puts(&text, "GET\n/iaas/\n");
    bool any = false;
    for (size_t i = 0; i < arguments->count; i++) {
        if (strcmp(sorted[i].name, "signature") == 0) {
            continue;
        }
        buffer_puts(&text, any ? "&" : "");
        encode(&text, sorted[i].name);
        buffer_puts(&text, "=");
        encode(&text, sorted[i].value);
        any = true;
    }
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)text.data, text.len, mac, &len);
    unsigned char expected[EVP_MAX_MD_SIZE * 2];
    EVP_EncodeBlock(expected, mac, (int)len);
    return strcmp((const char *)expected, given) == 0;
}

static bool stamp_right(const char *stamp, time_t now)
{
    struct tm utc = {0};
    const char *end = strptime(stamp, "%Y-%m-%dT%H:%M:%SZ", &utc);
    if (end == NULL || *end != '\0') {
        return false;
    }
    time_t sent = timegm(&utc);
    return sent <= now + VALID_S && sent >= now - VALID_S;
}

static bool repeated(const struct cloudapi_arguments *arguments)
{
    for (size_t i = 0; i < arguments->count; i++) {
        if (cloudapi_argument(arguments, arguments->list[i].name) != arguments->list[i].value) {
            return true;
        }
    }
    return false;
}

static bool has_zone(const json_t *data, const char *zone)
{
    size_t i = 0;
    json_t *known;
    json_array_foreach (json_object_get(data, "zones"), i, known) {
        if (strcmp(json_string_value(known), zone) == 0) {
            return true;
        }
    }
    return false;
}

int cloudapi_verify(const struct cloudapi_arguments *arguments, const json_t *data, time_t now, const char **message)
{
    static const struct {
        const char *name, *value; /* NULL: any */
    } required[] = {
        {"access_key_id", NULL}, {"action", NULL}, {"signature", NULL},        {"time_stamp", NULL},
        {"zone", NULL},          {"version", "1"}, {"signature_version", "1"}, {"signature_method", "HmacSHA256"}};
    for (size_t i = 0; i < ELEMENTS(required); i++) {
        const char *value = cloudapi_argument(arguments, required[i].name);
        if (value == NULL || (required[i].value != NULL && strcmp(value, required[i].value) != 0)) {
            *message = required[i].name;
            return RET_FORMAT;
        }
    }
    if (repeated(arguments)) {
        *message = "a parameter is given twice";
        return RET_FORMAT;
    }
    const char *key = cloudapi_argument(arguments, "access_key_id");
    const char *secret = json_text(json_object_get(data, "keys"), key);
    if (secret == NULL) {
        *message = "AuthFailure, access_key_id does not exist";
        return RET_AUTHENTICATION;
    }
    if (!signature_right(arguments, secret)) {
        *message = "AuthFailure, signature not matched";
        return RET_AUTHENTICATION;
    }
    if (!stamp_right(cloudapi_argument(arguments, "time_stamp"), now)) {
        *message = "RequestHasExpired";
        return RET_EXPIRED;
    }
    if (!has_zone(data, cloudapi_argument(arguments, "zone"))) {
        *message = "zone";
        return RET_FORMAT;
    }
    return 0;
}

/* Whether VALUE is one of NAME.1, NAME.2, ...; true when the request has none of them. */
static bool wanted(const struct cloudapi_arguments *arguments, const char *name, const char *value)
{
    bool filtered = false;
    size_t len = strlen(name);
    for (size_t i = 0; i < arguments->count; i++) {
        const struct cloudapi_argument *a = &arguments->list[i];
        if (strncmp(a->name, name, len) == 0 && a->name[len] == '.') {
            filtered = true;
            if (value != NULL && strcmp(a->value, value) == 0) {
                return true;
            }
        }
    }
    return !filtered;
}

static long number(const struct cloudapi_arguments *arguments, const char *name, long fallback, long most)
{
    long n = fallback;
    const char *value = cloudapi_argument(arguments, name);
    return value != NULL && str_number(value, 0, most, &n) ? n : fallback;
}

struct description {
    const char *action, *set, *data;
    const char *filters[2]; /* parameter lists, each by the member in singular with _id */
    const char *members[2];
};

/* The machines of clusters are listed only for a request that names them, and all of them only for their owner. */
static bool visible(const struct cloudapi_arguments *arguments, const json_t *entry)
{
    const char *owner = json_text(entry, "owner");
    const char *clusters = cloudapi_argument(arguments, "is_cluster_node");
    bool of_cluster = json_is_true(json_object_get(entry, "of_cluster"));
    return (owner == NULL || strcmp(owner, cloudapi_argument(arguments, "access_key_id")) == 0) &&
           (!of_cluster || (clusters != NULL && strcmp(clusters, "1") == 0));
}

static json_t *describe(const struct description *d, const struct cloudapi_arguments *arguments, const json_t *data)
{
    /* as the API: a page is never over 100 */
    long limit = number(arguments, "limit", 20, 100);
    long offset = number(arguments, "offset", 0, 1000000);
    long total = 0;
    json_t *page = json_array();
    size_t i = 0;
    json_t *entry;
    json_array_foreach (json_object_get(data, d->data), i, entry) {
        bool in = visible(arguments, entry);
        for (size_t f = 0; f < ELEMENTS(d->filters) && d->filters[f] != NULL; f++) {
            in = in && wanted(arguments, d->filters[f], json_text(entry, d->members[f]));
        }
        if (in && total >= offset && total < offset + limit) {
            json_array_append(page, entry);
        }
        total += in;
    }
    _cleanup_free_ char *action = xasprintf("%sResponse", d->action);
    return json_pack("{s:i, s:s, s:I, s:o}", "ret_code", 0, "action", action, "total_count", (json_int_t)total, d->set,
                     page);
}

json_t *cloudapi_answer(const struct cloudapi_arguments *arguments, const json_t *data)
{
    static const struct description descriptions[] = {
        {"DescribeVxnets", "vxnet_set", "vxnets", {"vxnets"}, {"vxnet_id"}},
        {"DescribeNics", "nic_set", "nics", {"instances", "vxnets"}, {"instance_id", "vxnet_id"}},
        {"DescribeInstances", "instance_set", "instances", {"instances"}, {"instance_id"}},
    };
    const char *action = cloudapi_argument(arguments, "action");
    for (size_t i = 0; i < ELEMENTS(descriptions); i++) {
        if (strcmp(action, descriptions[i].action) == 0) {
            return describe(&descriptions[i], arguments, data);
        }
    }
    return json_pack("{s:i, s:s}", "ret_code", RET_FORMAT, "message", "action");
}
