#include "tests/lab/lab/image/image.h"

#include <errno.h>
#include <glob.h>
#include <string.h>
#include <unistd.h>

#include "lib/crypto/crypto.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "tests/lab/lab/image/archive.h"
#include "tests/lab/lab/image/debian.h"
#include "tests/lab/lab/image/release.h"
#include "tests/lab/lab/progress.h"
#include "tests/lab/shared/cache.h"

#define PACKAGES "etcd-server,iptables,conntrack,busybox-static,iproute2,prometheus,systemd,e2fsprogs,util-linux"

enum {
    IPTABLES = 1,
    IPROUTE = 2,
    FILESYSTEMS = 8, /* made, found and grown */
    BUSYBOX = 4,     /* where the release's manifest runs a shell, cp or the like in the image */
};

/* How each image of image/image.conf is made here; one of it that is neither here nor left out in tests/lab/image.conf
 * is an error. */
static const struct recipe {
    const char *image;
    const char *kubernetes; /* program of Kubernetes, in /usr/local/bin */
    const char *debian;     /* program of Debian; without OURS also at PATH */
    const char *ours;       /* program below tests/lab/images */
    const char *path;       /* of DEBIAN's or OURS in the image */
    const char *link;       /* more names of OURS, in the same directory, with blanks between */
    const char *script;     /* file of OURS' folder, in the same directory too */
    const char *entrypoint; /* words; NULL: none */
    unsigned with;
} recipes[] = {
    {.image = "kube-apiserver", .kubernetes = "kube-apiserver"},
    {.image = "kube-controller-manager", .kubernetes = "kube-controller-manager"},
    {.image = "kube-scheduler", .kubernetes = "kube-scheduler"},
    {.image = "kube-proxy", .kubernetes = "kube-proxy", .with = IPTABLES},
    {.image = "etcd", .debian = "/usr/bin/etcd", .path = "/usr/local/bin/etcd"},
    {.image = "busybox", .with = BUSYBOX},
    {.image = "pause", .ours = "pause", .path = "/pause", .entrypoint = "/pause"},
    {.image = "coredns", .ours = "coredns", .path = "/coredns", .entrypoint = "/coredns"},
    {.image = "flannel",
     .ours = "flannel",
     .path = "/opt/bin/flanneld",
     .link = "install-conf",
     .entrypoint = "/opt/bin/flanneld",
     .with = IPTABLES | IPROUTE | BUSYBOX},
    {.image = "flannel-cni-plugin", .ours = "flannel-cni-plugin", .path = "/flannel", .with = BUSYBOX},
    {.image = "hostnic",
     .ours = "hostnic",
     .path = "/app/hostnic",
     .link = "hostnic-agent hostnic-controller",
     .script = "install_hostnic.sh",
     .entrypoint = "/bin/sh /app/install_hostnic.sh",
     .with = IPROUTE | BUSYBOX},
    {.image = "elasticsearch",
     .ours = "elasticsearch",
     .path = "/usr/local/bin/docker-entrypoint.sh",
     .entrypoint = "/usr/local/bin/docker-entrypoint.sh"},
    {.image = "kibana",
     .ours = "kibana",
     .path = "/usr/local/bin/kibana-docker",
     .entrypoint = "/usr/local/bin/kibana-docker"},
    {.image = "metrics-server", .ours = "metrics-server", .path = "/metrics-server", .entrypoint = "/metrics-server"},
    {.image = "metrics-scraper",
     .ours = "metrics-scraper",
     .path = "/metrics-sidecar",
     .entrypoint = "/metrics-sidecar"},
    {.image = "dashboard",
     .ours = "dashboard",
     .path = "/dashboard",
     .entrypoint = "/dashboard --insecure-bind-address=0.0.0.0 --bind-address=0.0.0.0"},
    {.image = "fluent-bit",
     .ours = "fluent-bit",
     .path = "/fluent-bit/bin/fluent-bit", /* a CMD in 1.8; an entry point from 2.0 on */
     .debian = "/bin/journalctl",
     .with = BUSYBOX},
    {.image = "prometheus",
     .ours = "prometheus",
     .path = "/bin/prometheus",
     .entrypoint = "/bin/prometheus",
     .debian = "/usr/bin/prometheus"},
    {.image = "csi-qingcloud",
     .ours = "csi-qingcloud",
     .path = "/csi-qingcloud",
     .entrypoint = "/csi-qingcloud",
     .with = FILESYSTEMS},
    {.image = "csi-provisioner",
     .ours = "csi-provisioner",
     .path = "/csi-provisioner",
     .entrypoint = "/csi-provisioner"},
    {.image = "csi-attacher", .ours = "csi-attacher", .path = "/csi-attacher", .entrypoint = "/csi-attacher"},
    {.image = "csi-snapshotter",
     .ours = "csi-snapshotter",
     .path = "/csi-snapshotter",
     .entrypoint = "/csi-snapshotter"},
    {.image = "snapshot-controller",
     .ours = "snapshot-controller",
     .path = "/snapshot-controller",
     .entrypoint = "/snapshot-controller"},
    {.image = "csi-resizer", .ours = "csi-resizer", .path = "/csi-resizer", .entrypoint = "/csi-resizer"},
    {.image = "csi-node-driver-registrar",
     .ours = "csi-node-driver-registrar",
     .path = "/csi-node-driver-registrar",
     .entrypoint = "/csi-node-driver-registrar"},
    {.image = "cloud-controller-manager", .ours = "cloud-controller-manager", .path = "/manager", .with = BUSYBOX},
};

struct making {
    const struct lab *lab;
    const char *programs; /* of Kubernetes */
    const char *root;     /* with PACKAGES */
    const char *out;
};

static const struct recipe *recipe_for(const char *name)
{
    for (size_t i = 0; i < ELEMENTS(recipes); i++) {
        if (strcmp(recipes[i].image, name) == 0) {
            return &recipes[i];
        }
    }
    return NULL;
}

static char *ours_path(const struct lab *lab, const char *name)
{
    return xasprintf("%s/../images/%s", lab->bin, name);
}

static int add_ours(struct archive_image *image, const struct making *making, const struct recipe *recipe,
                    struct error **err)
{
    _cleanup_free_ char *source = ours_path(making->lab, recipe->ours);
    if (access(source, R_OK) != 0) {
        return error_errno(err, STATUS_FILE, errno, "%s: run `make`, without SANITIZE", source);
    }
    archive_add(image, recipe->path, source, NULL);
    const char *name = strrchr(recipe->path, '/') + 1;
    _cleanup_strv_ char **links = strv_split(recipe->link == NULL ? "" : recipe->link);
    for (char **link = links; *link != NULL; link++) {
        _cleanup_free_ char *path = xasprintf("%.*s%s", (int)(name - recipe->path), recipe->path, *link);
        archive_add(image, path, NULL, name);
    }
    if (recipe->script != NULL) {
        _cleanup_free_ char *script =
            xasprintf("%s/tests/lab/images/%s/%s", making->lab->source, recipe->ours, recipe->script);
        _cleanup_free_ char *path = xasprintf("%.*s%s", (int)(name - recipe->path), recipe->path, recipe->script);
        archive_add(image, path, script, NULL);
    }
    return 0;
}

static int add_parts(struct archive_image *image, const struct making *making, const struct recipe *recipe,
                     struct error **err)
{
    if (recipe->kubernetes != NULL) {
        _cleanup_free_ char *source = path_join(making->programs, recipe->kubernetes);
        _cleanup_free_ char *path = path_join("/usr/local/bin", recipe->kubernetes);
        archive_add(image, path, source, NULL);
    }
    if (recipe->debian != NULL) {
        if (recipe->path != NULL && recipe->ours == NULL) {
            _cleanup_free_ char *source = path_join(making->root, recipe->debian);
            archive_add(image, recipe->path, source, NULL);
        }
        if (debian_program(image, making->root, recipe->debian, err) != 0) {
            return -1;
        }
    }
    if ((recipe->ours != NULL && add_ours(image, making, recipe, err) != 0) ||
        ((recipe->with & IPTABLES) != 0 && debian_iptables(image, making->root, err) != 0) ||
        ((recipe->with & IPROUTE) != 0 && debian_iproute(image, making->root, err) != 0) ||
        ((recipe->with & FILESYSTEMS) != 0 && debian_filesystems(image, making->root, err) != 0) ||
        ((recipe->with & BUSYBOX) != 0 && debian_busybox(image, making->root, err) != 0)) {
        return -1;
    }
    archive_add(image, "tmp", NULL, NULL);
    return 0;
}

static int make_image(const struct making *making, const struct recipe *recipe, const char *reference,
                      struct error **err)
{
    _cleanup_(archive_free) struct archive_image image = {.reference = reference, .entrypoint = recipe->entrypoint};
    _cleanup_free_ char *path = xasprintf("%s/%s.tar", making->out, recipe->image);
    return add_parts(&image, making, recipe, err) == 0 ? archive_write(&image, path, err) : -1;
}

static int programs_root(const struct lab *lab, const char *root, struct error **err)
{
    _cleanup_free_ char *log = xasprintf("%s/container-images.log", lab->cache);
    static const char include[] = "--include=" PACKAGES;
    const char *argv[] = {"mmdebstrap", "--variant=extract", include, "bookworm", root, NULL};
    return logged_run(argv, log, 10, err);
}

/* What tests/lab/image.conf includes: each image made here, by the name and version it has in image/image.conf, and the
 * release's manifests from their files. */
static int write_conf(const struct release *release, const char *out, const char *where, struct error **err)
{
    _cleanup_buffer_ struct buffer text = {0};
    _cleanup_free_ char *path = path_join(out, "image.conf");
    buffer_puts(&text, "");
    for (size_t i = 0; i < release->n_images; i++) {
        const struct release_image *image = &release->images[i];
        if (recipe_for(image->name) != NULL) {
            buffer_printf(&text,
                          "image \"%s\" {\n    reference = \"%s\"\n    archive = \"%s/%s.tar\"\n    built = true\n}\n",
                          image->name, image->reference, where, image->name);
        }
    }
    for (char **manifest = release->manifests; manifest != NULL && *manifest != NULL; manifest++) {
        buffer_puts(&text, *manifest);
    }
    return text_put(path, 0644, err, "%s", text.data);
}

static int make_all(const struct lab *lab, const char *version, const struct release *release, const char *root,
                    const char *out, struct error **err)
{
    _cleanup_free_ char *programs = NULL;
    if (programs_root(lab, root, err) != 0 || kubernetes_make(lab, version, &programs, err) != 0) {
        return -1;
    }
    const struct making making = {lab, programs, root, out};
    for (size_t i = 0; i < release->n_images; i++) {
        const struct recipe *recipe = recipe_for(release->images[i].name);
        if (recipe != NULL && make_image(&making, recipe, release->images[i].reference, err) != 0) {
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

/* Where the images of what is there lie, or would: they are made again when the programs of Kubernetes, what is made
 * here or what image.conf names changes. */
static int images_path(const struct lab *lab, const char *version, const struct release *release, char **path,
                       struct error **err)
{
    static const char *const sources[] = {"tests/lab/lab/image/containers.c", "tests/lab/lab/image/debian.c",
                                          "tests/lab/lab/image/archive.c", "tests/lab/images/*/*.sh"};
    _cleanup_free_ char *built = xasprintf("%s/kubernetes-%s/.complete", lab->cache, version);
    _cleanup_free_ char *programs = xasprintf("%s/kubernetes-%s/kube*", lab->cache, version);
    _cleanup_free_ char *ours = ours_path(lab, "*");
    _cleanup_free_ char *releases = release_directory(lab);
    _cleanup_free_ char *manifests = xasprintf("%s/*.yaml", releases == NULL ? "/nonexistent" : releases);
    _cleanup_buffer_ struct buffer all = {0};
    int r = access(built, F_OK) == 0 ? hash_files(programs, &all, err) : 0;
    r = r == 0 && hash_files(ours, &all, err) == 0 ? hash_files(manifests, &all, err) : -1;
    for (size_t i = 0; i < ELEMENTS(sources) && r == 0; i++) {
        _cleanup_free_ char *pattern = path_join(lab->source, sources[i]);
        r = hash_files(pattern, &all, err);
    }
    for (size_t i = 0; i < release->n_images; i++) {
        buffer_printf(&all, "%s %s\n", release->images[i].name, release->images[i].reference);
    }
    for (char **manifest = release->manifests; manifest != NULL && *manifest != NULL; manifest++) {
        buffer_puts(&all, *manifest);
    }
    _cleanup_free_ char *hash = sha256_hex(all.data, all.len);
    *path = xasprintf("%s/images-%s-%.12s", lab->cache, version, hash);
    return r;
}

bool image_has_product(const struct lab *lab)
{
    _cleanup_(release_free) struct release release = {0};
    return release_read(lab, KUBERNETES_VERSION, &release, NULL) == 0 && release.whole;
}

int container_images_make(const struct lab *lab, const char *version, char **path, struct error **err)
{
    _cleanup_(release_free) struct release release = {0};
    if (release_read(lab, version, &release, err) != 0 || images_path(lab, version, &release, path, err) != 0) {
        return -1;
    }
    if (access(*path, F_OK) == 0) {
        cache_use(*path);
        return 0;
    }
    _cleanup_free_ char *beside = xasprintf("%s/images-%s.%d", lab->cache, version, getpid());
    _cleanup_free_ char *root = xasprintf("%s.root", beside);
    struct task *task = progress_begin(NULL, "container images");
    int r = dir_make(beside, 0755, err) == 0 && make_all(lab, version, &release, root, beside, err) == 0 ? 0 : -1;
    (void)files_remove(root, NULL);
    free(STEAL(*path));
    if (r == 0) {
        r = images_path(lab, version, &release, path, err); /* by now Kubernetes is built */
    }
    if (r == 0) {
        r = write_conf(&release, beside, *path, err);
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
