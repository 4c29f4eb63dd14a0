/* VxNets and network cards. */
#include "tests/lab/shared/cloudapi/api.h"

static const struct cloudapi_kind vxnets = {"vxnets", "vxnet", "vxnet-", "vxnet_id", "vxnet_name", 30};
static const struct cloudapi_kind nics = {"nics", "nic", "52:54:", "nic_id", "nic_name", 500};

static json_t *describe_vxnets(struct cloudapi_call *call)
{
    return cloudapi_describe(call,
                             &(struct cloudapi_description){.kind = &vxnets, .set = "vxnet_set", .ids = "vxnets"});
}

static json_t *describe_nics(struct cloudapi_call *call)
{
    return cloudapi_describe(
        call, &(struct cloudapi_description){.kind = &nics,
                                             .set = "nic_set",
                                             .ids = "nics",
                                             .filters = {{"instances", "instance_id"}, {"vxnets", "vxnet_id"}}});
}

const struct cloudapi_action cloudapi_network_actions[] = {
    {"DescribeVxnets", describe_vxnets}, {"DescribeNics", describe_nics}, {NULL, NULL}};
