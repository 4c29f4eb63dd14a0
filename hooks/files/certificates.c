#include "hooks/files/certificates.h"

#include <glob.h>
#include <string.h>

#include "app/paths.h"
#include "hooks/clients/kubeconfig.h"
#include "hooks/engine/run.h"

/* kubeadm's (kubernetes.io/docs/setup/best-practices/certificates), the kubelet's own, and the client's kubeconfig.
 * admin.conf and the other kubeconfig files lie on the master only. */
static const char *const patterns[] = {
    PKI_DIRECTORY "/*.crt",
    PKI_DIRECTORY "/etcd/*.crt",
    KUBELET_CLIENT_CERTIFICATE,
};
static const char *const kubeconfigs[] = {
    ADMIN_KUBECONFIG,
    CONTROLLER_MANAGER_KUBECONFIG,
    SCHEDULER_KUBECONFIG,
    ROOT_KUBECONFIG,
};

static struct certificate *add(struct certificates *to, const char *path)
{
    to->list = xrealloc(to->list, (to->n + 1) * sizeof *to->list);
    to->list[to->n] = (struct certificate){.path = xstrdup(path)};
    return &to->list[to->n++];
}

static void keep_problem(struct certificate *certificate, struct error *err)
{
    certificate->problem = STEAL(err->message);
    error_free(err);
}

static void add_matching(const struct run *run, const char *pattern, struct certificates *to)
{
    _cleanup_free_ char *full = run_path(run, pattern);
    int directory = (int)(strrchr(pattern, '/') - pattern);
    glob_t found = {0};
    if (glob(full, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            struct error *err = NULL;
            _cleanup_free_ char *path = xasprintf("%.*s%s", directory, pattern, strrchr(found.gl_pathv[i], '/'));
            _cleanup_free_ char *file = run_path_followed(run, path);
            struct certificate *certificate = add(to, path);
            if (cert_read(file, &certificate->info, &err) < 0) {
                keep_problem(certificate, err);
            }
        }
    }
    globfree(&found);
}

static void add_kubeconfig(const struct run *run, const char *path, struct certificates *to)
{
    _cleanup_free_ char *full = run_path_followed(run, path);
    struct kubeconfig config __attribute__((cleanup(kubeconfig_free))) = {0};
    struct error *err = NULL;
    if (kubeconfig_read(full, &config, &err) < 0) {
        bool there = err->status != STATUS_FILE;
        if (there) {
            keep_problem(add(to, path), err);
        } else {
            error_free(err);
        }
    } else if (config.cert != NULL) {
        struct certificate *certificate = add(to, path);
        if (cert_parse(config.cert, strlen(config.cert), &certificate->info, &err) < 0) {
            keep_problem(certificate, err);
        }
    }
}

void certificates_find(const struct run *run, struct certificates *certificates)
{
    *certificates = (struct certificates){0};
    for (size_t i = 0; i < ELEMENTS(patterns); i++) {
        add_matching(run, patterns[i], certificates);
    }
    for (size_t i = 0; i < ELEMENTS(kubeconfigs); i++) {
        add_kubeconfig(run, kubeconfigs[i], certificates);
    }
}

void certificates_free(struct certificates *certificates)
{
    for (size_t i = 0; i < certificates->n; i++) {
        free(certificates->list[i].path);
        free(certificates->list[i].problem);
        cert_info_free(&certificates->list[i].info);
    }
    free(certificates->list);
    *certificates = (struct certificates){0};
}

const struct certificate *certificates_first_to_end(const struct certificates *certificates)
{
    const struct certificate *first = NULL;
    for (size_t i = 0; i < certificates->n; i++) {
        const struct certificate *this = &certificates->list[i];
        if (this->problem != NULL) {
            return this;
        }
        if (first == NULL || this->info.not_after < first->info.not_after) {
            first = this;
        }
    }
    return first;
}
