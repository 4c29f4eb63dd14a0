/* What the cloud's API answers, as text: for app/cloud alone. */
#ifndef APP_CLOUD_CLOUD_ANSWER_H
#define APP_CLOUD_CLOUD_ANSWER_H

#include "app/cloud/cloud.h"
#include "lib/net/http.h"

/* docs.qingcloud.com/api/common/error_code.html */
enum {
    RET_DONE = 0,
    RET_AUTHENTICATION = 1200,
    RET_EXPIRED = 1300,
    RET_DENIED = 1400,
    RET_NOT_FOUND = 2100,
    RET_QUOTA = 2500,
    RET_SERVER = 5000, /* and above: the server's own trouble */
};

/* The JSON object in REPLY, with ret_code 0: a new reference. *CODE is the API's ret_code; -1 when REPLY is none of its
 * answers. STATUS_CLOUD_KEY, _QUOTA or _UNREACHABLE, whose message holds no key. */
int cloud_answer_read(const struct cloud_account *account, const char *action, const struct http_answer *reply,
                      json_t **answer, json_int_t *code, struct error **err);

#endif
