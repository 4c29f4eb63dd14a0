/* Annotations. */
#include <string.h>

#include "tests/lab/images/cloud-controller-manager/ccm.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/program.h"

/* Go's strings.Split: every part between commas, empty ones and blanks too. */
static char **split(const char *text)
{
    char **parts = xcalloc(1, sizeof *parts);
    for (;;) {
        size_t length = strcspn(text, ",");
        _cleanup_free_ char *part = xstrndup(text, length);
        strv_push(&parts, part);
        if (text[length] == '\0') {
            return parts;
        }
        text += length + 1;
    }
}

bool port_value(const char *text, long port, char **value)
{
    _cleanup_strv_ char **parts = split(text == NULL ? "" : text);
    *value = NULL;
    for (char **part = parts; text != NULL && *part != NULL; part++) {
        char *colon = strchr(*part, ':');
        long number = 0;
        if (colon == NULL || strchr(colon + 1, ':') != NULL) {
            return false;
        }
        *colon = '\0';
        if (!str_number(*part, 0, 65535, &number)) {
            return false;
        }
        if (number == port) {
            free(*value);
            *value = xstrdup(colon + 1);
        }
    }
    return true;
}

static const char *note(const json_t *service, const char *name)
{
    return json_string_value(json_object_get(json_at(service, "metadata annotations"), name));
}

static bool read_number(const json_t *service, const char *name, long *value)
{
    const char *text = note(service, name);
    *value = -1;
    return text == NULL || str_number(text, 0, 1000000, value);
}

static void read_network(struct balancer_config *config, const json_t *service)
{
    static const char *const sources[] = {"allocate", "use-available", "auto"};
    const char *eips = note(service, ANNOTATION("load-balancer-eip-ids"));
    const char *source = note(service, ANNOTATION("load-balancer-eip-source"));
    const char *network = note(service, ANNOTATION("load-balancer-network-type"));
    config->eips = str_empty(eips) ? xcalloc(1, sizeof *config->eips) : split(eips);
    for (size_t i = 0; source != NULL && i < ELEMENTS(sources); i++) {
        config->eip_source = strcmp(source, sources[i]) == 0 ? sources[i] : config->eip_source;
    }
    config->vxnet = note(service, ANNOTATION("load-balancer-vxnet-id"));
    config->address = note(service, ANNOTATION("load-balancer-internal-ip"));
    if (network != NULL && strcmp(network, "internal") == 0 && config->vxnet == NULL && ccm.default_vxnet[0] != '\0') {
        config->vxnet = ccm.default_vxnet;
    }
}

bool config_read(struct balancer_config *config, const json_t *service, char **why)
{
    const char *namespace = text_at(service, "metadata namespace");
    const char *name = text_at(service, "metadata name");
    const char *strategy = note(service, ANNOTATION("load-balancer-eip-strategy"));
    *config = (struct balancer_config){.type = -1, .nodes = -1};
    if (json_object_size(json_at(service, "metadata annotations")) == 0) {
        *why = xasprintf("service %s/%s annotation is empty", namespace, name);
        return false;
    }
    read_network(config, service);
    config->check_methods = note(service, ANNOTATION("lb-listener-healthycheckmethod"));
    config->check_options = note(service, ANNOTATION("lb-listener-healthycheckoption"));
    config->balance_modes = note(service, ANNOTATION("lb-listener-balancemode"));
    if (!read_number(service, ANNOTATION("load-balancer-type"), &config->type)) {
        *why = xstrdup("Pls spec a valid value of loadBalancer type, acceptted values are '0-3'");
        return false;
    }
    if (!read_number(service, ANNOTATION("load-balancer-nodes"), &config->nodes)) {
        *why = xstrdup("Pls spec a valid value of loadBalancer node number");
        return false;
    }
    config->reuse = note(service, ANNOTATION("load-balancer-id"));
    if (strategy != NULL && strcmp(strategy, "reuse-lb") == 0) {
        config->shared = true;
        if (str_empty(config->reuse)) {
            *why = xstrdup("must specify 'service.beta.kubernetes.io/qingcloud-load-balancer-id' if "
                           "'service.beta.kubernetes.io/qingcloud-load-balancer-eip-strategy'=reuse-lb");
            return false;
        }
    } else if (strategy == NULL ||
               strcmp(strategy, "reuse") != 0) { /* "reuse" gets no name there, and so fails below */
        _cleanup_free_ char *uid = xstrdup(text_at(service, "metadata uid"));
        uid[strcspn(uid, "-")] = '\0';
        config->name = xasprintf("k8s_lb_%s_%s_%s_%s", ccm.cluster_id, namespace, name, uid);
    }
    config->listener_name = xasprintf("listener_%s_%s_", namespace, name);
    return true;
}

void config_clear(struct balancer_config *config)
{
    strv_free(config->eips);
    free(config->name);
    free(config->listener_name);
}
