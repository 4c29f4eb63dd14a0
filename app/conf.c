#include "app/conf.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "app/paths.h"
#include "lib/core/util.h"
#include "lib/system/file.h"
#include "lib/text/conf_file.h"

static int check_number(cfg_t *cfg, cfg_opt_t *opt)
{
    long value = cfg_opt_getnint(opt, 0);
    long low = strcmp(opt->name, "event-s") == 0 ? 0 : 1;
    long high = strcmp(opt->name, "port") == 0 ? 65535 : INT_MAX;
    if (value < low || value > high) {
        cfg_error(cfg, "%s is %ld; accepted: %ld to %ld", opt->name, value, low, high);
        return -1;
    }
    return 0;
}

static int check_path(cfg_t *cfg, cfg_opt_t *opt)
{
    const char *value = cfg_opt_getnstr(opt, 0);
    if (str_empty(value) || value[0] != '/') {
        cfg_error(cfg, "%s is \"%s\"; accepted: an absolute path", opt->name, value != NULL ? value : "");
        return -1;
    }
    return 0;
}

static bool is_url(const char *value)
{
    return (str_starts(value, "http://") && value[7] != '\0') || (str_starts(value, "https://") && value[8] != '\0');
}

static int check_url(cfg_t *cfg, cfg_opt_t *opt)
{
    for (unsigned i = 0; i < cfg_opt_size(opt); i++) {
        const char *value = cfg_opt_getnstr(opt, i);
        if (!str_empty(value) && !is_url(value)) {
            cfg_error(cfg, "%s has \"%s\"; accepted: http://HOST[:PORT] or https://HOST[:PORT]", opt->name, value);
            return -1;
        }
    }
    return 0;
}

static int check_choice(cfg_t *cfg, cfg_opt_t *opt, const char *a, const char *b)
{
    const char *value = cfg_opt_getnstr(opt, 0);
    if (value == NULL || (strcmp(value, a) != 0 && strcmp(value, b) != 0)) {
        cfg_error(cfg, "%s is \"%s\"; accepted: %s, %s", opt->name, value != NULL ? value : "", a, b);
        return -1;
    }
    return 0;
}

static int check_mode(cfg_t *cfg, cfg_opt_t *opt)
{
    return check_choice(cfg, opt, "auto", "bridge");
}

static int check_protocol(cfg_t *cfg, cfg_opt_t *opt)
{
    return check_choice(cfg, opt, "https", "http");
}

static const struct {
    const char *name;
    cfg_validate_callback_t check;
} checks[] = {
    {"metadata|servers", check_url},
    {"metadata|confd-toml", check_path},
    {"metadata|timeout-ms", check_number},
    {"metadata|cache", check_path},
    {"metadata|deadline-ms", check_number},
    {"paths|data", check_path},
    {"paths|state", check_path},
    {"paths|roles", check_path},
    {"paths|templates", check_path},
    {"paths|opt", check_path},
    {"timeouts|event-s", check_number},
    {"timeouts|unit-s", check_number},
    {"timeouts|api-s", check_number},
    {"timeouts|token-s", check_number},
    {"timeouts|drain-s", check_number},
    {"network|mode", check_mode},
    {"report|url", check_url},
    {"cloud|protocol", check_protocol},
    {"cloud|port", check_number},
};

/* The directory NAME of the source tree in whose build directory the running program lies; NULL when installed. */
static char *tree_directory(const char *name)
{
    _cleanup_free_ char *self = link_read("/proc/self/exe");
    if (self == NULL) {
        return NULL;
    }
    for (char *slash = strrchr(self, '/'); slash != NULL; slash = strrchr(self, '/')) {
        *slash = '\0';
        if (!str_starts(slash + 1, "build")) {
            continue;
        }
        _cleanup_free_ char *path = xasprintf("%s/%s", self, name);
        if (access(path, F_OK) == 0) {
            return STEAL(path);
        }
    }
    return NULL;
}

static char *shipped_directory(const char *name)
{
    char *path = tree_directory(name);
    return path != NULL ? path : xasprintf(INSTALLED "/%s", name);
}

static cfg_t *schema(const char *roles, const char *templates)
{
    cfg_opt_t metadata[] = {
        CFG_STR_LIST("servers", NULL, CFGF_NONE), CFG_STR("confd-toml", "/etc/confd/confd.toml", CFGF_NONE),
        CFG_INT("timeout-ms", 5000, CFGF_NONE),   CFG_INT("deadline-ms", 30000, CFGF_NONE),
        CFG_STR("cache", NULL, CFGF_NONE),        CFG_END(),
    };
    cfg_opt_t paths[] = {
        CFG_STR("data", "/data", CFGF_NONE),  CFG_STR("state", NULL, CFGF_NONE),
        CFG_STR("roles", roles, CFGF_NONE),   CFG_STR("templates", templates, CFGF_NONE),
        CFG_STR("opt", INSTALLED, CFGF_NONE), CFG_END(),
    };
    cfg_opt_t timeouts[] = {
        CFG_INT("event-s", 0, CFGF_NONE),   CFG_INT("unit-s", 120, CFGF_NONE),  CFG_INT("api-s", 300, CFGF_NONE),
        CFG_INT("token-s", 600, CFGF_NONE), CFG_INT("drain-s", 300, CFGF_NONE), CFG_END(),
    };
    cfg_opt_t network[] = {CFG_STR("mode", "auto", CFGF_NONE), CFG_END()};
    cfg_opt_t report[] = {CFG_STR("url", NULL, CFGF_NONE), CFG_END()};
    cfg_opt_t addons[] = {CFG_BOOL("enabled", cfg_true, CFGF_NONE), CFG_STR_LIST("skip", NULL, CFGF_NONE), CFG_END()};
    cfg_opt_t cloud[] = {
        CFG_STR("protocol", "https", CFGF_NONE),
        CFG_STR("host", "api.qingcloud.com", CFGF_NONE),
        CFG_INT("port", 443, CFGF_NONE),
        CFG_END(),
    };
    cfg_opt_t file[] = {
        CFG_SEC("metadata", metadata, CFGF_NONE), CFG_SEC("paths", paths, CFGF_NONE),
        CFG_SEC("timeouts", timeouts, CFGF_NONE), CFG_SEC("network", network, CFGF_NONE),
        CFG_SEC("report", report, CFGF_NONE),     CFG_SEC("addons", addons, CFGF_NONE),
        CFG_SEC("cloud", cloud, CFGF_NONE),       CFG_END(),
    };
    cfg_t *cfg = cfg_init(file, CFGF_NONE);
    if (cfg == NULL) {
        abort();
    }
    for (size_t i = 0; i < ELEMENTS(checks); i++) {
        cfg_set_validate_func(cfg, checks[i].name, checks[i].check);
    }
    return cfg;
}

static void free_schema(cfg_t **cfg)
{
    if (*cfg != NULL) {
        cfg_free(*cfg);
    }
}

static int parse_file(cfg_t *cfg, const char *path, bool required, struct error **err)
{
    if (!required && access(path, F_OK) < 0 && errno == ENOENT) {
        return 0;
    }
    return conf_file_parse(cfg, path, err);
}

static int parse_directory(cfg_t *cfg, const char *path, struct error **err)
{
    _cleanup_free_ char *pattern = xasprintf("%s.d/*.conf", path);
    glob_t found = {0};
    int r = glob(pattern, 0, NULL, &found);
    if (r != 0 && r != GLOB_NOMATCH) {
        return error_new(err, STATUS_CONFIG, "listing %s failed", pattern);
    }
    int result = 0;
    for (size_t i = 0; i < found.gl_pathc && result == 0; i++) {
        result = parse_file(cfg, found.gl_pathv[i], true, err);
    }
    globfree(&found);
    return result;
}

static int take_number(cfg_t *cfg, const char *name)
{
    return (int)cfg_getint(cfg, name);
}

static struct conf *take(cfg_t *cfg)
{
    struct conf *conf = xcalloc(1, sizeof *conf);
    conf->metadata.servers = conf_file_list(cfg, "metadata|servers");
    conf->metadata.confd_toml = conf_file_string(cfg, "metadata|confd-toml");
    conf->metadata.timeout_ms = take_number(cfg, "metadata|timeout-ms");
    conf->metadata.deadline_ms = take_number(cfg, "metadata|deadline-ms");
    conf->metadata.cache = conf_file_string(cfg, "metadata|cache");
    conf->paths.data = conf_file_string(cfg, "paths|data");
    conf->paths.state = conf_file_string(cfg, "paths|state");
    conf->paths.roles = conf_file_string(cfg, "paths|roles");
    conf->paths.templates = conf_file_string(cfg, "paths|templates");
    conf->paths.opt = conf_file_string(cfg, "paths|opt");
    conf->timeouts.event_s = take_number(cfg, "timeouts|event-s");
    conf->timeouts.unit_s = take_number(cfg, "timeouts|unit-s");
    conf->timeouts.api_s = take_number(cfg, "timeouts|api-s");
    conf->timeouts.token_s = take_number(cfg, "timeouts|token-s");
    conf->timeouts.drain_s = take_number(cfg, "timeouts|drain-s");
    conf->network.mode = conf_file_string(cfg, "network|mode");
    conf->report.url = conf_file_string(cfg, "report|url");
    conf->addons.enabled = cfg_getbool(cfg, "addons|enabled") == cfg_true;
    conf->addons.skip = conf_file_list(cfg, "addons|skip");
    conf->cloud.protocol = conf_file_string(cfg, "cloud|protocol");
    conf->cloud.host = conf_file_string(cfg, "cloud|host");
    conf->cloud.port = take_number(cfg, "cloud|port");
    return conf;
}

int conf_load(struct conf **conf, const char *path, bool required, struct error **err)
{
    _cleanup_free_ char *roles = shipped_directory("roles");
    _cleanup_free_ char *templates = shipped_directory("templates");
    _cleanup_(free_schema) cfg_t *cfg = schema(roles, templates);
    if (parse_file(cfg, path, required, err) < 0 || parse_directory(cfg, path, err) < 0) {
        return -1;
    }
    *conf = take(cfg);
    return 0;
}

void conf_free(struct conf *conf)
{
    if (conf == NULL) {
        return;
    }
    strv_free(conf->metadata.servers);
    free(conf->metadata.confd_toml);
    free(conf->metadata.cache);
    free(conf->paths.data);
    free(conf->paths.state);
    free(conf->paths.roles);
    free(conf->paths.templates);
    free(conf->paths.opt);
    free(conf->network.mode);
    free(conf->report.url);
    strv_free(conf->addons.skip);
    free(conf->cloud.protocol);
    free(conf->cloud.host);
    free(conf);
}

void conf_freep(struct conf **conf)
{
    conf_free(*conf);
    *conf = NULL;
}
