#include "hooks/files/files.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hooks/engine/run.h"
#include "hooks/files/stale_files.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"

/* On the system disk, which is new on a replaced VM, and not on /data. */
#define MARKER "/var/lib/k8s-hooks/files-written"

static int render_file(const struct run *run, const json_t *context, struct rendered_file *file, struct error **err)
{
    const struct mustache_options options = {
        .format = file->conf->format, .strict = true, .partials = run->conf->paths.templates};
    _cleanup_free_ char *path = path_join(run->conf->paths.templates, file->conf->template);
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    if (file_read(path, 0, &text, &len, err) < 0) {
        return error_wrap(err, "template of %s", file->conf->path);
    }
    return mustache_render(path, text, len, context, &options, &file->content, err);
}

/* The management listener of metad; where another is configured for reports, that one too. */
enum { MANAGEMENT_PORT = 9611, HTTP_PORT = 80 };

/* Takes "http://ADDRESS[:PORT]..." apart. False when it names a host instead of an address. */
static bool parse_server(const char *url, char **ip, int *port)
{
    const char *host = strstr(url, "://");
    struct in_addr address;
    if (host == NULL) {
        return false;
    }
    host += strlen("://");
    _cleanup_free_ char *text = xstrndup(host, strcspn(host, ":/"));
    const char *colon = host + strlen(text);
    long number = HTTP_PORT;
    if (inet_pton(AF_INET, text, &address) != 1) {
        return false;
    }
    if (*colon == ':') {
        _cleanup_free_ char *digits = xstrndup(colon + 1, strcspn(colon + 1, "/"));
        if (!str_number(digits, 1, 65535, &number)) {
            return false;
        }
    }
    *ip = STEAL(text);
    *port = (int)number;
    return true;
}

static void add_server(json_t *servers, const char *url, bool management)
{
    _cleanup_free_ char *ip = NULL;
    int port = 0;
    if (!parse_server(url, &ip, &port)) {
        return;
    }
    _cleanup_free_ char *ports =
        management || port == MANAGEMENT_PORT ? xasprintf("%d", port) : xasprintf("%d,%d", port, MANAGEMENT_PORT);
    size_t i = 0;
    json_t *server = NULL;
    json_array_foreach (servers, i, server) {
        if (strcmp(json_text(server, "ip"), ip) == 0 &&
            (port == MANAGEMENT_PORT || strcmp(json_text(server, "ports"), ports) == 0)) {
            return;
        }
    }
    json_array_append_new(servers, json_pack("{s:s, s:s, s:b, s:b}", "ip", ip, "ports", ports, "first",
                                             json_array_size(servers) == 0, "last", 0));
}

/* Where a metadata server is known by its address, its name need not be resolved, and pods can be kept from it. */
static void put_metadata_servers(json_t *context, const struct conf *conf)
{
    _cleanup_strv_ char **urls = meta_servers(conf);
    _cleanup_json_ json_t *servers = json_array();
    for (char **url = urls; *url != NULL; url++) {
        add_server(servers, *url, false);
    }
    size_t known = json_array_size(servers);
    if (!str_empty(conf->report.url)) {
        add_server(servers, conf->report.url, true);
    }
    size_t count = json_array_size(servers);
    if (count == 0) {
        return;
    }
    json_object_set_new(json_array_get(servers, count - 1), "last", json_true());
    json_object_set_new(context, "metadata", json_pack("{s:O}", "servers", servers));
    if (known > 0) {
        json_object_set(json_object_get(context, "metadata"), "ip", json_object_get(json_array_get(servers, 0), "ip"));
    }
}

json_t *files_context(const struct run *run)
{
    json_t *context = facts_context(run->facts);
    put_metadata_servers(context, run->conf);
    return context;
}

/* file->path and ->wanted. */
static int place_file(const struct run *run, const json_t *context, struct rendered_file *file, struct error **err)
{
    const struct mustache_options options = {.format = FORMAT_PLAIN, .strict = true};
    const char *path = file->conf->path;
    _cleanup_buffer_ struct buffer name = {0};
    if (mustache_render(file->conf->name, path, strlen(path), context, &options, &name, err) < 0) {
        return -1;
    }
    file->path = run_path(run, name.data);
    file->wanted = when_holds(file->conf->when, context);
    return 0;
}

/* Whether FILE stays in the list. One that is not wanted is removed, unless another section writes it; or its path
 * depends on the context: then whose it is decides (stale_files.h). */
static bool is_kept(const struct rendered_file *file, const json_t *wanted)
{
    return file->wanted || (json_object_get(wanted, file->path) == NULL && strstr(file->conf->path, "{{") == NULL);
}

static int render_all(const struct run *run, struct rendered *rendered, struct error **err)
{
    _cleanup_json_ json_t *context = files_context(run);
    _cleanup_json_ json_t *wanted = json_object(); /* paths: two sections may share one, with opposite conditions */
    rendered->files = xcalloc(rendered->conf->n_files + 1, sizeof *rendered->files);
    rendered->n_files = rendered->conf->n_files;
    for (size_t i = 0; i < rendered->n_files; i++) {
        struct rendered_file *file = &rendered->files[i];
        file->conf = &rendered->conf->files[i];
        if (place_file(run, context, file, err) < 0) {
            return -1;
        }
        if (!file->wanted) {
            continue;
        }
        if (json_object_get(wanted, file->path) != NULL) {
            return error_new(err, STATUS_CONFIG,
                             "roles/%s.conf: file \"%s\" writes %s, which another section writes too", run->role->name,
                             file->conf->name, file->conf->path);
        }
        json_object_set_new(wanted, file->path, json_true());
        if (render_file(run, context, file, err) < 0) {
            return -1;
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < rendered->n_files; i++) {
        struct rendered_file *file = &rendered->files[i];
        if (is_kept(file, wanted)) {
            rendered->files[kept++] = *file;
        } else {
            free(file->path);
        }
    }
    rendered->n_files = kept;
    stale_files_add(run, rendered, wanted);
    return 0;
}

int files_render(struct run *run, struct error **err)
{
    if (run->rendered != NULL) {
        return 0;
    }
    _cleanup_(rendered_freep) struct rendered *rendered = xcalloc(1, sizeof *rendered);
    if (role_conf_load(&rendered->conf, run->conf->paths.roles, run->role->name, err) < 0 ||
        render_all(run, rendered, err) < 0) {
        return -1;
    }
    run->rendered = STEAL(rendered);
    return 0;
}

/* Whoever is not root can give files to nobody, and under --root need not. */
static struct file_spec spec_of(const struct rendered_file *file)
{
    bool root = geteuid() == 0;
    return (struct file_spec){
        .path = file->path,
        .data = file->content.data,
        .len = file->content.len,
        .mode = file->conf->mode,
        .uid = root ? file->conf->uid : (uid_t)-1,
        .gid = root ? file->conf->gid : (gid_t)-1,
    };
}

int files_compare(struct run *run, size_t *changed, struct error **err)
{
    size_t n = 0;
    if (files_render(run, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < run->rendered->n_files; i++) {
        struct rendered_file *file = &run->rendered->files[i];
        const struct file_spec spec = spec_of(file);
        struct stat st;
        int same = file->wanted ? file_same(&spec, err) : lstat(file->path, &st) < 0;
        if (same < 0) {
            return -1;
        }
        file->differs = same == 0;
        n += file->differs;
    }
    if (changed != NULL) {
        *changed = n;
    }
    return 0;
}

static bool marked(const struct run *run)
{
    _cleanup_free_ char *marker = run_path(run, MARKER);
    return access(marker, F_OK) == 0;
}

/* Where the marker is lost, the file that is written last (roles/machine.conf) shows the same: without it, `reload`
 * would leave every change to the next `start`. */
bool files_there(const struct run *run)
{
    _cleanup_free_ char *last = run_path(run, "/etc/systemd/system/k8s-reconcile.timer");
    return marked(run) || access(last, F_OK) == 0;
}

int files_done(struct run *run, struct error **err)
{
    size_t changed = 0;
    return files_compare(run, &changed, err) < 0 ? -1 : changed == 0 && marked(run);
}

static int put_file(const struct rendered_file *file, struct error **err)
{
    const struct file_spec spec = spec_of(file);
    bool changed = false;
    if ((file->wanted ? file_put(&spec, &changed, err) : file_remove(file->path, &changed, err)) < 0) {
        return -1;
    }
    if (changed) {
        log_info("%s %s", file->wanted ? "wrote" : "removed", file->path);
    }
    return 0;
}

static int mark(const struct run *run, struct error **err)
{
    _cleanup_free_ char *marker = run_path(run, MARKER);
    const struct file_spec spec = {.path = marker, .data = "", .mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};
    return file_put(&spec, NULL, err);
}

int files_write(struct run *run, struct error **err)
{
    if (files_render(run, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < run->rendered->n_files; i++) {
        if (put_file(&run->rendered->files[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}

int files_apply(struct run *run, struct error **err)
{
    return files_write(run, err) < 0 ? -1 : mark(run, err);
}

static void count_lines(const char *diff, size_t *added, size_t *removed)
{
    *added = *removed = 0;
    for (const char *line = strstr(diff, "@@"); line != NULL && *line != '\0'; line++) {
        *added += *line == '+';
        *removed += *line == '-';
        line = strchrnul(line, '\n');
        if (*line == '\0') {
            return;
        }
    }
}

void print_difference(const char *name, const char *before, const char *after, bool secret)
{
    _cleanup_secret_ char *diff = text_diff(name, before, after);
    if (diff == NULL) {
        return;
    }
    if (!secret) {
        (void)fputs(diff, stdout);
        return;
    }
    size_t added = 0;
    size_t removed = 0;
    count_lines(diff, &added, &removed);
    printf("%s: changed, not shown because it is secret (%zu lines added, %zu removed)\n", name, added, removed);
}

static int preview_file(const struct rendered_file *file, struct error **err)
{
    _cleanup_secret_ char *before = NULL;
    size_t len = 0;
    struct stat st;
    bool there = lstat(file->path, &st) == 0;
    if (there && S_ISREG(st.st_mode) && file_read(file->path, 0, &before, &len, err) < 0) {
        return -1;
    }
    if (there && !S_ISREG(st.st_mode)) {
        printf("%s: a link or directory is replaced by the file\n", file->path);
    }
    print_difference(file->path, before, file->wanted ? file->content.data : NULL, file->conf->secret);
    const struct file_spec spec = spec_of(file);
    if (before != NULL && file->wanted && (st.st_mode & 07777) != spec.mode) {
        printf("%s: mode %04o becomes %04o\n", file->path, st.st_mode & 07777, spec.mode);
    }
    if (before != NULL && file->wanted && spec.uid != (uid_t)-1 && (st.st_uid != spec.uid || st.st_gid != spec.gid)) {
        printf("%s: owner %u:%u becomes %u:%u\n", file->path, st.st_uid, st.st_gid, spec.uid, spec.gid);
    }
    return 0;
}

int files_preview(struct run *run, struct error **err)
{
    if (files_compare(run, NULL, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < run->rendered->n_files; i++) {
        const struct rendered_file *file = &run->rendered->files[i];
        if (file->differs && preview_file(file, err) < 0) {
            return -1;
        }
    }
    return 0;
}
