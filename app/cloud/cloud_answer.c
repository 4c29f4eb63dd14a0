#include "app/cloud/cloud_answer.h"

#include <string.h>

#include "app/facts/parameters.h"
#include "lib/core/json.h"

/* Ends a refusal that is of the resource's state ("resource [vol-1] is [detaching], ...", "lease info not ready yet,
 * ..."), with the code of one that is of the key's. */
#define TRY_LATER "please try later"

static int refused(const struct cloud_account *account, const char *action, json_int_t code, bool busy,
                   const char *message, struct error **err)
{
    const char *host = account->host;
    switch (busy ? RET_SERVER : code) {
    case RET_AUTHENTICATION:
    case RET_DENIED:
        return error_new(err, STATUS_CLOUD_KEY,
                         "%s at %s: the API key is refused: %lld, %s: correct access_key_id and "
                         "secret_access_key",
                         action, host, (long long)code, message);
    case RET_EXPIRED:
        return error_new(err, STATUS_CLOUD_KEY,
                         "%s at %s: the signature is refused as too old: %lld, %s: this host's clock "
                         "must be right within a minute",
                         action, host, (long long)code, message);
    case RET_QUOTA:
        return error_new(err, STATUS_CLOUD_QUOTA, "%s at %s: the quota is used up: %lld, %s: wait an hour", action,
                         host, (long long)code, message);
    default:
        return error_new(err, STATUS_CLOUD_UNREACHABLE, "%s at %s: the API answers with an error: %lld, %s", action,
                         host, (long long)code, message);
    }
}

/* The API repeats in its messages what it was given. */
static char *printable(const struct cloud_account *account, const char *message)
{
    bool leaks = strstr(message, account->access_key_id) != NULL || strstr(message, account->secret_access_key) != NULL;
    return leaks ? xstrdup("(its message is left out, it holds the key)") : quote(message);
}

int cloud_answer_read(const struct cloud_account *account, const char *action, const struct http_answer *reply,
                      json_t **answer, json_int_t *code, struct error **err)
{
    _cleanup_json_ json_t *body =
        json_loadb(reply->body.data != NULL ? reply->body.data : "", reply->body.len, 0, NULL);
    const json_t *ret_code = json_object_get(body, "ret_code");
    *code = -1;
    if (!json_is_integer(ret_code)) {
        bool busy = reply->code == 429;
        return error_new(err, busy ? STATUS_CLOUD_QUOTA : STATUS_CLOUD_UNREACHABLE,
                         "%s at %s: the answer (HTTP status %ld, %zu bytes) is not one of the cloud API", action,
                         account->host, reply->code, reply->body.len);
    }
    *code = json_integer_value(ret_code);
    if (*code != RET_DONE) {
        const char *message = json_text_or(body, "message", "");
        bool busy = *code == RET_DENIED && strstr(message, TRY_LATER) != NULL;
        _cleanup_free_ char *shown = printable(account, message);
        return refused(account, action, *code, busy, shown, err);
    }
    *answer = STEAL(body);
    return 0;
}
