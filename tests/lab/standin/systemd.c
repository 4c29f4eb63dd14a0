/* org.freedesktop.systemd1(5), as much of it as a client of units calls, and as strict: a unit that no file describes
 * cannot be started, and one runs with the files that were there when systemd read them. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>

#include "lib/core/util.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "tests/lab/standin/standin.h"

#define MANAGER "org.freedesktop.systemd1.Manager"
#define PROPERTIES "org.freedesktop.DBus.Properties"
#define UNITS "/org/freedesktop/systemd1/unit"
#define NO_SUCH_UNIT "org.freedesktop.systemd1.NoSuchUnit"

enum { STARTED_MS = 120000 };

static const struct standin *machine;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int listener = -1;

/* What a unit reads when it is started, beside its own files. */
static const struct reads {
    const char *unit;
    const char *files[4];
} reads[] = {
    {"docker.service", {"/etc/docker/daemon.json"}},
    {"kubelet.service", {"/etc/kubernetes/kubelet.yaml", "/var/lib/kubelet/config.json"}},
    {"systemd-sysctl.service", {"/etc/sysctl.d/90-kubernetes.conf"}},
    {"k8s-routes.service", {"/etc/k8s-routes"}},
    {"k8s-metadata-guard.service", {"/etc/k8s-metadata-guard"}},
};

/* A link in the machine leads to a place in the machine. */
static void add_file(struct buffer *all, const char *path)
{
    _cleanup_free_ char *full = path_join(machine->root, path);
    _cleanup_free_ char *text = NULL;
    if (str_starts(path, "/etc/kubernetes/")) {
        free(full);
        full = xasprintf("%s/data/kubernetes/%s", machine->root, path + strlen("/etc/kubernetes/"));
    } else if (str_starts(path, "/var/lib/kubelet/")) {
        free(full);
        full = xasprintf("%s/data%s", machine->root, path);
    }
    if (file_read(full, 0, &text, NULL, NULL) == 0) {
        buffer_printf(all, "%s:%s\n", path, text);
    }
}

static bool unit_file_there(const char *name)
{
    static const char *const places[] = {"/etc/systemd/system/", "/usr/lib/systemd/system/", "/lib/systemd/system/"};
    for (size_t i = 0; i < ELEMENTS(places); i++) {
        _cleanup_free_ char *path = xasprintf("%s%s%s", machine->root, places[i], name);
        if (access(path, F_OK) == 0) {
            return true;
        }
    }
    return false;
}

static char *hash_of_unit(const char *name)
{
    struct buffer all = {0};
    _cleanup_free_ char *own = xasprintf("/etc/systemd/system/%s", name);
    _cleanup_free_ char *drop_in = xasprintf("/etc/systemd/system/%s.d/10-k8s-hooks.conf", name);
    buffer_puts(&all, "");
    add_file(&all, own);
    add_file(&all, drop_in);
    char *hash = sha256_hex(all.data, all.len);
    buffer_free(&all);
    return hash;
}

static char *hash_at_start(const char *name)
{
    struct buffer all = {0};
    _cleanup_free_ char *path = standin_state(machine, "loaded", name);
    _cleanup_free_ char *loaded = NULL;
    buffer_puts(&all, file_read(path, 0, &loaded, NULL, NULL) == 0 ? loaded : "none");
    for (size_t i = 0; i < ELEMENTS(reads); i++) {
        for (size_t j = 0;
             strcmp(reads[i].unit, name) == 0 && j < ELEMENTS(reads[i].files) && reads[i].files[j] != NULL; j++) {
            add_file(&all, reads[i].files[j]);
        }
    }
    char *hash = sha256_hex(all.data, all.len);
    buffer_free(&all);
    return hash;
}

static bool is_loaded(const char *name)
{
    _cleanup_free_ char *path = standin_state(machine, "loaded", name);
    return access(path, F_OK) == 0 || unit_file_there(name);
}

/* daemon-reload: each unit's files as they are now. */
static void reload(void)
{
    static const char *const places[] = {"/etc/systemd/system", "/usr/lib/systemd/system"};
    for (size_t i = 0; i < ELEMENTS(places); i++) {
        _cleanup_free_ char *place = path_join(machine->root, places[i]);
        DIR *directory = opendir(place);
        for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
            if (str_ends(entry->d_name, ".service") || str_ends(entry->d_name, ".timer") ||
                str_ends(entry->d_name, ".socket")) {
                _cleanup_free_ char *hash = hash_of_unit(entry->d_name);
                _cleanup_free_ char *path = standin_state(machine, "loaded", entry->d_name);
                (void)standin_put(path, hash, NULL);
            }
        }
        if (directory != NULL) {
            (void)closedir(directory);
        }
    }
}

static void set_active(const char *name, bool active)
{
    _cleanup_free_ char *path = standin_state(machine, "units", name);
    _cleanup_free_ char *hash = active ? hash_at_start(name) : NULL;
    _cleanup_free_ char *text = active ? xasprintf("active %s\n", hash) : xstrdup("inactive\n");
    (void)standin_put(path, text, NULL);
}

static int reply_job(sd_bus_message *message, const char *unit)
{
    static uint32_t last;
    uint32_t id = __atomic_add_fetch(&last, 1, __ATOMIC_SEQ_CST);
    _cleanup_free_ char *job = xasprintf("/org/freedesktop/systemd1/job/%u", id);
    sd_bus *bus = sd_bus_message_get_bus(message);
    int r = sd_bus_reply_method_return(message, "o", job);
    return r < 0 ? r
                 : sd_bus_emit_signal(bus, "/org/freedesktop/systemd1", MANAGER, "JobRemoved", "uoss", id, job, unit,
                                      "done");
}

static int on_job(sd_bus_message *message, const char *method)
{
    const char *unit = NULL;
    const char *mode = NULL;
    int r = sd_bus_message_read(message, "ss", &unit, &mode);
    if (r < 0) {
        return r;
    }
    if (!is_loaded(unit)) {
        return sd_bus_reply_method_errorf(message, NO_SUCH_UNIT, "Unit %s not found.", unit);
    }
    bool start = strcmp(method, "StopUnit") != 0;
    if (!(strcmp(method, "StartUnit") == 0 && standin_unit_active(machine, unit))) {
        set_active(unit, start);
    }
    if (start && machine->started != NULL) {
        (void)proc_exec(deadline_in(STARTED_MS), NULL, machine->started, unit, NULL);
    }
    /* Docker is started by a call to its socket, and the reverse; kubelet needs Docker. */
    if (strcmp(unit, "docker.service") == 0 && start) {
        set_active("docker.socket", true);
    }
    return reply_job(message, unit);
}

static int on_unit_file(sd_bus_message *message, const char *method)
{
    const char *unit = NULL;
    int r = sd_bus_message_enter_container(message, 'a', "s");
    r = r < 0 ? r : sd_bus_message_read(message, "s", &unit);
    if (r < 0) {
        return r;
    }
    _cleanup_free_ char *path = standin_state(machine, "enabled", unit);
    bool enable = strcmp(method, "EnableUnitFiles") == 0 || strcmp(method, "UnmaskUnitFiles") == 0;
    (void)(enable ? standin_put(path, method, NULL) : file_remove(path, NULL, NULL));
    return strcmp(method, "EnableUnitFiles") == 0 ? sd_bus_reply_method_return(message, "ba(sss)", 1, 0)
                                                  : sd_bus_reply_method_return(message, "a(sss)", 0);
}

static int on_get(sd_bus_message *message)
{
    const char *interface = NULL;
    const char *property = NULL;
    _cleanup_free_ char *unit = NULL;
    int r = sd_bus_message_read(message, "ss", &interface, &property);
    r = r < 0 ? r : sd_bus_path_decode(sd_bus_message_get_path(message), UNITS, &unit);
    if (r <= 0) {
        return r < 0 ? r : -ENOENT;
    }
    bool active = standin_unit_active(machine, unit);
    if (strcmp(property, "MainPID") == 0) {
        return sd_bus_reply_method_return(message, "v", "u", active ? (uint32_t)getpid() : 0);
    }
    if (strcmp(property, "ActiveEnterTimestamp") == 0) {
        return sd_bus_reply_method_return(message, "v", "t", (uint64_t)1);
    }
    const char *value = strcmp(property, "LoadState") == 0     ? (is_loaded(unit) ? "loaded" : "not-found")
                        : strcmp(property, "ActiveState") == 0 ? (active ? "active" : "inactive")
                        : strcmp(property, "SubState") == 0    ? (active ? "running" : "dead")
                                                               : "enabled";
    return sd_bus_reply_method_return(message, "v", "s", value);
}

static int on_message(sd_bus_message *message, void *data, sd_bus_error *error)
{
    static const char *const jobs[] = {"StartUnit", "StopUnit", "RestartUnit", NULL};
    static const char *const files[] = {"EnableUnitFiles", "DisableUnitFiles", "MaskUnitFiles", "UnmaskUnitFiles",
                                        NULL};
    const char *member = sd_bus_message_get_member(message);
    (void)data;
    (void)error;
    if (sd_bus_message_is_method_call(message, NULL, NULL) <= 0) {
        return 0;
    }
    if (strcmp(member, "Hello") != 0 && standin_fault(machine, "systemd") == FAULT_CLOSE) {
        return -ECONNRESET;
    }
    (void)pthread_mutex_lock(&lock);
    int r;
    if (strv_contains((char *const *)jobs, member)) {
        r = on_job(message, member);
    } else if (strv_contains((char *const *)files, member)) {
        r = on_unit_file(message, member);
    } else if (sd_bus_message_is_method_call(message, PROPERTIES, "Get") > 0) {
        r = on_get(message);
    } else {
        if (strcmp(member, "Reload") == 0) {
            reload();
        }
        const char *unit = NULL;
        if (strcmp(member, "KillUnit") == 0 && sd_bus_message_read(message, "s", &unit) >= 0) {
            set_active(unit, false);
        }
        r = sd_bus_reply_method_return(message, NULL);
    }
    (void)pthread_mutex_unlock(&lock);
    return r < 0 ? r : 1;
}

static void *serve_one(void *data)
{
    _cleanup_free_ int *accepted = data;
    int fd = *accepted;
    sd_bus *bus = NULL;
    sd_id128_t id;
    if (standin_fault(machine, "systemd") == FAULT_NONSENSE) {
        (void)!write(fd, "HTTP/1.1 418 \r\n\r\n\001\002\003", 20);
        (void)shutdown(fd, SHUT_WR);
        char rest[512];
        while (read(fd, rest, sizeof rest) > 0) {
        }
        (void)close(fd);
        return NULL;
    }
    if (sd_id128_randomize(&id) >= 0 && sd_bus_new(&bus) >= 0 && sd_bus_set_fd(bus, fd, fd) >= 0 &&
        sd_bus_set_server(bus, 1, id) >= 0 && sd_bus_set_trusted(bus, 1) >= 0 &&
        sd_bus_add_filter(bus, NULL, on_message, NULL) >= 0 && sd_bus_start(bus) >= 0) {
        for (int r = 1; r >= 0;) {
            r = sd_bus_process(bus, NULL);
            r = r == 0 ? sd_bus_wait(bus, UINT64_MAX) : r;
        }
    }
    sd_bus_flush_close_unref(bus);
    return NULL;
}

static void *accept_all(void *data)
{
    (void)data;
    for (;;) {
        int *accepted = xcalloc(1, sizeof *accepted);
        *accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        pthread_t thread;
        if (*accepted >= 0 && pthread_create(&thread, NULL, serve_one, accepted) == 0) {
            (void)pthread_detach(thread);
        } else {
            free(accepted);
        }
    }
    return NULL;
}

int systemd_serve(const struct standin *standin, struct error **err)
{
    machine = standin;
    _cleanup_free_ char *directory = path_join(standin->run, "systemd");
    _cleanup_free_ char *path = path_join(directory, "private");
    pthread_t thread;
    if (dir_make(directory, 0755, err) < 0 || (listener = standin_listen(path, err)) < 0) {
        return -1;
    }
    int failure = pthread_create(&thread, NULL, accept_all, NULL);
    return failure == 0 ? 0 : error_errno(err, STATUS_FAILED, failure, "cannot serve systemd's socket");
}
