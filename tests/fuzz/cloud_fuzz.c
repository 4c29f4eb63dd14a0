/* What the cloud's API may answer: an object with ret_code 0, or a status of ours and a message without the key. */
#include <stdint.h>
#include <string.h>

#include "app/cloud/cloud_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct cloud_account account = {
        .protocol = "https", .host = "h", .zone = "z", .access_key_id = "KEYID", .secret_access_key = "SECRET"};
    _cleanup_answer_ struct http_answer reply = {.code = 200};
    _cleanup_json_ json_t *answer = NULL;
    _cleanup_error_ struct error *err = NULL;
    json_int_t code = 0;
    buffer_append(&reply.body, data, size);
    int r = cloud_answer_read(&account, "DescribeInstances", &reply, &answer, &code, &err);
    if ((r < 0) != (err != NULL) || (r == 0) != json_is_object(answer) || (r == 0) != (code == RET_DONE)) {
        abort();
    }
    if (err != NULL && (err->status < STATUS_CLOUD_UNREACHABLE || err->status > STATUS_CLOUD_QUOTA ||
                        strstr(err->message, "KEYID") != NULL || strstr(err->message, "SECRET") != NULL)) {
        abort();
    }
    return 0;
}
