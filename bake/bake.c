#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#include "bake/bake.h"
#include "bake/conf/pins.h"
#include "bake/conf/versions.h"
#include "bake/fetch/bake_cache.h"
#include "bake/output/bom.h"
#include "bake/output/output.h"
#include "bake/root/interfaces.h"
#include "bake/root/scan.h"
#include "bake/state.h"
#include "lib/core/interrupt.h"
#include "lib/core/logger.h"
#include "lib/crypto/crypto.h"
#include "lib/system/program.h"
#include "lib/system/tree.h"

static const char usage[] = "k8s-bake: makes a VM image from one declarative file\n"
                            "\n"
                            "  k8s-bake --root DIR            a root file system, from Debian packages\n"
                            "  k8s-bake --output FILE         FILE.tar.zst or FILE.qcow2 (a disk that boots)\n"
                            "  k8s-bake --in-place            into the running system, before it is captured\n"
                            "  k8s-bake --update-lock [NAME]  pins what has none, or NAME, in image.lock\n"
                            "  k8s-bake show IMAGE            what is in it: a root, a .tar.zst, a .qcow2 or\n"
                            "                                 an image-manifest.json\n"
                            "  k8s-bake diff A B              what differs; exit status 1 if anything does\n"
                            "  k8s-bake base                  the base system alone, into the cache\n"
                            "  k8s-bake versions              versions.json of the image\n"
                            "  k8s-bake scan DIR              what an image must not hold, when it is there\n"
                            "\n"
                            "  -c, --conf FILE             image/image.conf unless given\n"
                            "  -l, --lock FILE             image.lock beside it\n"
                            "  -s, --set NAME=VALUE        value of ${NAME} in the file\n"
                            "      --cache DIR             /var/cache/k8s-bake\n"
                            "      --mirror PREFIX         downloads come from PREFIX/host/path\n"
                            "      --registry-mirror HOST  container images come from HOST/registry/name\n"
                            "  -j, --jobs N                downloads at once (4)\n"
                            "      --offline               use only the cache\n"
                            "      --refresh               a new base system, not the one in the cache\n"
                            "  -n, --dry-run               only print what would be done\n"
                            "      --json                  show: the manifest itself (CycloneDX)\n"
                            "  -v, --verbose               -q, --quiet\n"
                            "  -h, --help                  -V, --version\n";

#define DEFAULT_CACHE "/var/cache/k8s-bake"

enum {
    OPT_ROOT = 256,
    OPT_OUTPUT,
    OPT_IN_PLACE,
    OPT_UPDATE_LOCK,
    OPT_CACHE,
    OPT_MIRROR,
    OPT_REGISTRY_MIRROR,
    OPT_OFFLINE,
    OPT_REFRESH,
    OPT_JSON,
};

static const struct option long_options[] = {
    {"root", required_argument, NULL, OPT_ROOT},
    {"output", required_argument, NULL, OPT_OUTPUT},
    {"in-place", no_argument, NULL, OPT_IN_PLACE},
    {"update-lock", no_argument, NULL, OPT_UPDATE_LOCK},
    {"conf", required_argument, NULL, 'c'},
    {"lock", required_argument, NULL, 'l'},
    {"set", required_argument, NULL, 's'},
    {"cache", required_argument, NULL, OPT_CACHE},
    {"mirror", required_argument, NULL, OPT_MIRROR},
    {"registry-mirror", required_argument, NULL, OPT_REGISTRY_MIRROR},
    {"jobs", required_argument, NULL, 'j'},
    {"offline", no_argument, NULL, OPT_OFFLINE},
    {"refresh", no_argument, NULL, OPT_REFRESH},
    {"dry-run", no_argument, NULL, 'n'},
    {"verbose", no_argument, NULL, 'v'},
    {"quiet", no_argument, NULL, 'q'},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

struct command {
    struct options options;
    bool update_lock, json;
    const char *answer; /* to --help or --version */
    enum log_level level;
    char **words;
};

/* The options that name a file, a directory or a host. NULL for any other. */
static const char **path_option(struct options *o, int option)
{
    switch (option) {
    case OPT_ROOT:
        return &o->root;
    case OPT_OUTPUT:
        return &o->output;
    case OPT_CACHE:
        return &o->cache;
    case OPT_MIRROR:
        return &o->mirror;
    case OPT_REGISTRY_MIRROR:
        return &o->registry_mirror;
    case 'c':
        return &o->conf;
    case 'l':
        return &o->lock;
    default:
        return NULL;
    }
}

static int parse_one(struct command *c, int option, struct error **err)
{
    struct options *o = &c->options;
    const char **path = path_option(o, option);
    if (path != NULL) {
        *path = optarg;
        return 0;
    }
    switch (option) {
    case OPT_IN_PLACE:
        o->in_place = true;
        break;
    case OPT_UPDATE_LOCK:
        c->update_lock = true;
        break;
    case OPT_OFFLINE:
        o->offline = true;
        break;
    case OPT_REFRESH:
        o->refresh = true;
        break;
    case 's':
        strv_push(&o->variables, optarg);
        break;
    case 'j':
        return str_number(optarg, 1, 32, &o->jobs) ? 0 : error_new(err, STATUS_USAGE, "--jobs %s: 1 to 32", optarg);
    case 'n':
        o->dry_run = true;
        break;
    case 'v':
        c->level = LOG_LEVEL_DEBUG;
        break;
    case 'q':
        c->level = LOG_LEVEL_WARNING;
        break;
    case OPT_JSON:
        c->json = true;
        break;
    case 'h':
        c->answer = usage;
        break;
    case 'V':
        c->answer = "k8s-bake " SUITE_VERSION "\n";
        break;
    default:
        return error_new(err, STATUS_USAGE, "see --help");
    }
    return 0;
}

static int parse(struct command *c, int argc, char **argv, struct error **err)
{
    for (int option = getopt_long(argc, argv, "c:l:s:j:nvqhV", long_options, NULL); option >= 0;
         option = getopt_long(argc, argv, "c:l:s:j:nvqhV", long_options, NULL)) {
        if (parse_one(c, option, err) < 0) {
            return -1;
        }
    }
    c->words = argv + optind;
    int goals = (c->options.in_place ? 1 : 0) + (c->update_lock ? 1 : 0) +
                (c->options.root != NULL || c->options.output != NULL ? 1 : 0);
    bool verb = c->words[0] != NULL && !c->update_lock;
    if (c->answer == NULL && goals + (verb ? 1 : 0) != 1) {
        return error_new(err, STATUS_USAGE,
                         "one of --root / --output, --in-place, --update-lock, show, diff, base, versions and scan is "
                         "needed; see --help");
    }
    return 0;
}

/* SOURCE_DATE_EPOCH: reproducible-builds.org/specs/source-date-epoch. Read before the environment is emptied. */
static int read_epoch(long *epoch, struct error **err)
{
    const char *value = getenv("SOURCE_DATE_EPOCH");
    if (value != NULL && !str_number(value, 0, 253402300799, epoch)) {
        return error_new(err, STATUS_USAGE, "SOURCE_DATE_EPOCH is \"%s\": a number of seconds is expected", value);
    }
    return 0;
}

static void bake_end(struct bake *bake)
{
    if (bake->conf != NULL) {
        sources_free(bake);
    }
    root_close(&bake->root);
    json_decref(bake->lock);
    json_decref(bake->state);
    bake_conf_free(bake->conf);
}

/* Configuration and lock. */
static int begin(struct bake *bake, struct options *options, char **lock, struct error **err)
{
    bake->epoch = -1;
    bake->options = options;
    if (read_epoch(&bake->epoch, err) < 0 || bake_conf_load(&bake->conf, options->conf, options->variables, err) < 0) {
        return -1;
    }
    if (bake->epoch < 0) {
        bake->epoch = bake->conf->epoch;
    }
    if (options->lock == NULL) {
        const char *slash = strrchr(options->conf, '/');
        *lock = slash == NULL ? xstrdup("image.lock")
                              : xasprintf("%.*s/image.lock", (int)(slash - options->conf), options->conf);
        options->lock = *lock;
    }
    return lock_load(options->lock, &bake->lock, err);
}

/* One bake at a time in a root. The lock lies in the cache, so that nothing is left beside the root. */
static int lock_target(const struct options *options, const char *target, int *fd, struct error **err)
{
    _cleanup_free_ char *name = sha256_hex(target, strlen(target));
    if (cache_try_lock(options->cache, name, fd, err) < 0) {
        return -1;
    }
    return *fd >= 0 ? 0 : error_new(err, STATUS_LOCKED, "another k8s-bake is running on %s", target);
}

static void print_plan(const struct bake *bake, const struct item *items)
{
    for (; items->title != NULL; items++) {
        bool there = bake->state != NULL && state_has(bake->state, &bake->root, items->title, items->key);
        printf("%s %s\n", there ? "unchanged" : "apply", items->title);
    }
}

static int dry_run(struct bake *bake, const char *dir, const struct item *items, struct error **err)
{
    if (root_open(&bake->root, dir, bake->epoch, NULL) == 0 && state_load(&bake->root, &bake->state, err) < 0) {
        return -1;
    }
    print_plan(bake, items);
    return 0;
}

static int fill_root(struct bake *bake, const char *dir, const struct item *items, struct error **err)
{
    if (base_open(bake, dir, err) < 0 || state_load(&bake->root, &bake->state, err) < 0 ||
        sources_get(bake, items, err) < 0) {
        return -1;
    }
    return plan_apply(bake, items, err);
}

static int finish_root(struct bake *bake, struct error **err)
{
    bool changed = false;
    _cleanup_json_ json_t *manifest = NULL;
    if (interfaces_keep_names(bake, err) < 0 || clean_root(bake, err) < 0 || manifest_make(bake, &manifest, err) < 0 ||
        manifest_put(bake, manifest, &changed, err) < 0) {
        return -1;
    }
    bake->applied += changed ? 1 : 0;
    return scan_root(&bake->root, err);
}

/* A cache that only this bake filled would end up in the image. */
static int drop_cache(const struct options *options, struct error **err)
{
    return options->in_place && strcmp(options->cache, DEFAULT_CACHE) == 0 ? tree_remove(DEFAULT_CACHE, err) : 0;
}

static void print_result(const struct bake *bake, int64_t begin)
{
    if (bake->applied == 0) {
        log_notice("%s is up to date: nothing to do", bake->root.path);
    } else {
        log_notice("%s is baked: %zu done, %zu were there already, %.1f s", bake->root.path, bake->applied,
                   bake->skipped, (double)(clock_ms() - begin) / 1000);
    }
}

/* DIR is the root; --output has one of its own that goes when the output is there, unless --root names it. */
static int bake_items(struct bake *bake, const char *dir, const struct item *items, struct error **err)
{
    const struct options *o = bake->options;
    _cleanup_close_ int lock = -1;
    _cleanup_free_ char *base = NULL;
    int64_t begin = clock_ms();
    if (o->dry_run) {
        return dry_run(bake, dir, items, err);
    }
    if (lock_target(o, dir, &lock, err) < 0 || cache_clean(o->cache, err) < 0 || base_inputs(bake, &base, err) < 0) {
        return -1;
    }
    _cleanup_free_ char *inputs = plan_inputs(bake, items, base);
    _cleanup_free_ char *id = uuid_of(inputs);
    int fresh = o->output == NULL || o->refresh ? 0 : output_fresh(o->output, inputs, err);
    if (fresh != 0) {
        log_notice("%s is up to date: nothing to do", o->output);
        return fresh < 0 ? -1 : 0;
    }
    if (fill_root(bake, dir, items, err) < 0 || (bake->disk && disk_prepare(bake, id, err) < 0) ||
        finish_root(bake, err) < 0) {
        return -1;
    }
    print_result(bake, begin);
    if (o->output == NULL) {
        return drop_cache(o, err);
    }
    return output_make(bake, inputs, err) < 0 || (o->root == NULL && tree_remove(dir, err) < 0) ? -1 : 0;
}

static int bake_all(struct command *c, struct error **err)
{
    struct options *o = &c->options;
    _cleanup_(bake_end) struct bake bake = {.root = {.fd = -1}};
    _cleanup_free_ char *lock = NULL;
    _cleanup_free_ char *work = xasprintf("%s.root", o->output != NULL ? o->output : "");
    const char *dir = o->in_place ? "/" : o->root != NULL ? o->root : work;
    struct item *items = NULL;
    if (o->output != NULL && output_kind(o->output, &bake.disk, err) < 0) {
        return -1;
    }
    if (begin(&bake, o, &lock, err) < 0 || sources_know(&bake, err) < 0 || plan_make(&bake, &items, err) < 0) {
        return -1;
    }
    int result = bake_items(&bake, dir, items, err);
    plan_free(items);
    return result;
}

static int update_lock(struct command *c, struct error **err)
{
    _cleanup_(bake_end) struct bake bake = {.root = {.fd = -1}};
    _cleanup_free_ char *lock_path = NULL;
    if (begin(&bake, &c->options, &lock_path, err) < 0) {
        return -1;
    }
    return sources_update_lock(&bake, c->words, err);
}

static int verb_versions(struct command *c, struct error **err)
{
    _cleanup_(bake_end) struct bake bake = {.root = {.fd = -1}};
    _cleanup_free_ char *lock_path = NULL;
    if (begin(&bake, &c->options, &lock_path, err) < 0) {
        return -1;
    }
    _cleanup_json_ json_t *versions = versions_json(bake.conf);
    json_dumpf(versions, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
    putchar('\n');
    return 0;
}

static int verb_base(struct command *c, struct error **err)
{
    _cleanup_(bake_end) struct bake bake = {.root = {.fd = -1}};
    _cleanup_free_ char *lock_path = NULL;
    return begin(&bake, &c->options, &lock_path, err) < 0 ? -1 : base_fetch(&bake, err);
}

static int verb_show(struct command *c, struct error **err)
{
    _cleanup_json_ json_t *manifest = NULL;
    if (manifest_read(c->words[1], &manifest, err) < 0) {
        return -1;
    }
    if (c->json) {
        json_dumpf(manifest, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        manifest_show(manifest, stdout);
    }
    return 0;
}

static int verb_diff(struct command *c, struct error **err)
{
    _cleanup_json_ json_t *a = NULL;
    _cleanup_json_ json_t *b = NULL;
    if (manifest_read(c->words[1], &a, err) < 0 || manifest_read(c->words[2], &b, err) < 0) {
        return -1;
    }
    return manifest_diff(a, b, stdout) == 0 ? 0 : 1;
}

static int verb_scan(struct command *c, struct error **err)
{
    _cleanup_root_ struct root root = {.fd = -1};
    return root_open(&root, c->words[1], 0, err) < 0 ? -1 : scan_root(&root, err);
}

static const struct verb {
    const char *name;
    size_t arguments;
    int (*run)(struct command *c, struct error **err);
} verbs[] = {
    {"show", 1, verb_show},         {"diff", 2, verb_diff}, {"base", 0, verb_base},
    {"versions", 0, verb_versions}, {"scan", 1, verb_scan},
};

static int run(struct command *c, struct error **err)
{
    if (c->answer != NULL) {
        (void)fputs(c->answer, stdout);
        return 0;
    }
    if (c->update_lock) {
        return update_lock(c, err);
    }
    if (c->words[0] == NULL) {
        return bake_all(c, err);
    }
    for (size_t i = 0; i < ELEMENTS(verbs); i++) {
        if (strcmp(verbs[i].name, c->words[0]) == 0 && strv_length(c->words) == verbs[i].arguments + 1) {
            return verbs[i].run(c, err);
        }
    }
    return error_new(err, STATUS_USAGE, "\"%s\" with %zu arguments is not a command; see --help", c->words[0],
                     strv_length(c->words) - 1);
}

int main(int argc, char **argv)
{
    struct command c = {
        .options = {.conf = "image/image.conf", .cache = DEFAULT_CACHE, .jobs = 4},
        .level = LOG_LEVEL_INFO,
    };
    _cleanup_error_ struct error *err = NULL;
    int result = program_start(&err) < 0 ? -1 : parse(&c, argc, argv, &err);
    log_open("k8s-bake", NULL, NULL, c.level);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    if (result == 0) {
        result = interrupt_open(&err);
    }
    if (result == 0) {
        result = run(&c, &err);
    }
    if (result == 0) {
        result = program_end(&err);
    }
    if (err != NULL) {
        log_error("%s", err->message);
        result = (int)err->status;
    }
    curl_global_cleanup();
    strv_free(c.options.variables);
    return result;
}
