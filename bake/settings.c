#include <fcntl.h>
#include <string.h>

#include "bake/bake.h"
#include "bake/conf/versions.h"
#include "lib/system/proc.h"

int settings_apply(struct bake *bake, const struct item *item, struct place *place, struct error **err)
{
    static const char *const paths[][2] = {
        {"sysctl", "/etc/sysctl.d/90-kubernetes.conf"},
        {"modules", "/etc/modules-load.d/kubernetes.conf"},
        {"limits", "/etc/security/limits.d/90-kubernetes.conf"},
    };
    const struct settings *settings = item->data;
    (void)bake;
    for (size_t i = 0; i < ELEMENTS(paths); i++) {
        if (strcmp(paths[i][0], item->title) == 0) {
            _cleanup_buffer_ struct buffer text = {0};
            for (char **value = settings->values; *value != NULL; value++) {
                buffer_printf(&text, "%s\n", *value);
            }
            return place_data(place, paths[i][1], 0644, text.data, text.len, err);
        }
    }
    return error_new(err, STATUS_FAILED, "no place for %s", item->title);
}

int versions_apply(struct bake *bake, const struct item *item, struct place *place, struct error **err)
{
    (void)item;
    _cleanup_json_ json_t *versions = versions_json(bake->conf);
    _cleanup_free_ char *text = json_dumps(versions, JSON_INDENT(2) | JSON_SORT_KEYS);
    _cleanup_free_ char *lines = xasprintf("%s\n", text);
    return place_data(place, VERSIONS_PATH, 0644, lines, strlen(lines), err);
}

static bool has_user(const struct bake *bake, const char *name)
{
    _cleanup_free_ char *passwd = root_read(&bake->root, "/etc/passwd", NULL);
    _cleanup_free_ char *line = xasprintf("\n%s:", name);
    return passwd != NULL && (strstr(passwd, line) != NULL || str_starts(passwd, line + 1));
}

int user_apply(struct bake *bake, const struct item *item, struct place *place, struct error **err)
{
    (void)place;
    const struct user_entry *user = item->data;
    bool there = has_user(bake, user->name);
    struct buffer groups = {0};
    for (char **group = user->groups; *group != NULL; group++) {
        buffer_printf(&groups, "%s%s", groups.len == 0 ? "" : ",", *group);
    }
    _cleanup_free_ char *list = groups.data;
    _cleanup_free_ char *uid = xasprintf("%ld", user->uid);
    const char *argv[16] = {there ? "usermod" : "useradd", "--home-dir", user->home, "--shell", user->shell};
    size_t n = 5;
    if (there) {
        argv[1] = "--home";
    } else if (user->uid < 0) {
        argv[n++] = "--system";
    }
    if (user->uid >= 0) {
        argv[n++] = "--uid";
        argv[n++] = uid;
    }
    if (list != NULL) {
        argv[n++] = "--groups";
        argv[n++] = list;
    }
    argv[n] = user->name;
    return root_run(&bake->root, argv, NULL, err);
}

static bool has_unit(const struct bake *bake, const char *name)
{
    static const char *const dirs[] = {"/etc/systemd/system", "/usr/lib/systemd/system",
                                       "/usr/local/lib/systemd/system", "/etc/init.d"};
    for (size_t i = 0; i < ELEMENTS(dirs); i++) {
        /* an init script stands for NAME.service */
        bool script = strcmp(dirs[i], "/etc/init.d") == 0;
        _cleanup_free_ char *path =
            xasprintf("%s/%.*s", dirs[i], (int)(script ? strcspn(name, ".") : strlen(name)), name);
        _cleanup_close_ int fd = root_openat(&bake->root, path, O_PATH);
        if (fd >= 0) {
            return true;
        }
    }
    return false;
}

int unit_apply(struct bake *bake, const struct item *item, struct place *place, struct error **err)
{
    static const char *const verbs[] = {"enable", "disable", "mask"};
    const struct unit_entry *unit = item->data;
    (void)place;
    if (unit->wish != UNIT_MASKED && !has_unit(bake, unit->name)) {
        return unit->optional ? 0 : error_new(err, STATUS_UNIT, "the image has no such unit");
    }
    _cleanup_free_ char *root = xasprintf("--root=%s", bake->root.path);
    struct deadline deadline = deadline_in(60000);
    if (unit->wish != UNIT_MASKED &&
        proc_exec(deadline, err, "systemctl", root, "--quiet", "unmask", unit->name, NULL) < 0) {
        return -1;
    }
    return proc_exec(deadline, err, "systemctl", root, "--quiet", verbs[unit->wish], unit->name, NULL);
}
