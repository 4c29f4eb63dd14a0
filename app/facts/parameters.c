#include "app/facts/parameters.h"

#include <stdarg.h>
#include <string.h>

#include "lib/core/syntax.h"
#include "lib/crypto/crypto.h"

#define DIGITS "0123456789"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* What the parameter's text promises; no limit of the machine, since hostnic v1.0 gives pods of a vxnet one NIC. */
#define HOSTNIC_PODS 60

static void replace(char **field, const char *value)
{
    free(*field);
    *field = str_empty(value) ? NULL : xstrdup(value);
}

static bool set_access_key_id(struct parameters *p, const char *value)
{
    bool good = syntax_word(value, 20, 20, UPPER);
    if (good) {
        replace(&p->access_key_id, value);
    }
    return good;
}

static bool set_secret_access_key(struct parameters *p, const char *value)
{
    bool good = syntax_word(value, 40, 40, UPPER LOWER DIGITS);
    if (good) {
        replace(&p->secret_access_key, value);
    }
    return good;
}

static bool set_api_external_domain(struct parameters *p, const char *value)
{
    bool good = syntax_dns_name(value);
    if (good) {
        replace(&p->api_external_domain, value);
    }
    return good;
}

static bool set_cluster_port_range(struct parameters *p, const char *value)
{
    const char *dash = strchr(value, '-');
    if (dash == NULL) {
        return false;
    }
    _cleanup_free_ char *low = xstrndup(value, (size_t)(dash - value));
    return syntax_number(low, 1, 65535, &p->port_low) && syntax_number(dash + 1, p->port_low, 65535, &p->port_high);
}

static bool set_max_pods(struct parameters *p, const char *value)
{
    static const int steps[] = {60, 80, 100, 120, 150, 180, 240};
    int n = 0;
    if (!syntax_number(value, 60, 240, &n)) {
        return false;
    }
    for (size_t i = 0; i < ELEMENTS(steps); i++) {
        if (n == steps[i]) {
            p->max_pods = n;
            return true;
        }
    }
    return false;
}

static bool set_switch(bool *field, const char *value, const char *on, const char *off)
{
    *field = strcmp(value, on) == 0;
    return *field || strcmp(value, off) == 0;
}

static bool set_enable_hostnic(struct parameters *p, const char *value)
{
    return set_switch(&p->enable_hostnic, value, "true", "false");
}

static bool set_enable_istio(struct parameters *p, const char *value)
{
    return set_switch(&p->enable_istio, value, "yes", "no");
}

static bool set_enable_helm(struct parameters *p, const char *value)
{
    return set_switch(&p->enable_helm, value, "yes", "no");
}

static bool set_list(char ***field, const char *value, bool (*word)(const char *word))
{
    _cleanup_strv_ char **words = strv_split(value);
    for (char **w = words; *w != NULL; w++) {
        if (!word(*w)) {
            return false;
        }
    }
    strv_free(*field);
    *field = STEAL(words);
    return true;
}

static bool vxnet_word(const char *word)
{
    return str_starts(word, "vxnet-") && syntax_word(word + strlen("vxnet-"), 5, 10, LOWER DIGITS);
}

static bool set_pod_vxnets(struct parameters *p, const char *value)
{
    return set_list(&p->pod_vxnets, value, vxnet_word);
}

static bool set_registry_mirrors(struct parameters *p, const char *value)
{
    return set_list(&p->registry_mirrors, value, syntax_http_url);
}

static bool insecure_registry_word(const char *word)
{
    uint32_t address = 0;
    int prefix = 0;
    return syntax_host_maybe_port(word) || syntax_cidr(word, &address, &prefix);
}

static bool set_insecure_registries(struct parameters *p, const char *value)
{
    return set_list(&p->insecure_registries, value, insecure_registry_word);
}

static bool set_private_registry(struct parameters *p, const char *value)
{
    bool good = *value == '\0' || syntax_host_maybe_port(value);
    if (good) {
        replace(&p->private_registry, value);
    }
    return good;
}

static bool set_registry_ca(struct parameters *p, const char *value)
{
    _cleanup_free_ char *pem = NULL;
    if (*value != '\0' && certificates_from_text(value, &pem, NULL) < 0) {
        return false;
    }
    replace(&p->registry_ca, pem == NULL ? "" : pem);
    return true;
}

static bool set_dockerhub_username(struct parameters *p, const char *value)
{
    replace(&p->dockerhub_username, value);
    return true;
}

static bool set_dockerhub_password(struct parameters *p, const char *value)
{
    replace(&p->dockerhub_password, value);
    return true;
}

/* docker gives the address itself to docker0, so that of the network or of its broadcast will not do. */
static bool set_docker_bip(struct parameters *p, const char *value)
{
    uint32_t address = 0;
    int prefix = 0;
    if (!syntax_cidr(value, &address, &prefix) || prefix < 8 || prefix > 30) {
        return false;
    }
    uint32_t host_bits = UINT32_MAX >> prefix;
    if ((address & host_bits) == 0 || (address & host_bits) == host_bits) {
        return false;
    }
    replace(&p->docker_bip, value);
    return true;
}

static bool set_keep_log_days(struct parameters *p, const char *value)
{
    return syntax_number(value, 0, 30, &p->keep_log_days);
}

static bool set_kube_log_level(struct parameters *p, const char *value)
{
    return syntax_number(value, 0, 10, &p->kube_log_level);
}

static bool set_host_port(char **host, int *port, const char *value)
{
    replace(host, NULL);
    *port = 0;
    return *value == '\0' || syntax_host_port(value, host, port);
}

static bool set_fluent_forward_server(struct parameters *p, const char *value)
{
    return set_host_port(&p->fluent_forward_host, &p->fluent_forward_port, value);
}

static bool set_es_server(struct parameters *p, const char *value)
{
    return set_host_port(&p->es_host, &p->es_port, value);
}

const struct parameter parameter_table[] = {
    {"access_key_id", NULL, "20 capital letters A-Z", true, set_access_key_id, NULL},
    {"secret_access_key", NULL, "40 letters and digits", true, set_secret_access_key, NULL},
    {"api_external_domain", "k8s.cluster.local", "a DNS name in small letters", false, set_api_external_domain, NULL},
    {"cluster_port_range", "30000-32767", "low-high, from 1 to 65535", false, set_cluster_port_range, NULL},
    {"max_pods", "60", "60, 80, 100, 120, 150, 180 or 240", false, set_max_pods, NULL},
    {"enable_hostnic", "false", "true or false", false, set_enable_hostnic, NULL},
    {"pod_vxnets", "", "ids such as vxnet-ab12cd3, separated by blanks", false, set_pod_vxnets, vxnet_word},
    {"registry-mirrors", "https://registry.docker-cn.com",
     "http:// or https:// URLs of a host and maybe a port, without a path, separated by blanks", false,
     set_registry_mirrors, syntax_http_url},
    {"insecure-registries", "", "host, host:port or CIDR, separated by blanks", false, set_insecure_registries,
     insecure_registry_word},
    {"private-registry", "", "empty, host or host:port", false, set_private_registry, NULL},
    {"registry_ca", "",
     "empty, or CA certificates in PEM form (-----BEGIN CERTIFICATE----- ... -----END CERTIFICATE-----), with or "
     "without line breaks, and nothing beside them",
     true /* a private key may be pasted here */, set_registry_ca, NULL},
    {"dockerhub_username", "", "any text", false, set_dockerhub_username, NULL},
    {"dockerhub_password", "", "any text", true, set_dockerhub_password, NULL},
    {"docker_bip", "172.30.0.1/16", "the address of docker0 with its prefix, such as 172.30.0.1/16, from /8 to /30",
     false, set_docker_bip, NULL},
    {"keep_log_days", "3", "0 to 30, 0 keeps all", false, set_keep_log_days, NULL},
    {"kube_log_level", "0", "0 to 10", false, set_kube_log_level, NULL},
    {"fluent_forward_server", "", "empty or host:port", false, set_fluent_forward_server, NULL},
    {"es_server", "", "empty or host:port", false, set_es_server, NULL},
    {"enable_istio", "no", "yes or no", false, set_enable_istio, NULL},
    {"enable_helm", "no", "yes or no", false, set_enable_helm, NULL},
    {NULL, NULL, NULL, false, NULL, NULL},
};

char *quote(const char *text)
{
    enum { LONGEST = 120 };
    _cleanup_buffer_ struct buffer b = {0};
    buffer_puts(&b, "\"");
    const char *c = text;
    /* a cut never parts the bytes of one UTF-8 character */
    for (; *c != '\0' && (c - text < LONGEST || ((unsigned char)*c & 0xC0) == 0x80); c++) {
        if (*c == '"' || *c == '\\') {
            buffer_printf(&b, "\\%c", *c);
        } else if (*c == '\n') {
            buffer_puts(&b, "\\n");
        } else if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            buffer_printf(&b, "\\x%02x", (unsigned)(unsigned char)*c);
        } else {
            buffer_append(&b, c, 1);
        }
    }
    buffer_puts(&b, *c == '\0' ? "\"" : "...\"");
    return STEAL(b.data);
}

void problem_add(struct problems *problems, int status, const char *format, ...)
{
    char *line = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&line, format, args) < 0) {
        abort();
    }
    va_end(args);
    buffer_printf(&problems->text, "\n  %s", line);
    free(line);
    problems->status = problems->count == 0 ? status : STATUS_PARAMETER;
    problems->count++;
}

void problems_clear(struct problems *problems)
{
    buffer_free(&problems->text);
}

static void add_wrong_value(const struct parameter *row, const char *value, struct problems *problems)
{
    if (row->secret) {
        problem_add(problems, STATUS_PARAMETER, "%s: %s", row->key, row->accepted);
        return;
    }
    _cleanup_free_ char *quoted = quote(value);
    _cleanup_strv_ char **words = strv_split(value);
    if (row->word != NULL && strv_length(words) > 1) {
        for (char **w = words; *w != NULL; w++) {
            if (!row->word(*w)) {
                _cleanup_free_ char *culprit = quote(*w);
                problem_add(problems, STATUS_PARAMETER, "%s %s: %s; %s is not", row->key, quoted, row->accepted,
                            culprit);
                return;
            }
        }
    }
    problem_add(problems, STATUS_PARAMETER, "%s %s: %s", row->key, quoted, row->accepted);
}

static void read_one(const struct parameter *row, struct parameters *p, const json_t *env, struct problems *problems)
{
    const json_t *leaf = json_object_get(env, row->key);
    if (leaf == NULL && row->fallback == NULL) {
        problem_add(problems, STATUS_PARAMETER, "%s: required: %s", row->key, row->accepted);
        return;
    }
    if (leaf != NULL && !json_is_string(leaf)) {
        problem_add(problems, STATUS_PARAMETER, "%s: not a string in the metadata: %s", row->key, row->accepted);
        return;
    }
    const char *value = leaf == NULL ? row->fallback : json_string_value(leaf);
    if (!row->set(p, value)) {
        add_wrong_value(row, value, problems);
    }
}

void parameters_read(struct parameters *parameters, const json_t *env, struct problems *problems)
{
    for (const struct parameter *row = parameter_table; row->key != NULL; row++) {
        read_one(row, parameters, env, problems);
    }
    if (parameters->enable_hostnic && parameters->max_pods > HOSTNIC_PODS) {
        problem_add(problems, STATUS_PARAMETER, "max_pods \"%d\": at most %d with enable_hostnic \"true\"",
                    parameters->max_pods, HOSTNIC_PODS);
    }
    if (parameters->registry_ca != NULL && parameters->private_registry == NULL) {
        problem_add(problems, STATUS_PARAMETER,
                    "registry_ca: only with private-registry, whose certificate it verifies: set that, or empty this");
    }
}

static void wipe(char **secret)
{
    util_wipe_freep(secret);
    *secret = NULL;
}

void parameters_clear(struct parameters *parameters)
{
    wipe(&parameters->access_key_id);
    wipe(&parameters->secret_access_key);
    wipe(&parameters->dockerhub_password);
    free(parameters->api_external_domain);
    strv_free(parameters->pod_vxnets);
    strv_free(parameters->registry_mirrors);
    strv_free(parameters->insecure_registries);
    free(parameters->private_registry);
    free(parameters->registry_ca);
    free(parameters->dockerhub_username);
    free(parameters->docker_bip);
    free(parameters->fluent_forward_host);
    free(parameters->es_host);
    *parameters = (struct parameters){0};
}
