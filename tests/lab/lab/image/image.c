#include "tests/lab/lab/image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/core/interrupt.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "tests/lab/lab/machine/machine.h"
#include "tests/lab/lab/machine/parallel.h"
#include "tests/lab/lab/progress.h"
#include "tests/lab/shared/cache.h"

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

/* The suite as this tree has built it: a layer of its own over the image, so that a new build needs no new image. */
static int make_suite_layer(const struct lab *lab, char **path, struct error **err)
{
    _cleanup_free_ char *layer = lab_path(lab, "suite");
    _cleanup_free_ char *above = xasprintf("%s/..", lab->bin);
    _cleanup_free_ char *build = realpath(above, NULL);
    _cleanup_free_ char *built = xasprintf("B=%s", build);
    _cleanup_free_ char *destination = xasprintf("DESTDIR=%s", layer);
    _cleanup_free_ char *log = xasprintf("%s/install-%s.log", lab->cache, lab->name); /* the lab may go */
    const char *argv[] = {"make", "-s", "-C", lab->source, built, destination, "install", NULL};
    if (files_remove(layer, err) != 0 || dir_make(layer, 0755, err) != 0 || logged_run(argv, log, 5, err) != 0) {
        return error_wrap(err, "installing the suite");
    }
    (void)unlink(log);
    *path = STEAL(layer);
    return 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* What the image is made from, the suite excepted: names and contents below image/, the lab's file, container images.
 */
static int image_hash(const struct lab *lab, const char *images, char **hash, struct error **err)
{
    _cleanup_free_ char *conf = path_join(lab->source, "tests/lab/image.conf");
    _cleanup_free_ char *dir = path_join(lab->source, "image");
    _cleanup_buffer_ struct buffer all = {0};
    buffer_printf(&all, "%s\n", images); /* its name holds the Kubernetes version */
    char *const roots[] = {conf, dir, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    int r = walk == NULL ? error_errno(err, STATUS_FILE, errno, "reading %s", dir) : 0;
    for (FTSENT *e = r == 0 ? fts_read(walk) : NULL; r == 0 && e != NULL; e = fts_read(walk)) {
        _cleanup_free_ char *one = NULL;
        if (e->fts_info == FTS_F && !str_ends(e->fts_name, ".c") && !str_ends(e->fts_name, ".h")) {
            r = sha256_file(e->fts_path, &one, err);
            buffer_printf(&all, "%s %s\n", e->fts_path + strlen(lab->source), one);
        }
    }
    if (walk != NULL) {
        (void)fts_close(walk);
    }
    *hash = r == 0 ? sha256_hex(all.data, all.len) : NULL;
    return r;
}

struct sources {
    const char *version, *programs, *images, *suite;
};

static int run_bake(const struct lab *lab, const char *const *verb, const struct sources *sources, const char *log,
                    struct error **err)
{
    _cleanup_free_ char *program = xasprintf("%s/../bin/k8s-bake", lab->bin);
    _cleanup_free_ char *conf = path_join(lab->source, "tests/lab/image.conf");
    _cleanup_free_ char *images = xasprintf("images=%s", sources->images);
    _cleanup_free_ char *suite = xasprintf("suite=%s", sources->suite);
    _cleanup_free_ char *programs = xasprintf("kubernetes_dir=%s", sources->programs);
    _cleanup_free_ char *version = xasprintf("kubernetes=%s", sources->version);
    _cleanup_free_ char *cache = xasprintf("%s/bake", lab->cache);
    const char *argv[] = {program, "--conf", conf,     "--cache", cache,   "--set", images,  "--set",
                          suite,   "--set",  programs, "--set",   version, verb[0], verb[1], NULL};
    return logged_run(argv, log, 30, err);
}

static int bake(const struct lab *lab, const char *version, const char *programs, const char *images, const char *suite,
                char **path, struct error **err)
{
    _cleanup_free_ char *hash = NULL;
    if (image_hash(lab, images, &hash, err) != 0) {
        return -1;
    }
    _cleanup_free_ char *root = xasprintf("%s/image-%.12s", lab->cache, hash);
    _cleanup_free_ char *complete = xasprintf("%s.complete", root);
    if (access(complete, F_OK) != 0) {
        _cleanup_free_ char *log = xasprintf("%s.log", root);
        const struct sources sources = {version, programs, images, suite};
        const char *const verb[] = {"--root", root, NULL};
        struct task *task = progress_begin(log, "baking the image");
        int r = run_bake(lab, verb, &sources, log, err) == 0 ? text_put(complete, 0644, err, "%s", "") : -1;
        progress_end(task, r == 0, NULL);
        if (r != 0) {
            return -1;
        }
    }
    cache_use(complete);
    *path = STEAL(root);
    return 0;
}

struct part {
    struct lab *lab;
    const char *version;
    char *path;
};

static int kubernetes_job(void *data, struct error **err)
{
    struct part *part = data;
    return kubernetes_make(part->lab, part->version, &part->path, err);
}

static int images_job(void *data, struct error **err)
{
    struct part *part = data;
    return container_images_make(part->lab, part->version, &part->path, err);
}

/* The base system needs nothing that is built here, so it is made meanwhile. */
static int base_job(void *data, struct error **err)
{
    const struct part *part = data;
    _cleanup_free_ char *images = path_join(part->lab->cache, "none");
    _cleanup_free_ char *conf = path_join(images, "image.conf");
    const struct sources none = {part->version, "none", images, "none"};
    static const char *const verb[] = {"base", NULL};
    _cleanup_free_ char *log = xasprintf("%s/base.log", part->lab->cache);
    struct task *task = progress_begin(log, "base system");
    int r = text_put(conf, 0644, err, "%s", "") == 0 ? run_bake(part->lab, verb, &none, log, err) : -1;
    progress_end(task, r == 0, NULL);
    return r;
}

/* One lab at a time makes what all share. */
static int cache_lock(const struct lab *lab, int *lock, struct error **err)
{
    _cleanup_free_ char *path = path_join(lab->cache, ".lab.lock");
    if (dir_make(lab->cache, 0755, err) != 0) {
        return -1;
    }
    *lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*lock < 0) {
        return error_errno(err, STATUS_FILE, errno, "opening %s", path);
    }
    struct task *task = NULL;
    struct pollfd signal = {.fd = interrupt_fd(), .events = POLLIN};
    while (flock(*lock, LOCK_EX | LOCK_NB) != 0) {
        task = task == NULL ? progress_begin(NULL, "waiting for another lab to make the image") : task;
        (void)poll(&signal, 1, 200);
        if (interrupt_check(err) != 0) {
            return -1;
        }
    }
    if (task != NULL) {
        progress_end(task, true, NULL);
    }
    return 0;
}

int image_make(struct lab *lab, const char *version, struct error **err)
{
    _cleanup_close_ int lock = -1;
    struct part kubernetes = {.lab = lab, .version = version};
    struct part images = {.lab = lab, .version = version};
    struct part base = {.lab = lab, .version = version};
    struct job jobs[] = {{kubernetes_job, &kubernetes, NULL}, {images_job, &images, NULL}, {base_job, &base, NULL}};
    char *layers[3] = {0};
    strv_free(STEAL(lab->layers));
    int r = cache_lock(lab, &lock, err) == 0 && parallel(jobs, ELEMENTS(jobs), err) == 0 &&
                    make_suite_layer(lab, &layers[1], err) == 0 &&
                    bake(lab, version, kubernetes.path, images.path, layers[1], &layers[0], err) == 0
                ? 0
                : -1;
    if (r == 0) {
        strv_push(&lab->layers, layers[0]);
        strv_push(&lab->layers, layers[1]);
        r = machine_lab_layer(lab, &layers[2], err);
    }
    if (r == 0) {
        strv_push(&lab->layers, layers[2]);
        /* under the lock: what the state names is in use */
        r = lab_save(lab, err) == 0 ? cache_prune(lab->cache, LAB_DIRECTORY "*/lab.json", err) : -1;
    }
    for (size_t i = 0; i < ELEMENTS(layers); i++) {
        free(layers[i]);
    }
    free(kubernetes.path);
    free(images.path);
    return r;
}
