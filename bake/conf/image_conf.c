#include "bake/conf/image_conf.h"

#include <fnmatch.h>
#include <string.h>
#include <unistd.h>

#include "bake/conf/parse.h"
#include "bake/conf/versions.h"
#include "lib/core/util.h"
#include "lib/text/conf_file.h"

static cfg_opt_t artifact_opts[] = {
    CFG_STR("url", NULL, CFGF_NONE),          CFG_STR_CB("file", NULL, CFGF_NONE, parse_path),
    CFG_STR_LIST("command", "{}", CFGF_NONE), CFG_STR("sha256", NULL, CFGF_NONE),
    CFG_BOOL("built", cfg_false, CFGF_NONE),  CFG_STR("to", NULL, CFGF_NONE),
    CFG_STR("mode", "0644", CFGF_NONE),       CFG_BOOL("unpack", cfg_false, CFGF_NONE),
    CFG_INT("strip", 0, CFGF_NONE),           CFG_STR_LIST("members", "{}", CFGF_NONE),
    CFG_STR_LIST("run", "{}", CFGF_NONE),     CFG_STR("version", NULL, CFGF_NONE),
    CFG_STR("license", NULL, CFGF_NONE),      CFG_END(),
};

static cfg_opt_t image_opts[] = {
    CFG_STR("reference", NULL, CFGF_NONE),
    CFG_STR("source", NULL, CFGF_NONE),
    CFG_STR_CB("archive", NULL, CFGF_NONE, parse_path),
    CFG_BOOL("built", cfg_false, CFGF_NONE),
    CFG_BOOL("preload", cfg_true, CFGF_NONE),
    CFG_END(),
};

static cfg_opt_t unit_opts[] = {
    CFG_STR("state", NULL, CFGF_NONE),
    CFG_BOOL("optional", cfg_false, CFGF_NONE),
    CFG_END(),
};

static cfg_opt_t user_opts[] = {
    CFG_INT("uid", -1, CFGF_NONE),
    CFG_STR("home", "/nonexistent", CFGF_NONE),
    CFG_STR("shell", "/usr/sbin/nologin", CFGF_NONE),
    CFG_STR_LIST("groups", "{}", CFGF_NONE),
    CFG_END(),
};

static cfg_opt_t disk_opts[] = {
    CFG_STR_LIST("packages", "{}", CFGF_NONE),
    CFG_STR("size", "10G", CFGF_NONE),
    CFG_STR("cmdline", "", CFGF_NONE),
    CFG_END(),
};

static cfg_opt_t top_opts[] = {
    CFG_FUNC("include", parse_include),
    CFG_STR_CB("kubernetes", NULL, CFGF_NONE, parse_kubernetes),
    CFG_STR("suite", "bookworm", CFGF_NONE),
    CFG_STR_CB("apt-sources", NULL, CFGF_NONE, parse_path),
    CFG_STR("mirror", NULL, CFGF_NONE),
    CFG_STR("registry-mirror", NULL, CFGF_NONE),
    CFG_INT("epoch", 1609459200, CFGF_NONE),
    CFG_STR_LIST("packages", "{}", CFGF_NONE),
    CFG_STR_LIST_CB("overlay", "{}", CFGF_NONE, parse_path),
    CFG_STR_LIST("sysctl", "{}", CFGF_NONE),
    CFG_STR_LIST("modules", "{}", CFGF_NONE),
    CFG_STR_LIST("limits", "{}", CFGF_NONE),
    CFG_STR_LIST("clean", "{}", CFGF_NONE),
    CFG_STR_LIST("leave-out", "{}", CFGF_NONE),
    CFG_SEC("artifact", artifact_opts, CFGF_MULTI | CFGF_TITLE),
    CFG_SEC("manifest", artifact_opts, CFGF_MULTI | CFGF_TITLE),
    CFG_SEC("image", image_opts, CFGF_MULTI | CFGF_TITLE),
    CFG_SEC("unit", unit_opts, CFGF_MULTI | CFGF_TITLE),
    CFG_SEC("user", user_opts, CFGF_MULTI | CFGF_TITLE),
    CFG_SEC("disk", disk_opts, CFGF_NONE),
    CFG_END(),
};

static struct settings get_settings(cfg_t *cfg, const char *key)
{
    return (struct settings){conf_file_list(cfg, key), parse_where_option(cfg_getopt(cfg, key))};
}

static bool is_hash(const char *s)
{
    return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

/* A name becomes a file name and a key of image.lock. */
static bool is_name(const char *s)
{
    return !str_empty(s) && s[0] != '.' && s[0] != '-' &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@+") == strlen(s);
}

static int check_artifact(const struct artifact *a, const char *mode, struct error **err)
{
    const char *wrong = NULL;
    if (!is_name(a->name)) {
        wrong = "the name may hold letters, digits, \"._-@+\" only";
    } else if ((a->url != NULL) + (a->file != NULL) + (a->command[0] != NULL) != 1) {
        wrong = "one of url, file and command is needed";
    } else if (a->command[0] != NULL && (a->built || a->sha256 != NULL || a->unpack)) {
        wrong = "what a command prints has no sha256 and is not unpacked";
    } else if (a->url != NULL && !str_starts(a->url, "https://") && !str_starts(a->url, "http://")) {
        wrong = "url must be http:// or https://";
    } else if (a->built && (a->url != NULL || a->sha256 != NULL)) {
        wrong = "built is for a file without sha256";
    } else if (a->sha256 != NULL && !is_hash(a->sha256)) {
        wrong = "sha256 must be 64 lower-case hexadecimal digits";
    } else if (a->to == NULL || a->to[0] != '/') {
        wrong = "to must be an absolute path in the image";
    } else if (!a->unpack && str_ends(a->to, "/")) {
        wrong = "to must name the file, not its directory, unless unpack is true";
    } else if (!a->unpack && (a->strip != 0 || strv_length(a->members) > 0 || strv_length(a->run) > 0)) {
        wrong = "strip, members and run need unpack = true";
    } else if (strspn(mode, "01234567") != strlen(mode) || strtol(mode, NULL, 8) > 07777) {
        wrong = "mode must be octal, as 0755";
    }
    return wrong == NULL ? 0 : error_new(err, STATUS_CONFIG, "%s: %s \"%s\": %s", a->where, a->kind, a->name, wrong);
}

static int load_artifact(struct artifact *a, const char *kind, cfg_t *sec, struct error **err)
{
    const char *mode = cfg_getstr(sec, "mode");
    *a = (struct artifact){
        .kind = kind,
        .name = xstrdup(cfg_title(sec)),
        .where = parse_where_section(sec),
        .url = conf_file_string(sec, "url"),
        .file = conf_file_string(sec, "file"),
        .command = conf_file_list(sec, "command"),
        .sha256 = conf_file_string(sec, "sha256"),
        .built = cfg_getbool(sec, "built") == cfg_true,
        .to = conf_file_string(sec, "to"),
        .mode = (mode_t)strtol(mode, NULL, 8),
        .unpack = cfg_getbool(sec, "unpack") == cfg_true,
        .strip = (int)cfg_getint(sec, "strip"),
        .members = conf_file_list(sec, "members"),
        .run = conf_file_list(sec, "run"),
        .version = conf_file_string(sec, "version"),
        .license = conf_file_string(sec, "license"),
    };
    if (a->to == NULL && strcmp(kind, "manifest") == 0) {
        a->to = xasprintf("/opt/kubernetes/manifests/%s.yaml", a->name);
    }
    return check_artifact(a, mode, err);
}

static int load_artifacts(struct bake_conf *conf, cfg_t *cfg, const char *kind, struct error **err)
{
    unsigned n = cfg_size(cfg, kind);
    conf->artifacts = xrealloc(conf->artifacts, (conf->n_artifacts + n + 1) * sizeof *conf->artifacts);
    for (unsigned i = 0; i < n; i++) {
        cfg_t *sec = cfg_getnsec(cfg, kind, i);
        if (!bake_conf_left_out(conf, kind, cfg_title(sec)) &&
            load_artifact(&conf->artifacts[conf->n_artifacts++], kind, sec, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int load_images(struct bake_conf *conf, cfg_t *cfg, struct error **err)
{
    unsigned n = cfg_size(cfg, "image");
    conf->images = xcalloc(n + 1, sizeof *conf->images);
    for (; conf->n_images < n; conf->n_images++) {
        cfg_t *sec = cfg_getnsec(cfg, "image", (unsigned)conf->n_images);
        struct container_image *image = &conf->images[conf->n_images];
        image->name = xstrdup(cfg_title(sec));
        image->where = parse_where_section(sec);
        image->reference = conf_file_string(sec, "reference");
        image->source = conf_file_string(sec, "source");
        image->archive = conf_file_string(sec, "archive");
        image->built = cfg_getbool(sec, "built") == cfg_true;
        image->preload = cfg_getbool(sec, "preload") == cfg_true && !bake_conf_left_out(conf, "image", image->name);
        if (!is_name(image->name) || image->reference == NULL || strpbrk(image->reference, " \t\"\\") != NULL) {
            conf->n_images++;
            return error_new(err, STATUS_CONFIG, "%s: image \"%s\": a name and a reference as host/name:tag are needed",
                             image->where, image->name);
        }
        if (image->source == NULL) {
            image->source = xstrdup(image->reference);
        }
    }
    return 0;
}

static int load_units(struct bake_conf *conf, cfg_t *cfg, struct error **err)
{
    static const char *const states[] = {"enabled", "disabled", "masked"};
    unsigned n = cfg_size(cfg, "unit");
    conf->units = xcalloc(n + 1, sizeof *conf->units);
    for (unsigned i = 0; i < n; i++) {
        cfg_t *sec = cfg_getnsec(cfg, "unit", i);
        const char *state = cfg_getstr(sec, "state");
        if (bake_conf_left_out(conf, "unit", cfg_title(sec))) {
            continue;
        }
        struct unit_entry *unit = &conf->units[conf->n_units++];
        unit->name = xstrdup(cfg_title(sec));
        unit->where = parse_where_section(sec);
        unit->optional = cfg_getbool(sec, "optional") == cfg_true;
        size_t s = 0;
        while (s < ELEMENTS(states) && (state == NULL || strcmp(state, states[s]) != 0)) {
            s++;
        }
        if (s == ELEMENTS(states) || strchr(unit->name, '.') == NULL || strchr(unit->name, '/') != NULL) {
            return error_new(err, STATUS_CONFIG,
                             "%s: unit \"%s\": a full unit name with state enabled, disabled or masked is needed",
                             unit->where, unit->name);
        }
        unit->wish = (enum unit_wish)s;
    }
    return 0;
}

static void load_users(struct bake_conf *conf, cfg_t *cfg)
{
    unsigned n = cfg_size(cfg, "user");
    conf->users = xcalloc(n + 1, sizeof *conf->users);
    for (; conf->n_users < n; conf->n_users++) {
        cfg_t *sec = cfg_getnsec(cfg, "user", (unsigned)conf->n_users);
        conf->users[conf->n_users] = (struct user_entry){
            .name = xstrdup(cfg_title(sec)),
            .where = parse_where_section(sec),
            .uid = cfg_getint(sec, "uid"),
            .home = conf_file_string(sec, "home"),
            .shell = conf_file_string(sec, "shell"),
            .groups = conf_file_list(sec, "groups"),
        };
    }
}

static int check_settings(const struct bake_conf *conf, struct error **err)
{
    if (conf->kubernetes == NULL) {
        return error_new(err, STATUS_CONFIG, "%s: no kubernetes = \"v1.x.y\"", conf->path);
    }
    for (char **s = conf->sysctl.values; *s != NULL; s++) {
        if (strchr(*s, '=') == NULL || strchr(*s, '\n') != NULL) {
            return error_new(err, STATUS_CONFIG, "%s: sysctl \"%s\": \"key = value\" is expected", conf->sysctl.where,
                             *s);
        }
    }
    return 0;
}

/* Debian has no cri-dockerd, so it is none of the packages. */
static int check_runtime(const struct bake_conf *conf, struct error **err)
{
    const char *runtime = container_runtime(conf->kubernetes);
    bool there = strcmp(runtime, "dockershim") == 0;
    for (size_t i = 0; i < conf->n_artifacts && !there; i++) {
        there = strcmp(conf->artifacts[i].name, runtime) == 0;
    }
    return there ? 0
                 : error_new(err, STATUS_CONFIG,
                             "%s: Kubernetes %s reaches Docker through %s, and there is no artifact of that name; see "
                             "image/cri-dockerd.conf",
                             conf->path, conf->kubernetes, runtime);
}

/* Those of this machine. */
static char *default_sources(void)
{
    const char *deb822 = "/etc/apt/sources.list.d/debian.sources";
    return xstrdup(access(deb822, R_OK) == 0 ? deb822 : "/etc/apt/sources.list");
}

static int load(struct bake_conf *conf, cfg_t *cfg, struct error **err)
{
    cfg_t *disk = cfg_getsec(cfg, "disk");
    conf->kubernetes = conf_file_string(cfg, "kubernetes");
    conf->suite = conf_file_string(cfg, "suite");
    conf->apt_sources = conf_file_string(cfg, "apt-sources");
    if (conf->apt_sources == NULL) {
        conf->apt_sources = default_sources();
    }
    conf->mirror = conf_file_string(cfg, "mirror");
    conf->registry_mirror = conf_file_string(cfg, "registry-mirror");
    conf->epoch = cfg_getint(cfg, "epoch");
    conf->packages = get_settings(cfg, "packages");
    conf->overlay = get_settings(cfg, "overlay");
    conf->sysctl = get_settings(cfg, "sysctl");
    conf->modules = get_settings(cfg, "modules");
    conf->limits = get_settings(cfg, "limits");
    conf->clean = get_settings(cfg, "clean");
    conf->leave_out = get_settings(cfg, "leave-out");
    conf->disk_packages = get_settings(disk, "packages");
    conf->disk_size = conf_file_string(disk, "size");
    conf->disk_cmdline = conf_file_string(disk, "cmdline");
    load_users(conf, cfg);
    if (check_settings(conf, err) < 0 || load_artifacts(conf, cfg, "artifact", err) < 0 ||
        load_artifacts(conf, cfg, "manifest", err) < 0 || load_images(conf, cfg, err) < 0 ||
        load_units(conf, cfg, err) < 0) {
        return -1;
    }
    return check_runtime(conf, err);
}

/* What decides how a bake reaches the network, not what it makes. */
static char **keep_environment(void)
{
    static const char *const names[] = {"PATH", "http_proxy", "https_proxy", "no_proxy"};
    char **kept = xcalloc(1, sizeof *kept);
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        const char *value = getenv(names[i]);
        if (value != NULL) {
            _cleanup_free_ char *pair = xasprintf("%s=%s", names[i], value);
            strv_push(&kept, pair);
        }
    }
    return kept;
}

static int set_variables(char *const *variables, struct error **err)
{
    for (char *const *v = variables; v != NULL && *v != NULL; v++) {
        const char *equals = strchr(*v, '=');
        if (equals == NULL || equals == *v) {
            return error_new(err, STATUS_USAGE, "--set %s: NAME=VALUE is expected", *v);
        }
        _cleanup_free_ char *name = xstrndup(*v, (size_t)(equals - *v));
        (void)setenv(name, equals + 1, 1);
    }
    return 0;
}

static int set_environment(char *const *variables, struct error **err)
{
    _cleanup_strv_ char **kept = keep_environment();
    (void)clearenv();
    return set_variables(kept, err) < 0 ? -1 : set_variables(variables, err);
}

static void free_cfg(cfg_t **cfg)
{
    cfg_free(*cfg);
}

int bake_conf_load(struct bake_conf **conf, const char *path, char *const *variables, struct error **err)
{
    _cleanup_(bake_conf_freep) struct bake_conf *c = xcalloc(1, sizeof *c);
    c->path = xstrdup(path);
    if (set_environment(variables, err) < 0) {
        return -1;
    }
    _cleanup_(free_cfg) cfg_t *cfg = cfg_init(top_opts, CFGF_NONE);
    if (parse_file(cfg, path, err) < 0 || load(c, cfg, err) < 0) {
        return -1;
    }
    *conf = STEAL(c);
    return 0;
}

static void settings_free(struct settings *s)
{
    strv_free(s->values);
    free(s->where);
}

static void free_lists(struct bake_conf *conf)
{
    struct settings *all[] = {&conf->packages, &conf->overlay, &conf->sysctl,    &conf->modules,
                              &conf->limits,   &conf->clean,   &conf->leave_out, &conf->disk_packages};
    for (size_t i = 0; i < ELEMENTS(all); i++) {
        settings_free(all[i]);
    }
}

static void artifact_free(struct artifact *a)
{
    char *strings[] = {a->name, a->where, a->url, a->file, a->sha256, a->to, a->version, a->license};
    for (size_t i = 0; i < ELEMENTS(strings); i++) {
        free(strings[i]);
    }
    strv_free(a->command);
    strv_free(a->members);
    strv_free(a->run);
}

static void free_entries(struct bake_conf *conf)
{
    for (size_t i = 0; i < conf->n_images; i++) {
        const struct container_image *image = &conf->images[i];
        char *strings[] = {image->name, image->where, image->reference, image->source, image->archive};
        for (size_t s = 0; s < ELEMENTS(strings); s++) {
            free(strings[s]);
        }
    }
    for (size_t i = 0; i < conf->n_units; i++) {
        free(conf->units[i].name);
        free(conf->units[i].where);
    }
    for (size_t i = 0; i < conf->n_users; i++) {
        const struct user_entry *user = &conf->users[i];
        char *strings[] = {user->name, user->where, user->home, user->shell};
        for (size_t s = 0; s < ELEMENTS(strings); s++) {
            free(strings[s]);
        }
        strv_free(user->groups);
    }
}

void bake_conf_free(struct bake_conf *conf)
{
    if (conf == NULL) {
        return;
    }
    char *strings[] = {conf->path,   conf->kubernetes,      conf->suite,     conf->apt_sources,
                       conf->mirror, conf->registry_mirror, conf->disk_size, conf->disk_cmdline};
    for (size_t i = 0; i < ELEMENTS(strings); i++) {
        free(strings[i]);
    }
    for (size_t i = 0; i < conf->n_artifacts; i++) {
        artifact_free(&conf->artifacts[i]);
    }
    free_entries(conf);
    free_lists(conf);
    free(conf->artifacts);
    free(conf->images);
    free(conf->units);
    free(conf->users);
    free(conf);
}

void bake_conf_freep(struct bake_conf **conf)
{
    bake_conf_free(*conf);
}

bool bake_conf_left_out(const struct bake_conf *conf, const char *kind, const char *name)
{
    _cleanup_free_ char *text = xasprintf("%s %s", kind, name);
    for (char **pattern = conf->leave_out.values; *pattern != NULL; pattern++) {
        if (fnmatch(*pattern, text, 0) == 0) {
            return true;
        }
    }
    return false;
}
