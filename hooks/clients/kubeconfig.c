#include "hooks/clients/kubeconfig.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/core/json.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"

/* The value behind `KEY: ` at the start of a line, indented or a list's member; NULL when there is none. */
static char *yaml_value(const char *text, const char *key)
{
    size_t len = strlen(key);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += strspn(line, "\n");
        const char *start = line + strspn(line, " -");
        if (strncmp(start, key, len) == 0 && str_starts(start + len, ": ")) {
            start += len + 2;
            start += strspn(start, " \"");
            return xstrndup(start, strcspn(start, " \"\r\n"));
        }
    }
    return NULL;
}

/* LIST[0].MEMBER.KEY */
static char *json_value(const json_t *json, const char *list, const char *member, const char *key)
{
    const json_t *first = json_array_get(json_object_get(json, list), 0);
    return xstrdup(json_text_at(first, member, key, NULL));
}

static int decode(char *base64, const char *what, char **pem, struct error **err)
{
    _cleanup_secret_ char *text = base64;
    unsigned char *decoded = NULL;
    size_t len = 0;
    if (text != NULL && base64_decode(text, &decoded, &len, err) < 0) {
        return error_wrap(err, "%s", what);
    }
    *pem = (char *)decoded;
    return 0;
}

int kubeconfig_parse(const char *text, struct kubeconfig *config, struct error **err)
{
    static const char ca[] = "certificate-authority-data";
    static const char cert[] = "client-certificate-data";
    static const char key[] = "client-key-data";
    _cleanup_json_ json_t *json = json_loads(text, 0, NULL);
    bool yaml = json == NULL;
    *config = (struct kubeconfig){
        .server = yaml ? yaml_value(text, "server") : json_value(json, "clusters", "cluster", "server"),
    };
    if (config->server == NULL) {
        return error_new(err, STATUS_CONFIG, "it names no server; is it a kubeconfig?");
    }
    if (decode(yaml ? yaml_value(text, ca) : json_value(json, "clusters", "cluster", ca), ca, &config->ca, err) < 0 ||
        decode(yaml ? yaml_value(text, cert) : json_value(json, "users", "user", cert), cert, &config->cert, err) < 0 ||
        decode(yaml ? yaml_value(text, key) : json_value(json, "users", "user", key), key, &config->key, err) < 0) {
        kubeconfig_free(config);
        return -1;
    }
    return 0;
}

int kubeconfig_read(const char *path, struct kubeconfig *config, struct error **err)
{
    _cleanup_secret_ char *text = NULL;
    size_t len = 0;
    *config = (struct kubeconfig){0};
    if (file_read(path, 1 << 20, &text, &len, err) < 0) {
        return -1;
    }
    return kubeconfig_parse(text, config, err) < 0 ? error_wrap(err, "%s", path) : 0;
}

void kubeconfig_free(struct kubeconfig *config)
{
    util_wipe_freep(&config->key);
    free(config->server);
    free(config->ca);
    free(config->cert);
    for (size_t i = 0; i < ELEMENTS(config->memory); i++) {
        if (config->memory[i] > 0) {
            close(config->memory[i]);
        }
    }
    *config = (struct kubeconfig){0};
}

/* PEM in anonymous memory, under a name that OpenSSL can open; NULL when there is none. */
static char *in_memory(const char *pem, int *memory)
{
    if (pem == NULL) {
        return NULL;
    }
    int fd = memfd_create("pem", MFD_CLOEXEC);
    size_t len = strlen(pem);
    *memory = fd < 0 ? 0 : fd;
    return fd >= 0 && write(fd, pem, len) == (ssize_t)len ? xasprintf("/proc/self/fd/%d", fd) : NULL;
}

int kubeconfig_open(struct kubeconfig *config, struct kube **kube, struct error **err)
{
    _cleanup_free_ char *ca = in_memory(config->ca, &config->memory[0]);
    _cleanup_free_ char *cert = in_memory(config->cert, &config->memory[1]);
    _cleanup_free_ char *key = in_memory(config->key, &config->memory[2]);
    if (ca == NULL || cert == NULL || key == NULL) {
        return error_new(err, STATUS_FILE, "the kubeconfig lacks the CA, a client certificate or its key");
    }
    return kube_open(kube, config->server, &(struct http_tls){.ca = ca, .cert = cert, .key = key}, err);
}
