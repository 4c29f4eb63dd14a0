#include "hooks/engine/role_conf.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

#include "lib/system/file.h"
#include "lib/text/conf_file.h"

static int check_format(cfg_t *cfg, cfg_opt_t *opt)
{
    enum format format;
    const char *name = cfg_opt_getnstr(opt, 0);
    if (format_by_name(name, &format)) {
        return 0;
    }
    cfg_error(cfg, "format is \"%s\"; accepted: plain, html, json, yaml, env, ini", name);
    return -1;
}

static int check_mode(cfg_t *cfg, cfg_opt_t *opt)
{
    const char *mode = cfg_opt_getnstr(opt, 0);
    if (strlen(mode) >= 3 && strlen(mode) <= 4 && strspn(mode, "01234567") == strlen(mode)) {
        return 0;
    }
    cfg_error(cfg, "mode is \"%s\"; accepted: an octal number such as \"0644\"", mode);
    return -1;
}

static int check_path(cfg_t *cfg, cfg_opt_t *opt)
{
    const char *path = cfg_opt_getnstr(opt, 0);
    if (path[0] == '/' && !str_ends(path, "/") && strstr(path, "/../") == NULL) {
        return 0;
    }
    cfg_error(cfg, "path is \"%s\"; accepted: the absolute path of a file", path);
    return -1;
}

char *const change_actions[] = {"daemon-reload",  "sysctl",
                                "routes-restart", "metadata-guard-restart",
                                "docker-restart", "kubelet-restart",
                                "certificate",    "control-plane",
                                "kube-proxy",     "addons",
                                "client-access",  "provider-ids",
                                "prune-logs",     NULL};

static int check_action(cfg_t *cfg, cfg_opt_t *opt)
{
    for (unsigned i = 0; i < cfg_opt_size(opt); i++) {
        const char *action = cfg_opt_getnstr(opt, i);
        if (!strv_contains(change_actions, action)) {
            cfg_error(cfg, "on-change has \"%s\", which reload does not know; see templates/README.md", action);
            return -1;
        }
    }
    return 0;
}

/* False where the system has no such name; numbers stand for themselves. */
static bool owner_id(const char *name, uid_t *uid)
{
    long number = 0;
    bool plain = strcmp(name, "root") == 0 || str_number(name, 0, INT32_MAX, &number);
    /* cppcheck-suppress getpwnamCalled */
    const struct passwd *entry = plain ? NULL : getpwnam(name);
    *uid = entry != NULL ? entry->pw_uid : (uid_t)number;
    return plain || entry != NULL;
}

static bool group_id(const char *name, gid_t *gid)
{
    long number = 0;
    bool plain = strcmp(name, "root") == 0 || str_number(name, 0, INT32_MAX, &number);
    /* cppcheck-suppress getgrnamCalled */
    const struct group *entry = plain ? NULL : getgrnam(name);
    *gid = entry != NULL ? entry->gr_gid : (gid_t)number;
    return plain || entry != NULL;
}

static mode_t file_mode(cfg_t *section)
{
    const char *mode = cfg_getstr(section, "mode");
    bool secret = cfg_getbool(section, "secret") == cfg_true;
    return mode == NULL ? (secret ? 0600 : 0644) : (mode_t)strtol(mode, NULL, 8);
}

/* What one key alone cannot show; called at the end of a section. */
static int check_file(cfg_t *cfg, cfg_opt_t *opt)
{
    cfg_t *section = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
    const char *name = cfg_title(section);
    uid_t uid;
    gid_t gid;
    if (cfg_getstr(section, "template") == NULL || cfg_getstr(section, "path") == NULL) {
        cfg_error(cfg, "file \"%s\" needs both template and path", name);
    } else if (cfg_getbool(section, "secret") == cfg_true && (file_mode(section) & 077) != 0) {
        cfg_error(cfg, "file \"%s\" is secret, so its mode must be \"0600\" or less", name);
    } else if (!owner_id(cfg_getstr(section, "owner"), &uid)) {
        cfg_error(cfg, "file \"%s\": this system has no user %s", name, cfg_getstr(section, "owner"));
    } else if (!group_id(cfg_getstr(section, "group"), &gid)) {
        cfg_error(cfg, "file \"%s\": this system has no group %s", name, cfg_getstr(section, "group"));
    } else {
        return 0;
    }
    return -1;
}

static cfg_t *schema(void)
{
    cfg_opt_t file[] = {
        CFG_STR("template", NULL, CFGF_NONE),       CFG_STR("path", NULL, CFGF_NONE),
        CFG_STR("format", "plain", CFGF_NONE),      CFG_STR("mode", NULL, CFGF_NONE),
        CFG_STR("owner", "root", CFGF_NONE),        CFG_STR("group", "root", CFGF_NONE),
        CFG_BOOL("secret", cfg_false, CFGF_NONE),   CFG_STR("when", NULL, CFGF_NONE),
        CFG_STR_LIST("on-change", NULL, CFGF_NONE), CFG_END(),
    };
    cfg_opt_t unit[] = {CFG_STR("when", NULL, CFGF_NONE), CFG_END()};
    cfg_opt_t check[] = {
        CFG_BOOL("enabled", cfg_true, CFGF_NONE),
        CFG_INT("warn", -1, CFGF_NONE),
        CFG_INT("fail", -1, CFGF_NONE),
        CFG_END(),
    };
    const cfg_flag_t named = CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES;
    cfg_opt_t role[] = {
        CFG_STR_LIST("include", NULL, CFGF_NONE),
        CFG_SEC("file", file, named),
        CFG_SEC("unit", unit, named),
        CFG_SEC("check", check, named),
        CFG_END(),
    };
    cfg_t *cfg = cfg_init(role, CFGF_NONE);
    if (cfg == NULL) {
        abort();
    }
    cfg_set_validate_func(cfg, "file", check_file);
    cfg_set_validate_func(cfg, "file|format", check_format);
    cfg_set_validate_func(cfg, "file|mode", check_mode);
    cfg_set_validate_func(cfg, "file|path", check_path);
    cfg_set_validate_func(cfg, "file|on-change", check_action);
    return cfg;
}

static void free_schema(cfg_t **cfg)
{
    cfg_free(*cfg);
}

static void take_file(struct file_conf *file, cfg_t *section)
{
    *file = (struct file_conf){
        .name = xstrdup(cfg_title(section)),
        .template = xstrdup(cfg_getstr(section, "template")),
        .path = xstrdup(cfg_getstr(section, "path")),
        .mode = file_mode(section),
        .on_change = xcalloc(1, sizeof *file->on_change),
        .when = xstrdup(cfg_getstr(section, "when")),
        .secret = cfg_getbool(section, "secret") == cfg_true,
    };
    (void)format_by_name(cfg_getstr(section, "format"), &file->format);
    (void)owner_id(cfg_getstr(section, "owner"), &file->uid);
    (void)group_id(cfg_getstr(section, "group"), &file->gid);
    for (unsigned i = 0; i < cfg_size(section, "on-change"); i++) {
        strv_push(&file->on_change, cfg_getnstr(section, "on-change", i));
    }
}

static struct role_conf *take(cfg_t *cfg)
{
    struct role_conf *conf = xcalloc(1, sizeof *conf);
    conf->files = xcalloc(cfg_size(cfg, "file") + 1, sizeof *conf->files);
    conf->units = xcalloc(cfg_size(cfg, "unit") + 1, sizeof *conf->units);
    conf->checks = xcalloc(cfg_size(cfg, "check") + 1, sizeof *conf->checks);
    for (; conf->n_files < cfg_size(cfg, "file"); conf->n_files++) {
        take_file(&conf->files[conf->n_files], cfg_getnsec(cfg, "file", (unsigned)conf->n_files));
    }
    for (; conf->n_units < cfg_size(cfg, "unit"); conf->n_units++) {
        cfg_t *section = cfg_getnsec(cfg, "unit", (unsigned)conf->n_units);
        conf->units[conf->n_units] =
            (struct unit_conf){xstrdup(cfg_title(section)), xstrdup(cfg_getstr(section, "when"))};
    }
    for (; conf->n_checks < cfg_size(cfg, "check"); conf->n_checks++) {
        cfg_t *section = cfg_getnsec(cfg, "check", (unsigned)conf->n_checks);
        conf->checks[conf->n_checks] =
            (struct check_conf){xstrdup(cfg_title(section)), cfg_getbool(section, "enabled") == cfg_true,
                                cfg_getint(section, "warn"), cfg_getint(section, "fail")};
    }
    return conf;
}

/* Parses DIRECTORY/NAME and what it includes. The list is read before the included file sets its own in the same place.
 */
static int parse_included(cfg_t *cfg, const char *directory, const char *name, int depth, struct error **err)
{
    enum { DEEPEST = 4 };
    _cleanup_free_ char *path = path_join(directory, name);
    if (depth > DEEPEST) {
        return error_new(err, STATUS_CONFIG, "%s: included by what it includes", path);
    }
    cfg_setlist(cfg, "include", 0);
    if (conf_file_parse(cfg, path, err) < 0) {
        return -1;
    }
    _cleanup_strv_ char **included = conf_file_list(cfg, "include");
    for (char **file = included; *file != NULL; file++) {
        if (parse_included(cfg, directory, *file, depth + 1, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int role_conf_load(struct role_conf **conf, const char *directory, const char *role, struct error **err)
{
    _cleanup_free_ char *name = xasprintf("%s.conf", role);
    _cleanup_(free_schema) cfg_t *cfg = schema();
    if (parse_included(cfg, directory, name, 0, err) < 0) {
        return -1;
    }
    *conf = take(cfg);
    return 0;
}

void role_conf_free(struct role_conf *conf)
{
    if (conf == NULL) {
        return;
    }
    for (size_t i = 0; i < conf->n_files; i++) {
        free(conf->files[i].name);
        free(conf->files[i].template);
        free(conf->files[i].path);
        free(conf->files[i].when);
        strv_free(conf->files[i].on_change);
    }
    for (size_t i = 0; i < conf->n_units; i++) {
        free(conf->units[i].name);
        free(conf->units[i].when);
    }
    for (size_t i = 0; i < conf->n_checks; i++) {
        free(conf->checks[i].name);
    }
    free(conf->files);
    free(conf->units);
    free(conf->checks);
    free(conf);
}

void role_conf_freep(struct role_conf **conf)
{
    role_conf_free(*conf);
    *conf = NULL;
}

const struct check_conf *role_conf_check(const struct role_conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->n_checks; i++) {
        if (strcmp(conf->checks[i].name, name) == 0) {
            return &conf->checks[i];
        }
    }
    return NULL;
}

bool when_holds(const char *when, const json_t *context)
{
    return when == NULL || (when[0] == '!' ? !mustache_truthy(context, when + 1) : mustache_truthy(context, when));
}
