/* Exit statuses: the one table from which the enum of this product's own, `k8s-hook statuses`, the manual page and the
 * app package's err_codeN texts are made. AppCenter looks only at the exit status of a command and, for scale-in and
 * scale-out, shows the user the text of err_codeN (AppCenter developer guide, "locale"). 101 and 102 are fixed by the
 * user guide.
 *
 * X(NAME, number, English, Chinese, "what to do about it"); G for those whose enum is in lib/core/error.h
 */
#ifndef APP_STATUS_H
#define APP_STATUS_H

#include "lib/core/error.h"

#define STATUS_TABLE(X, G)                                                                                             \
    G(OK, 0, "Done", "完成", "Nothing")                                                                                \
    G(FAILED, 1, "Unexpected failure", "意外失败", "Read the last lines of `journalctl -t k8s-hooks`")                 \
    G(USAGE, 2, "Wrong command line", "命令行错误", "See --help")                                                      \
    G(CONFIG, 3, "Wrong configuration file", "配置文件错误", "Correct the file at the line the message names")         \
    X(METADATA_UNREACHABLE, 10, "The metadata server does not answer", "元数据服务器无响应",                           \
      "Check that the servers in /etc/confd/confd.toml answer from this host")                                         \
    X(METADATA_INVALID, 11, "The metadata server's answer cannot be used", "元数据服务器的应答无效",                   \
      "Compare `curl -H 'Accept: application/json' http://metadata/self` with what the message names")                 \
    X(METADATA_UNKNOWN_HOST, 12, "The metadata server does not know this host", "元数据服务器不认识本主机",            \
      "Check the host's address and that AppCenter has registered it")                                                 \
    X(PARAMETER, 13, "A cluster parameter is not acceptable", "集群参数不正确",                                        \
      "Correct the parameters the message names in the cluster's environment settings")                                \
    G(TEMPLATE, 14, "A template cannot be rendered", "模板无法渲染",                                                   \
      "Correct the template at the line the message names")                                                            \
    G(FILE, 15, "A file cannot be read or written", "文件读写失败", "Check the path, its permissions and free space")  \
    G(UNIT, 16, "A system service did not reach its state", "系统服务未达到预期状态",                                  \
      "Read the journal lines in the message")                                                                         \
    G(COMMAND, 17, "A program that was run failed", "运行的程序失败", "Read the output in the message, then rerun")    \
    G(DEADLINE, 18, "The deadline passed", "超过时限", "Rerun: what is done is skipped")                               \
    G(INTERRUPTED, 19, "Terminated by a signal", "被信号终止", "Rerun: what is done is skipped")                       \
    X(LOCKED, 20, "Another event is running on this host", "本主机上有另一事件正在运行",                               \
      "Wait for it to end; `status` shows it")                                                                         \
    X(API, 21, "The Kubernetes API does not answer as it should", "Kubernetes API 应答异常",                           \
      "Run `k8s-master check` on the master")                                                                          \
    X(TOKEN_ABSENT, 22, "The master has not published its join token", "主节点尚未发布加入令牌",                       \
      "Check that init succeeded on the master")                                                                       \
    X(TOKEN_REFUSED, 23, "The join token is not valid now", "加入令牌当前无效",                                        \
      "Run `k8s-master scale-out --check`, which makes it valid for 30 minutes, then rerun")                           \
    X(UNHEALTHY, 24, "A health check failed", "健康检查未通过", "Read the check's lines: each names its remedy")       \
    G(CRYPTO, 25, "A key, certificate or sealed text cannot be used", "密钥、证书或密文无法使用",                      \
      "Check the file the message names")                                                                              \
    X(SKEW, 26, "The versions do not allow this", "版本不允许此操作", "Upgrade one minor version at a time")           \
    X(CHECK_REFUSED, 27, "The pre-check refused the event", "预检查拒绝了该操作", "Read the reasons in the message")   \
    X(LOG_NONE, 101, "No log node, no ELK app and no Elasticsearch server is set",                                     \
      "没有日志节点，也没有设置 ELK 应用或 Elasticsearch 服务器", "Add log nodes, link an ELK app or set es_server")   \
    X(LOG_UNREACHABLE, 102, "The external Elasticsearch does not answer", "外部 Elasticsearch 无响应",                 \
      "Check the address and that it answers from the cluster's vxnet")                                                \
    X(CLOUD_UNREACHABLE, 110, "The cloud API does not answer", "云平台 API 无响应",                                    \
      "Associate an EIP with the VPC so that the API can be reached")                                                  \
    X(CLOUD_KEY, 111, "The API key is refused", "API 密钥被拒绝", "Correct access_key_id and secret_access_key")       \
    X(CLOUD_QUOTA, 112, "The cloud API quota is used up", "云平台 API 配额已用尽", "Wait an hour, then rerun")         \
    X(VXNET_ABSENT, 113, "A pod vxnet does not exist", "Pod 私有网络不存在", "Correct pod_vxnets")                     \
    X(VXNET_ADDRESSES, 114, "The pod vxnets have too few addresses", "Pod 私有网络地址不足",                           \
      "Add a vxnet to pod_vxnets: each has addresses for 240 pods")                                                    \
    X(VXNET_VPC, 115, "A pod vxnet is not in the cluster's VPC", "Pod 私有网络不在集群所在 VPC 中",                    \
      "Join all pod vxnets to the cluster's VPC")                                                                      \
    X(VXNET_CLUSTER, 116, "The cluster vxnet is among the pod vxnets", "集群私有网络不能用作 Pod 私有网络",            \
      "Remove the cluster vxnet from pod_vxnets")                                                                      \
    X(VXNET_REMOVED, 117, "A pod vxnet was removed", "Pod 私有网络不能移除",                                           \
      "Put the vxnet back: they can only be added")                                                                    \
    X(SCALE_OUT_UNHEALTHY, 120, "The cluster is not healthy enough to add nodes", "集群状态异常，无法增加节点",        \
      "Run `k8s-master check` on the master")                                                                          \
    X(SCALE_OUT_ROOM, 121, "There is no room for the new nodes", "没有容纳新节点的空间",                               \
      "Add pod vxnets or fewer nodes")                                                                                 \
    X(SCALE_IN_MINIMUM, 130, "Too few nodes would be left", "剩余节点过少", "Delete fewer nodes")                      \
    X(SCALE_IN_MASTER, 131, "The master cannot be deleted", "不能删除主节点", "Choose other nodes")                    \
    X(SCALE_IN_BUDGET, 132, "A pod disruption budget forbids it", "Pod 中断预算不允许",                                \
      "Scale the workload up or relax its budget")                                                                     \
    X(SCALE_IN_VOLUME, 133, "A pod with local data would lose it", "Pod 的本地数据将丢失",                             \
      "Move or delete the pods the message names")                                                                     \
    X(SCALE_IN_DRAIN, 134, "The nodes could not be drained in time", "节点未能及时排空",                               \
      "The nodes are uncordoned; check the pods the message names")                                                    \
    X(SCALE_IN_LOGS, 135, "The log nodes that stay cannot take the logs", "保留的日志节点容纳不下日志数据",            \
      "Delete old logs or give the log nodes larger volumes")                                                          \
    X(DESTROY_DATA, 140, "The last copy of Elasticsearch data would be lost", "将丢失最后一份 Elasticsearch 数据",     \
      "Keep another log node, delete the logs, or force the deletion")                                                 \
    X(DESTROY_PODS, 141, "The node still runs pods that were not drained", "节点上仍有未排空的 Pod",                   \
      "Delete the pods the message names and what creates them")                                                       \
    X(BACKUP, 150, "The backup cannot be made or used", "备份失败或无法使用",                                          \
      "Read the message: it names the snapshot")                                                                       \
    X(UPGRADE_REFUSED, 160, "The cluster cannot be upgraded as it is", "集群当前无法升级",                             \
      "Read the reasons in the message")

enum {
#define STATUS_ENUM(name, number, english, chinese, remedy) STATUS_##name = (number),
#define STATUS_NONE(name, number, english, chinese, remedy)
    STATUS_TABLE(STATUS_ENUM, STATUS_NONE)
#undef STATUS_ENUM
#undef STATUS_NONE
};

struct status_row {
    int status;
    const char *name; /* as in the enum, without STATUS_ */
    const char *english;
    const char *chinese;
    const char *remedy;
};

/* The rows in ascending order, the last has the name NULL. */
extern const struct status_row status_rows[];

/* The row of STATUS; one for FAILED where the number is not in the table. Never NULL. */
const struct status_row *status_row(int status);

#endif
