#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "tests/lab/images/fluent-bit/fluent_bit.h"
#include "tests/lab/images/shared/program.h"

struct section *sections;
size_t n_sections;

/* Properties by kind and plugin, with blanks between (fluent-bit v1.8: each plugin's config_map, and what every input,
 * filter and output takes). */
static const struct {
    const char *kind, *plugin, *properties;
} known[] = {
    {"SERVICE", "",
     "flush grace daemon log_level log_file parsers_file plugins_file http_server http_listen http_port "
     "hot_reload health_check hc_errors_count hc_retry_failure_count hc_period scheduler.base scheduler.cap "
     "storage.path storage.sync storage.checksum storage.metrics storage.max_chunks_up storage.backlog.mem_limit"},
    {"PARSER", "",
     "name format time_key time_format time_keep time_offset time_strict regex types decode_field_as "
     "decode_field skip_empty_values"},
    {"INPUT", "", "name tag alias log_level mem_buf_limit storage.type"},
    {"INPUT", "tail",
     "path exclude_path key parser parser_firstline multiline multiline_flush multiline.parser docker_mode "
     "docker_mode_flush docker_mode_parser path_key offset_key read_from_head refresh_interval watcher_interval "
     "rotate_wait skip_long_lines skip_empty_lines inotify_watcher exit_on_eof ignore_older buffer_chunk_size "
     "buffer_max_size static_batch_size db db.sync db.locking db.journal_mode tag_regex"},
    {"INPUT", "systemd",
     "path max_fields max_entries systemd_filter systemd_filter_type read_from_tail strip_underscores db db.sync"},
    {"INPUT", "forward", "listen port unix_path buffer_chunk_size buffer_max_size tag_prefix"},
    {"FILTER", "", "name match match_regex alias log_level"},
    {"FILTER", "kubernetes",
     "buffer_size kube_url kube_meta_preload_cache_dir kube_ca_file kube_ca_path kube_token_file kube_tag_prefix "
     "merge_log merge_log_key merge_log_trim merge_parser keep_log tls.debug tls.verify use_journal "
     "cache_use_docker_id "
     "regex_parser k8s-logging.parser k8s-logging.exclude labels annotations kube_meta_cache_ttl dns_retries "
     "dns_wait_time use_kubelet kubelet_port dummy_meta use_tag_for_meta kube_token_ttl"},
    {"FILTER", "lua", "script call code type_int_key type_array_key protected_mode time_as_table"},
    {"FILTER", "modify", "add set remove remove_wildcard remove_regex rename hard_rename copy hard_copy condition"},
    {"FILTER", "grep", "regex exclude"},
    {"OUTPUT", "",
     "name match match_regex alias log_level retry_limit workers storage.total_limit_size host port tls "
     "tls.verify tls.ca_file net.connect_timeout net.keepalive net.keepalive_idle_timeout"},
    {"OUTPUT", "es",
     "path buffer_size pipeline index type write_operation id_key generate_id logstash_format logstash_prefix "
     "logstash_prefix_key time_key time_key_format time_key_nanos include_tag_key tag_key "
     "replace_dots trace_output trace_error current_time_index suppress_type_name http_user http_passwd"},
    {"OUTPUT", "stdout", "format json_date_key json_date_format"},
    {"OUTPUT", "forward",
     "time_as_integer shared_key self_hostname username password empty_shared_key send_options require_ack_response "
     "compress unix_path upstream tag"},
};

static bool in_words(const char *words, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = strstr(words, word); at != NULL; at = strstr(at + 1, word)) {
        if ((at == words || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0')) {
            return true;
        }
    }
    return false;
}

static void check(const struct section *section)
{
    size_t i;
    json_t *entry;
    bool plugin = section->kind[0] == 'S' || section->kind[0] == 'P';
    for (size_t k = 0; k < ELEMENTS(known); k++) {
        plugin =
            plugin || (strcmp(known[k].kind, section->kind) == 0 && strcasecmp(known[k].plugin, section->name) == 0);
    }
    if (!plugin) {
        fail("[%s] plugin '%s' not found", section->kind, section->name);
    }
    json_array_foreach (section->entries, i, entry) {
        const char *key = json_string_value(json_array_get(entry, 0));
        bool found = false;
        for (size_t k = 0; k < ELEMENTS(known); k++) {
            found = found || (strcmp(known[k].kind, section->kind) == 0 &&
                              (known[k].plugin[0] == '\0' || strcasecmp(known[k].plugin, section->name) == 0) &&
                              in_words(known[k].properties, key));
        }
        if (!found) {
            fail("[config] %s %s: unknown configuration property '%s'", section->kind, section->name, key);
        }
    }
}

/* ${NAME} is the environment's; one that is not set is empty, as there. */
static char *substituted(const char *text)
{
    struct buffer out = {0};
    buffer_puts(&out, "");
    while (*text != '\0') {
        const char *end = strncmp(text, "${", 2) == 0 ? strchr(text, '}') : NULL;
        if (end == NULL) {
            buffer_append(&out, text++, 1);
            continue;
        }
        _cleanup_free_ char *name = xstrndup(text + 2, (size_t)(end - text) - 2);
        buffer_puts(&out, getenv(name) == NULL ? "" : getenv(name));
        text = end + 1;
    }
    return out.data;
}

static void add_section(const char *line, const char *where)
{
    const char *end = strchr(line, ']');
    char kind[16] = "";
    if (end == NULL || sscanf(line, "[%15[A-Za-z]]", kind) != 1) {
        fail("%s: '%s' is no section", where, line);
    }
    for (char *c = kind; *c != '\0'; c++) {
        *c = (char)toupper(*c);
    }
    bool is_known = false;
    for (size_t i = 0; i < ELEMENTS(known); i++) {
        is_known = is_known || strcmp(known[i].kind, kind) == 0;
    }
    if (!is_known) {
        fail("%s: section [%s] is not known here", where, kind);
    }
    sections = xrealloc(sections, (n_sections + 1) * sizeof *sections);
    sections[n_sections++] = (struct section){xstrdup(kind), "", json_array()};
}

static void add_entry(char *line, const char *where)
{
    char *value = line + strcspn(line, " \t");
    if (n_sections == 0) {
        fail("%s: '%s' stands in no section", where, line);
    }
    if (*value != '\0') {
        *value++ = '\0';
    }
    value += strspn(value, " \t");
    for (char *c = line; *c != '\0'; c++) {
        *c = (char)tolower(*c);
    }
    if (*value == '\0') {
        fail("%s: undefined value of '%s'", where, line);
    }
    _cleanup_free_ char *text = substituted(value);
    struct section *section = &sections[n_sections - 1];
    json_array_append_new(section->entries, json_pack("[ss]", line, text));
    if (strcmp(line, "name") == 0) {
        section->name = xstrdup(text);
    }
}

static void read_file(const char *path)
{
    _cleanup_free_ char *text = must_read(path);
    char *rest = NULL;
    int number = 0;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        _cleanup_free_ char *where = xasprintf("%s, entry %d", path, ++number);
        line += strspn(line, " \t");
        for (char *end = line + strlen(line); end > line && isspace((unsigned char)end[-1]);) {
            *--end = '\0';
        }
        if (*line == '\0' || *line == '#') {
            continue;
        }
        if (*line == '[') {
            add_section(line, where);
        } else if (*line == '@') {
            fail("%s: '%s' is not known here", where, line);
        } else {
            add_entry(line, where);
        }
    }
}

void conf_read(const char *path)
{
    read_file(path);
    const char *parsers = conf_text(conf_service(), "parsers_file", NULL);
    if (parsers != NULL) {
        read_file(parsers);
    }
    for (size_t i = 0; i < n_sections; i++) {
        check(&sections[i]);
    }
}

const struct section *conf_service(void)
{
    static const struct section none = {.name = ""};
    for (size_t i = 0; i < n_sections; i++) {
        if (strcmp(sections[i].kind, "SERVICE") == 0) {
            return &sections[i];
        }
    }
    return &none;
}

const struct section *conf_parser(const char *name)
{
    for (size_t i = 0; i < n_sections; i++) {
        if (strcmp(sections[i].kind, "PARSER") == 0 && strcmp(sections[i].name, name) == 0) {
            return &sections[i];
        }
    }
    fail("parser '%s' is not registered", name);
}

const char *conf_next(const struct section *section, const char *key, size_t *at)
{
    for (; *at < json_array_size(section->entries); (*at)++) {
        const json_t *entry = json_array_get(section->entries, *at);
        if (strcmp(json_string_value(json_array_get(entry, 0)), key) == 0) {
            (*at)++;
            return json_string_value(json_array_get(entry, 1));
        }
    }
    return NULL;
}

const char *conf_text(const struct section *section, const char *key, const char *usual)
{
    size_t at = 0;
    const char *value = conf_next(section, key, &at);
    return value == NULL ? usual : value;
}

bool conf_on(const struct section *section, const char *key, bool usual)
{
    const char *value = conf_text(section, key, NULL);
    if (value == NULL) {
        return usual;
    }
    bool on = strcasecmp(value, "on") == 0 || strcasecmp(value, "true") == 0 || strcasecmp(value, "yes") == 0;
    if (!on && strcasecmp(value, "off") != 0 && strcasecmp(value, "false") != 0 && strcasecmp(value, "no") != 0) {
        fail("[config] %s %s: invalid value for boolean property '%s=%s'", section->kind, section->name, key, value);
    }
    return on;
}

size_t conf_size(const struct section *section, const char *key, size_t usual)
{
    const char *value = conf_text(section, key, NULL);
    char *end;
    if (value == NULL) {
        return usual;
    }
    if (strcasecmp(value, "false") == 0 || strcmp(value, "0") == 0) {
        return SIZE_MAX;
    }
    size_t size = strtoul(value, &end, 10);
    size_t unit = *end == '\0' ? 1 : tolower(*end) == 'k' ? 1000 : tolower(*end) == 'm' ? 1000000 : 0;
    if (unit == 0 || size == 0) {
        fail("[config] %s %s: invalid size '%s=%s'", section->kind, section->name, key, value);
    }
    return size * unit;
}
