#include "tests/lab/lab/image.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/file.h"
#include "lib/proc.h"
#include "tests/lab/lab/machine.h"
#include "tests/lab/lab/parallel.h"
#include "tests/lab/lab/progress.h"

static const char packages[] =
    "systemd,systemd-sysv,dbus,iproute2,docker.io,iptables,procps,kmod,conntrack,ethtool,socat,ebtables,ipset,"
    "kubernetes-client,containernetworking-plugins,etcd-client,ca-certificates,curl,openssh-server,logrotate,"
    "libconfuse2,"
    "libcurl4,libjansson4,libssl3,libsystemd0";

int logged_run(const char *const *argv, const char *log, int minutes, struct error **err)
{
    _cleanup_strv_ char **command = NULL;
    strv_push(&command, "sh");
    strv_push(&command, "-c");
    strv_push(&command, "exec \"$@\" >>\"$0\" 2>&1");
    strv_push(&command, log);
    for (const char *const *a = argv; *a != NULL; a++) {
        strv_push(&command, *a);
    }
    struct proc proc = {.argv = (const char *const *)command, .deadline = deadline_in((int64_t)minutes * 60000)};
    if (proc_run(&proc, NULL, err) != 0) {
        return error_wrap(err, "%s (see %s)", argv[0], log);
    }
    return 0;
}

int kubernetes_make(const struct lab *lab, const char *version, char **path, struct error **err)
{
    static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
    _cleanup_free_ char *out = xasprintf("%s/kubernetes-%s", lab->cache, version);
    _cleanup_free_ char *complete = path_join(out, ".complete");
    int r = 0;
    (void)pthread_mutex_lock(&one);
    if (access(complete, F_OK) != 0) {
        _cleanup_free_ char *script = path_join(lab->source, "tests/lab/build-kubernetes");
        _cleanup_free_ char *log = xasprintf("%s/kubernetes-%s.log", lab->cache, version);
        const char *argv[] = {script, lab->cache, version, NULL};
        struct task *task = progress_begin(log, "Kubernetes %s from source", version);
        r = logged_run(argv, log, 60, err);
        progress_end(task, r == 0, NULL);
    }
    (void)pthread_mutex_unlock(&one);
    *path = STEAL(out);
    return r;
}

/* The base system by mmdebstrap alone, in place of k8s-bake. */
static int make_base(const struct lab *lab, char **path, struct error **err)
{
    _cleanup_free_ char *hash = sha256_hex(packages, strlen(packages));
    _cleanup_free_ char *out = xasprintf("%s/base-%.12s", lab->cache, hash);
    if (access(out, F_OK) != 0) {
        _cleanup_free_ char *beside = xasprintf("%s.%d", out, getpid());
        _cleanup_free_ char *log = xasprintf("%s/base.log", lab->cache);
        _cleanup_free_ char *include = xasprintf("--include=%s", packages);
        const char *argv[] = {
            "mmdebstrap",
            "--variant=minbase",
            include,
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/man/*",
            "--customize-hook=chroot \"$1\" systemctl disable docker.service docker.socket containerd.service "
            "systemd-networkd.service cni-dhcp.service cni-dhcp.socket ssh.socket",
            "--customize-hook=: >\"$1/etc/machine-id\"; rm -f \"$1\"/etc/ssh/ssh_host_*",
            "bookworm",
            beside,
            NULL};
        struct task *task = progress_begin(log, "base system");
        int r = logged_run(argv, log, 15, err);
        if (r != 0 || rename(beside, out) != 0) {
            (void)files_remove(beside, NULL);
        }
        progress_end(task, r == 0, NULL);
        if (r != 0) {
            return -1;
        }
    }
    *path = STEAL(out);
    return 0;
}

/* Puts TARGET into the image as PATH without copying it: the cache lies on the layers' own file system, or it is
 * copied. */
static int place(const char *source, const char *layer, const char *path, struct error **err)
{
    _cleanup_free_ char *to = path_join(layer, path);
    if (link(source, to) == 0) {
        return 0;
    }
    return proc_exec(deadline_in(60000), err, "cp", "--reflink=auto", "-f", source, to, NULL);
}

static int place_kubernetes(const char *programs, const char *layer, struct error **err)
{
    static const char *const names[] = {"kubeadm", "kubelet", "kubectl"};
    _cleanup_free_ char *bin = path_join(layer, "usr/bin");
    if (dir_make(bin, 0755, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        _cleanup_free_ char *source = path_join(programs, names[i]);
        _cleanup_free_ char *path = path_join("usr/bin", names[i]);
        if (place(source, layer, path, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int place_images(const char *images, const char *layer, struct error **err)
{
    static const char *const names[] = {
        "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "etcd", "pause", "busybox"};
    _cleanup_free_ char *dir = path_join(layer, "opt/kubernetes/images");
    if (dir_make(dir, 0755, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        _cleanup_free_ char *source = xasprintf("%s/%s.tar", images, names[i]);
        _cleanup_free_ char *path = xasprintf("opt/kubernetes/images/%s.tar", names[i]);
        if (place(source, layer, path, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static const char kubelet_unit[] =
    "[Unit]\nDescription=kubelet: The Kubernetes Node Agent\nAfter=docker.service\nWants=docker.service\n\n"
    "[Service]\nExecStart=/usr/bin/kubelet\nRestart=always\nRestartSec=10\n\n"
    "[Install]\nWantedBy=multi-user.target\n";

/* What the archives hold, by the names templates use. */
static const char versions_text[] =
    "{\"kubernetes\": \"" KUBERNETES_VERSION "\", \"images\": {\n"
    "  \"kube_apiserver\": \"k8s.gcr.io/kube-apiserver:" KUBERNETES_VERSION "\",\n"
    "  \"kube_controller_manager\": \"k8s.gcr.io/kube-controller-manager:" KUBERNETES_VERSION "\",\n"
    "  \"kube_scheduler\": \"k8s.gcr.io/kube-scheduler:" KUBERNETES_VERSION "\",\n"
    "  \"kube_proxy\": \"k8s.gcr.io/kube-proxy:" KUBERNETES_VERSION "\",\n"
    "  \"etcd\": \"k8s.gcr.io/etcd:3.4.13-0\",\n"
    "  \"pause\": \"k8s.gcr.io/pause:3.2\",\n"
    "  \"busybox\": \"busybox:1.35\"\n"
    "}}\n";

static int make_kubernetes_layer(const struct lab *lab, const char *programs, const char *images, char **path,
                                 struct error **err)
{
    _cleanup_free_ char *layer = xasprintf("%s/kubernetes-layer-%s", lab->cache, strrchr(images, '-') + 1);
    if (access(layer, F_OK) != 0) {
        _cleanup_free_ char *beside = xasprintf("%s.%d", layer, getpid());
        _cleanup_free_ char *unit = path_join(beside, "usr/lib/systemd/system/kubelet.service");
        _cleanup_free_ char *versions = path_join(beside, "opt/kubernetes/versions.json");
        if (place_kubernetes(programs, beside, err) != 0 || place_images(images, beside, err) != 0 ||
            text_put(unit, 0644, err, "%s", kubelet_unit) != 0 ||
            text_put(versions, 0644, err, "%s", versions_text) != 0) {
            return -1;
        }
        if (rename(beside, layer) != 0) {
            (void)files_remove(beside, NULL);
        }
    }
    *path = STEAL(layer);
    return 0;
}

/* The suite as this tree has built it: a layer of its own, so that a new build needs no new image. */
static int make_suite_layer(const struct lab *lab, char **path, struct error **err)
{
    _cleanup_free_ char *layer = lab_path(lab, "suite");
    _cleanup_free_ char *above = xasprintf("%s/..", lab->bin);
    _cleanup_free_ char *build = realpath(above, NULL);
    _cleanup_free_ char *built = xasprintf("B=%s", build);
    _cleanup_free_ char *destination = xasprintf("DESTDIR=%s", layer);
    _cleanup_free_ char *log = lab_path(lab, "install.log");
    const char *argv[] = {"make", "-s", "-C", lab->source, built, destination, "install", NULL};
    if (files_remove(layer, err) != 0 || dir_make(layer, 0755, err) != 0 || logged_run(argv, log, 5, err) != 0) {
        return error_wrap(err, "installing the suite");
    }
    *path = STEAL(layer);
    return 0;
}

struct part {
    struct lab *lab;
    char *path;
};

static int base_job(void *data, struct error **err)
{
    struct part *part = data;
    return make_base(part->lab, &part->path, err);
}

static int kubernetes_job(void *data, struct error **err)
{
    struct part *part = data;
    return kubernetes_make(part->lab, KUBERNETES_VERSION, &part->path, err);
}

static int images_job(void *data, struct error **err)
{
    struct part *part = data;
    return container_images_make(part->lab, KUBERNETES_VERSION, &part->path, err);
}

int image_make(struct lab *lab, struct error **err)
{
    struct part base = {.lab = lab};
    struct part kubernetes = {.lab = lab};
    struct part images = {.lab = lab};
    struct job jobs[] = {{base_job, &base, NULL}, {kubernetes_job, &kubernetes, NULL}, {images_job, &images, NULL}};
    _cleanup_free_ char *layer = NULL;
    _cleanup_free_ char *suite = NULL;
    _cleanup_free_ char *overlay = NULL;
    strv_free(STEAL(lab->layers));
    int r = dir_make(lab->cache, 0755, err) == 0 && parallel(jobs, ELEMENTS(jobs), err) == 0 ? 0 : -1;
    if (r == 0) {
        strv_push(&lab->layers, base.path);
        r = make_kubernetes_layer(lab, kubernetes.path, images.path, &layer, err);
    }
    if (r == 0) {
        strv_push(&lab->layers, layer);
        r = make_suite_layer(lab, &suite, err);
    }
    if (r == 0) {
        strv_push(&lab->layers, suite);
        r = machine_lab_layer(lab, &overlay, err);
    }
    if (r == 0) {
        strv_push(&lab->layers, overlay);
    }
    free(base.path);
    free(kubernetes.path);
    free(images.path);
    return r;
}
