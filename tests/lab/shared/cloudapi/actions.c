/* The table of all actions. */
#include <stdio.h>
#include <string.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "tests/lab/shared/cloudapi/api.h"

static const struct cloudapi_action *const tables[] = {
    cloudapi_account_actions,  cloudapi_instance_actions, cloudapi_network_actions,  cloudapi_volume_actions,
    cloudapi_snapshot_actions, cloudapi_balancer_actions, cloudapi_listener_actions, cloudapi_eip_actions,
    cloudapi_firewall_actions, cloudapi_vip_actions};

json_t *cloudapi_answer(struct cloudapi_call *call)
{
    cloudapi_handler *handler = NULL;
    for (size_t t = 0; t < ELEMENTS(tables); t++) {
        for (const struct cloudapi_action *a = tables[t]; a->name != NULL; a++) {
            handler = strcmp(a->name, call->action) == 0 ? a->handler : handler;
        }
    }
    json_t *answer = handler == NULL ? cloudapi_invalid("action") : handler(call);
    if (json_integer_value(json_object_get(answer, "ret_code")) == 0) {
        _cleanup_free_ char *action = xasprintf("%sResponse", call->action);
        json_object_set_new(answer, "action", json_string(action));
    }
    return answer;
}
