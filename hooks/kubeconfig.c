#include "hooks/kubeconfig.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/file.h"

/* The value behind `KEY: ` at the start of a line, indented or a list's member; NULL when there is none. */
static char *value_of(const char *text, const char *key)
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

static int pem_of(const char *text, const char *key, char **pem, struct error **err)
{
    _cleanup_secret_ char *base64 = value_of(text, key);
    unsigned char *decoded = NULL;
    size_t len = 0;
    if (base64 != NULL && base64_decode(base64, &decoded, &len, err) < 0) {
        return error_wrap(err, "%s", key);
    }
    *pem = (char *)decoded;
    return 0;
}

int kubeconfig_parse(const char *text, struct kubeconfig *config, struct error **err)
{
    *config = (struct kubeconfig){.server = value_of(text, "server")};
    if (config->server == NULL) {
        return error_new(err, STATUS_FILE, "it names no server; is it a kubeconfig?");
    }
    if (pem_of(text, "certificate-authority-data", &config->ca, err) < 0 ||
        pem_of(text, "client-certificate-data", &config->cert, err) < 0 ||
        pem_of(text, "client-key-data", &config->key, err) < 0) {
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

/* PEM in anonymous memory, under a name that libcurl can open; NULL when there is none. */
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
        return error_new(err, STATUS_FILE, "the kubeconfig lacks the authority, a client certificate or its key");
    }
    return kube_open(kube, config->server, &(struct http_tls){.ca = ca, .cert = cert, .key = key}, err);
}
