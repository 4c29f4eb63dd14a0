#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "tests/lab/shared/cloudapi/api.h"

/* A request is good for this long, on either side of the server's clock. */
enum { VALID_S = 60 };

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

static bool signature_right(const struct cloudapi_arguments *arguments, const char *path, const char *secret)
{
    const char *given = cloudapi_argument(arguments, "signature");
    _cleanup_free_ struct cloudapi_argument *sorted = xcalloc(arguments->count, sizeof *sorted);
    memcpy(sorted, arguments->list, arguments->count * sizeof *sorted);
    qsort(sorted, arguments->count, sizeof *sorted, by_name);
    _cleanup_buffer_ struct buffer text = {0};
    buffer_printf(&text, "GET\n%s\n", path);
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

/* Which zones there are is asked without one. */
static bool zone_right(const struct cloudapi_arguments *arguments, const json_t *data)
{
    const char *zone = cloudapi_argument(arguments, "zone");
    size_t i = 0;
    json_t *known;
    if (zone == NULL) {
        return strcmp(cloudapi_argument(arguments, "action"), "DescribeZones") == 0;
    }
    json_array_foreach (json_object_get(data, "zones"), i, known) {
        if (strcmp(json_string_value(known), zone) == 0) {
            return true;
        }
    }
    return false;
}

/* The public clients leave out "version", which the documentation requires: only another one is refused. */
int cloudapi_verify(const struct cloudapi_arguments *arguments, const char *path, const json_t *data, time_t now,
                    const char **message)
{
    static const struct {
        const char *name, *value; /* NULL: any */
    } required[] = {{"access_key_id", NULL}, {"action", NULL},           {"signature", NULL},
                    {"time_stamp", NULL},    {"signature_version", "1"}, {"signature_method", "HmacSHA256"}};
    const char *version = cloudapi_argument(arguments, "version");
    for (size_t i = 0; i < ELEMENTS(required); i++) {
        const char *value = cloudapi_argument(arguments, required[i].name);
        if (value == NULL || (required[i].value != NULL && strcmp(value, required[i].value) != 0)) {
            *message = required[i].name;
            return RET_FORMAT;
        }
    }
    if (version != NULL && strcmp(version, "1") != 0) {
        *message = "version";
        return RET_FORMAT;
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
    if (!signature_right(arguments, path, secret)) {
        *message = "AuthFailure, signature not matched";
        return RET_AUTHENTICATION;
    }
    if (!stamp_right(cloudapi_argument(arguments, "time_stamp"), now)) {
        *message = "RequestHasExpired";
        return RET_EXPIRED;
    }
    if (!zone_right(arguments, data)) {
        *message = "zone";
        return RET_FORMAT;
    }
    return 0;
}
