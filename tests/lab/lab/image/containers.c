#include "tests/lab/lab/image/image.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <string.h>
#include <unistd.h>

#include "lib/crypto/crypto.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "tests/lab/lab/image/archive.h"
#include "tests/lab/lab/progress.h"
#include "tests/lab/shared/cache.h"

#define PACKAGES "etcd-server,iptables,conntrack,busybox-static"
#define LINKER "/lib64/ld-linux-x86-64.so.2"

/* The tag "%s" is the Kubernetes version; the others are what kubeadm 1.20 names (cmd/kubeadm/app/constants). */
static const struct {
    const char *file, *reference;
} kubernetes_images[] = {
    {"kube-apiserver", "k8s.gcr.io/kube-apiserver:%s"},
    {"kube-controller-manager", "k8s.gcr.io/kube-controller-manager:%s"},
    {"kube-scheduler", "k8s.gcr.io/kube-scheduler:%s"},
    {"kube-proxy", "k8s.gcr.io/kube-proxy:%s"},
};

/* The shared libraries of PROGRAM, found by the loader of ROOT, put where it looks for them. */
static int add_libraries(struct archive_image *image, const char *root, const char *program, struct error **err)
{
    _cleanup_proc_ struct proc_result result = {0};
    const char *argv[] = {"chroot", root, LINKER, "--list", program, NULL};
    struct proc proc = {.argv = argv, .keep_output = true, .deadline = deadline_in(20000)};
    if (proc_run(&proc, &result, err) != 0) {
        return -1;
    }
    char *rest = NULL;
    for (char *line = strtok_r(result.output, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char *path = strchr(line, '/');
        char *end = path == NULL ? NULL : strchr(path, ' ');
        if (end != NULL) {
            *end = '\0';
            _cleanup_free_ char *source = path_join(root, path);
            archive_add(image, path, source, NULL);
        }
    }
    _cleanup_free_ char *linker = path_join(root, LINKER);
    archive_add(image, LINKER, linker, NULL);
    return 0;
}

static int add_program(struct archive_image *image, const char *root, const char *program, struct error **err)
{
    _cleanup_free_ char *source = path_join(root, program);
    archive_add(image, program, source, NULL);
    return add_libraries(image, root, program, err);
}

/* The modules of a program, each with the libraries it alone needs. */
static int add_modules(struct archive_image *image, const char *root, const char *path, struct error **err)
{
    _cleanup_free_ char *host = path_join(root, path);
    struct dirent **entries = NULL;
    int n = scandir(host, &entries, NULL, alphasort);
    int r = n > 0 ? 0 : error_new(err, STATUS_FILE, "%s: nothing in it", host);
    for (int i = 0; i < n; i++) {
        _cleanup_free_ char *file = path_join(path, entries[i]->d_name);
        if (r == 0 && str_ends(file, ".so")) {
            r = add_program(image, root, file, err);
        }
        free(entries[i]);
    }
    free(entries);
    return r;
}

/* kube-proxy runs these; the nft variant, as the machine's own Docker does. */
static int add_iptables(struct archive_image *image, const char *root, struct error **err)
{
    static const char *const links[] = {"iptables",  "iptables-save",  "iptables-restore",
                                        "ip6tables", "ip6tables-save", "ip6tables-restore"};
    if (add_program(image, root, "/usr/sbin/xtables-nft-multi", err) != 0 ||
        add_program(image, root, "/usr/sbin/conntrack", err) != 0 ||
        add_modules(image, root, "/usr/lib/x86_64-linux-gnu/xtables", err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < ELEMENTS(links); i++) {
        _cleanup_free_ char *path = path_join("/usr/sbin", links[i]);
        archive_add(image, path, NULL, "xtables-nft-multi");
    }
    return 0;
}

static int write_image(struct archive_image *image, const char *out, const char *name, struct error **err)
{
    _cleanup_free_ char *path = xasprintf("%s/%s.tar", out, name);
    archive_add(image, "tmp", NULL, NULL);
    return archive_write(image, path, err);
}

static int make_kubernetes_image(size_t i, const char *programs, const char *version, const char *root, const char *out,
                                 struct error **err)
{
    const char *name = kubernetes_images[i].file;
    _cleanup_free_ char *reference = NULL;
    const char *colon = strchr(kubernetes_images[i].reference, ':');
    reference =
        xasprintf("%.*s:%s", (int)(colon - kubernetes_images[i].reference), kubernetes_images[i].reference, version);
    _cleanup_(archive_free) struct archive_image image = {.reference = reference};
    _cleanup_free_ char *source = path_join(programs, name);
    _cleanup_free_ char *path = path_join("/usr/local/bin", name);
    archive_add(&image, path, source, NULL);
    if (strcmp(name, "kube-proxy") == 0 && add_iptables(&image, root, err) != 0) {
        return -1;
    }
    return write_image(&image, out, name, err);
}

static int make_etcd(const char *root, const char *out, struct error **err)
{
    _cleanup_(archive_free) struct archive_image image = {.reference = "k8s.gcr.io/etcd:3.4.13-0"};
    _cleanup_free_ char *source = path_join(root, "/usr/bin/etcd");
    archive_add(&image, "/usr/local/bin/etcd", source, NULL);
    return add_libraries(&image, root, "/usr/bin/etcd", err) == 0 && write_image(&image, out, "etcd", err) == 0 ? 0
                                                                                                                : -1;
}

static int make_busybox(const char *root, const char *out, struct error **err)
{
    _cleanup_(archive_free) struct archive_image image = {.reference = "busybox:1.35"};
    _cleanup_free_ char *source = path_join(root, "/bin/busybox");
    _cleanup_proc_ struct proc_result list = {0};
    const char *argv[] = {source, "--list", NULL};
    struct proc proc = {.argv = argv, .keep_output = true, .deadline = deadline_in(10000)};
    if (proc_run(&proc, &list, err) != 0) {
        return -1;
    }
    archive_add(&image, "/bin/busybox", source, NULL);
    char *rest = NULL;
    for (char *applet = strtok_r(list.output, "\n", &rest); applet != NULL; applet = strtok_r(NULL, "\n", &rest)) {
        _cleanup_free_ char *path = path_join("/bin", applet);
        archive_add(&image, path, NULL, "busybox");
    }
    return write_image(&image, out, "busybox", err);
}

/* A program of ours that is all there is in its image. */
static int make_static(const struct lab *lab, const char *name, const char *reference, const char *out,
                       struct error **err)
{
    _cleanup_(archive_free) struct archive_image image = {.reference = reference};
    _cleanup_free_ char *source = xasprintf("%s/tests/lab/images/%s.c", lab->source, name);
    _cleanup_free_ char *program = xasprintf("%s/%s", out, name);
    _cleanup_free_ char *path = xasprintf("/%s", name);
    image.entrypoint = path;
    if (proc_exec(deadline_in(60000), err, "gcc", "-std=gnu11", "-O2", "-s", "-static", "-o", program, source, NULL) !=
        0) {
        return -1;
    }
    archive_add(&image, path, program, NULL);
    int r = write_image(&image, out, name, err);
    (void)unlink(program);
    return r;
}

static int programs_root(const struct lab *lab, const char *root, struct error **err)
{
    _cleanup_free_ char *log = xasprintf("%s/container-images.log", lab->cache);
    static const char include[] = "--include=" PACKAGES;
    const char *argv[] = {"mmdebstrap", "--variant=extract", include, "bookworm", root, NULL};
    return logged_run(argv, log, 10, err);
}

static int make_all(const struct lab *lab, const char *version, const char *root, const char *out, struct error **err)
{
    _cleanup_free_ char *programs = NULL;
    if (programs_root(lab, root, err) != 0 || make_etcd(root, out, err) != 0 || make_busybox(root, out, err) != 0 ||
        make_static(lab, "pause", "k8s.gcr.io/pause:3.2", out, err) != 0 ||
        make_static(lab, "elasticsearch", "elasticsearch:lab", out, err) != 0 ||
        make_static(lab, "coredns", "k8s.gcr.io/coredns:1.7.0", out, err) != 0 ||
        kubernetes_make(lab, version, &programs, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < ELEMENTS(kubernetes_images); i++) {
        if (make_kubernetes_image(i, programs, version, root, out, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int hash_files(const char *pattern, struct buffer *all, struct error **err)
{
    glob_t found = {0};
    int r = 0;
    (void)glob(pattern, 0, NULL, &found);
    for (size_t i = 0; i < found.gl_pathc && r == 0; i++) {
        _cleanup_free_ char *one = NULL;
        r = sha256_file(found.gl_pathv[i], &one, err);
        buffer_printf(all, "%s %s\n", strrchr(found.gl_pathv[i], '/'), one);
    }
    globfree(&found);
    return r;
}

/* Where the images of what is there lie, or would: they are made again when the programs of Kubernetes or what is made
 * here change. */
static int images_path(const struct lab *lab, const char *version, char **path, struct error **err)
{
    static const char *const sources[] = {"tests/lab/lab/image/containers.c", "tests/lab/lab/image/archive.c",
                                          "tests/lab/images/*.c"};
    _cleanup_free_ char *built = xasprintf("%s/kubernetes-%s/.complete", lab->cache, version);
    _cleanup_free_ char *programs = xasprintf("%s/kubernetes-%s/kube*", lab->cache, version);
    _cleanup_buffer_ struct buffer all = {0};
    int r = access(built, F_OK) == 0 ? hash_files(programs, &all, err) : 0;
    for (size_t i = 0; i < ELEMENTS(sources) && r == 0; i++) {
        _cleanup_free_ char *pattern = path_join(lab->source, sources[i]);
        r = hash_files(pattern, &all, err);
    }
    _cleanup_free_ char *hash = sha256_hex(all.data, all.len);
    *path = xasprintf("%s/images-%s-%.12s", lab->cache, version, hash);
    return r;
}

int container_images_make(const struct lab *lab, const char *version, char **path, struct error **err)
{
    if (images_path(lab, version, path, err) != 0) {
        return -1;
    }
    if (access(*path, F_OK) == 0) {
        cache_use(*path);
        return 0;
    }
    _cleanup_free_ char *beside = xasprintf("%s/images-%s.%d", lab->cache, version, getpid());
    _cleanup_free_ char *root = xasprintf("%s.root", beside);
    struct task *task = progress_begin(NULL, "container images");
    int r = dir_make(beside, 0755, err) == 0 && make_all(lab, version, root, beside, err) == 0 ? 0 : -1;
    (void)files_remove(root, NULL);
    free(STEAL(*path));
    if (r == 0) {
        r = images_path(lab, version, path, err); /* by now Kubernetes is built */
    }
    if (r == 0 && rename(beside, *path) != 0) {
        r = error_errno(err, STATUS_FILE, errno, "renaming %s to %s", beside, *path);
    }
    if (r != 0) {
        (void)files_remove(beside, NULL);
    }
    progress_end(task, r == 0, NULL);
    return r;
}
