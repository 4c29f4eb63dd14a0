#include "tests/lab/lab/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/core/json.h"
#include "lib/system/file.h"

static char *source_top(char **bin)
{
    _cleanup_free_ char *self = link_read("/proc/self/exe");
    const char *slash = self == NULL ? NULL : strrchr(self, '/');
    *bin = slash == NULL ? xstrdup("") : xstrndup(self, (size_t)(slash - self));
    _cleanup_free_ char *up = xasprintf("%s/../..", *bin);
    char *top = realpath(up, NULL);
    return top == NULL ? xstrdup(".") : top;
}

static char *member(const json_t *object, const char *key)
{
    return xstrdup(json_text(object, key));
}

static struct process process_load(const json_t *object, const char *key)
{
    const json_t *pair = json_object_get(object, key);
    return (struct process){(pid_t)json_integer_value(json_array_get(pair, 0)),
                            (uint64_t)json_integer_value(json_array_get(pair, 1))};
}

static struct machine *machine_load(const json_t *object)
{
    struct machine *m = xcalloc(1, sizeof *m);
    m->name = member(object, "name");
    m->role = member(object, "role");
    m->sid = (int)json_integer_value(json_object_get(object, "sid"));
    m->node_id = member(object, "node_id");
    m->instance_id = member(object, "instance_id");
    m->ip = member(object, "ip");
    m->mac = member(object, "mac");
    m->pub_key = member(object, "pub_key");
    m->token = member(object, "token");
    m->adding = json_is_true(json_object_get(object, "adding"));
    m->deleting = json_is_true(json_object_get(object, "deleting"));
    m->nspawn = process_load(object, "nspawn");
    m->leader = process_load(object, "leader");
    m->notify = -1;
    return m;
}

static json_t *machine_dump(const struct machine *m)
{
    return json_pack("{ss ss si ss ss? ss ss ss? ss? sb sb s[iI] s[iI]}", "name", m->name, "role", m->role, "sid",
                     m->sid, "node_id", m->node_id, "instance_id", m->instance_id, "ip", m->ip, "mac", m->mac,
                     "pub_key", m->pub_key, "token", m->token, "adding", m->adding, "deleting", m->deleting, "nspawn",
                     m->nspawn.pid, (json_int_t)m->nspawn.start, "leader", m->leader.pid, (json_int_t)m->leader.start);
}

static void lab_append(struct lab *lab, struct machine *machine)
{
    lab->machines = xrealloc((void *)lab->machines, (lab->n_machines + 1) * sizeof(struct machine *));
    lab->machines[lab->n_machines++] = machine;
}

static int state_load(struct lab *lab, struct error **err)
{
    _cleanup_free_ char *path = lab_path(lab, "lab.json");
    if (access(path, F_OK) != 0) {
        return 0;
    }
    json_error_t why;
    _cleanup_json_ json_t *state = json_load_file(path, 0, &why);
    if (state == NULL) {
        return error_new(err, STATUS_FILE, "%s:%d: %s; `lab down` removes the lab", path, why.line, why.text);
    }
    free(lab->cluster_id);
    lab->cluster_id = member(state, "cluster_id");
    free(lab->profile);
    lab->profile = member(state, "profile");
    if (json_object_get(state, "zone") != NULL) {
        free(lab->zone);
        lab->zone = member(state, "zone");
    }
    if (json_object_get(state, "app") != NULL) {
        free(lab->app);
        lab->app = member(state, "app");
    }
    json_decref(lab->env);
    lab->env = json_incref(json_object_get(state, "env"));
    json_decref(lab->links);
    lab->links = json_incref(json_object_get(state, "links"));
    json_decref(lab->values);
    lab->values = json_incref(json_object_get(state, "values"));
    lab->metad = process_load(state, "metad");
    lab->cloud = process_load(state, "cloud");
    lab->next_host = (int)json_integer_value(json_object_get(state, "next_host"));
    lab->created = json_is_true(json_object_get(state, "created"));
    size_t i;
    json_t *item;
    json_array_foreach (json_object_get(state, "layers"), i, item) {
        strv_push(&lab->layers, json_string_value(item));
    }
    json_array_foreach (json_object_get(state, "machines"), i, item) {
        lab_append(lab, machine_load(item));
    }
    return 0;
}

int lab_open(struct lab **lab, const char *name, struct error **err)
{
    if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(name) || strlen(name) > 20 || *name == '\0') {
        return error_new(err, STATUS_USAGE, "lab name '%s': up to 20 of a-z, 0-9 and -", name);
    }
    struct lab *l = xcalloc(1, sizeof *l);
    const char *cache = getenv("K8S_HOOKS_CACHE");
    l->name = xstrdup(name);
    l->dir = xasprintf(LAB_DIRECTORY "%s", name);
    l->cache = xstrdup(str_empty(cache) ? "/var/cache/k8s-hooks" : cache);
    l->source = source_top(&l->bin);
    l->app = path_join(l->source, LAB_APP);
    l->cluster_id = random_id("cl-");
    l->profile = xstrdup("product");
    l->zone = xstrdup(LAB_ZONE);
    l->env = json_object();
    l->links = json_object();
    l->values = json_object();
    l->next_host = 2;
    if (state_load(l, err) != 0) {
        lab_free(l);
        return -1;
    }
    *lab = l;
    return 0;
}

int lab_open_anew(struct lab **lab, const char *name, struct error **err)
{
    _cleanup_free_ char *path = xasprintf(LAB_DIRECTORY "%s/lab.json", name);
    return unlink(path) == 0 || errno == ENOENT ? lab_open(lab, name, err)
                                                : error_errno(err, STATUS_FILE, errno, "removing %s", path);
}

bool lab_exists(const struct lab *lab)
{
    return access(lab->dir, F_OK) == 0;
}

int lab_save(const struct lab *lab, struct error **err)
{
    _cleanup_json_ json_t *machines = json_array();
    for (size_t i = 0; i < lab->n_machines; i++) {
        json_array_append_new(machines, machine_dump(lab->machines[i]));
    }
    _cleanup_json_ json_t *layers = json_array();
    for (char **layer = lab->layers; layer != NULL && *layer != NULL; layer++) {
        json_array_append_new(layers, json_string(*layer));
    }
    _cleanup_json_ json_t *state = json_pack(
        "{ss ss ss ss sO sO sO s[iI] s[iI] si sb sO sO}", "cluster_id", lab->cluster_id, "profile", lab->profile,
        "zone", lab->zone, "app", lab->app, "env", lab->env, "links", lab->links, "values", lab->values, "metad",
        lab->metad.pid, (json_int_t)lab->metad.start, "cloud", lab->cloud.pid, (json_int_t)lab->cloud.start,
        "next_host", lab->next_host, "created", lab->created, "layers", layers, "machines", machines);
    _cleanup_free_ char *text = json_dumps(state, JSON_INDENT(2));
    _cleanup_free_ char *path = lab_path(lab, "lab.json");
    struct file_spec spec = {.path = path, .data = text, .len = strlen(text), .mode = 0600};
    if (dir_make(lab->dir, 0700, err) != 0) {
        return -1;
    }
    return file_put(&spec, NULL, err);
}

int lab_refresh(struct lab *lab, struct error **err)
{
    _cleanup_(lab_freep) struct lab *now = NULL;
    if (lab_open(&now, lab->name, err) != 0) {
        return -1;
    }
    strv_free(lab->layers);
    lab->layers = STEAL(now->layers);
    for (size_t i = 0; i < lab->n_machines; i++) {
        struct machine *machine = lab->machines[i];
        const struct machine *other = lab_find(now, machine->name, NULL);
        if (other != NULL) {
            free(machine->instance_id);
            machine->instance_id = xstrdup(other->instance_id);
            machine->nspawn = other->nspawn;
            machine->leader = other->leader;
        }
    }
    return 0;
}

int lab_lock(const struct lab *lab, struct error **err)
{
    _cleanup_free_ char *path = lab_path(lab, "lock");
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_errno(err, STATUS_FILE, errno, "opening %s", path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        char pid[16] = "";
        ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
        pid[n > 0 ? n : 0] = '\0';
        return error_new(err, STATUS_USAGE, "process %s is changing lab %s: `lab status` shows what runs", pid,
                         lab->name);
    }
    _cleanup_free_ char *self = xasprintf("%d", getpid());
    (void)!(ftruncate(fd, 0) == 0 && pwrite(fd, self, strlen(self), 0) > 0);
    return steal_fd(&fd);
}

static void machine_free(struct machine *m)
{
    free(m->name);
    free(m->role);
    free(m->node_id);
    free(m->instance_id);
    free(m->ip);
    free(m->mac);
    free(m->pub_key);
    free(m->token);
    free(m);
}

void lab_free(struct lab *lab)
{
    if (lab == NULL) {
        return;
    }
    for (size_t i = 0; i < lab->n_machines; i++) {
        machine_free(lab->machines[i]);
    }
    free((void *)lab->machines);
    strv_free(lab->layers);
    json_decref(lab->env);
    json_decref(lab->links);
    json_decref(lab->package);
    json_decref(lab->locale);
    json_decref(lab->form);
    json_decref(lab->values);
    free(lab->name);
    free(lab->dir);
    free(lab->cache);
    free(lab->source);
    free(lab->app);
    free(lab->bin);
    free(lab->cluster_id);
    free(lab->profile);
    free(lab->zone);
    free(lab);
}

void lab_freep(struct lab **lab)
{
    lab_free(*lab);
}

char *lab_path(const struct lab *lab, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *tail = NULL;
    if (vasprintf(&tail, format, args) < 0) {
        abort();
    }
    va_end(args);
    char *path = xasprintf("%s/%s", lab->dir, tail);
    free(tail);
    return path;
}

static int next_sid(const struct lab *lab, const char *role)
{
    int sid = 0;
    for (size_t i = 0; i < lab->n_machines; i++) {
        if (strcmp(lab->machines[i]->role, role) == 0 && lab->machines[i]->sid > sid) {
            sid = lab->machines[i]->sid;
        }
    }
    return sid + 1;
}

struct machine *lab_add(struct lab *lab, const char *role)
{
    struct machine *m = xcalloc(1, sizeof *m);
    m->role = xstrdup(role);
    m->sid = next_sid(lab, role);
    m->name = xasprintf("%s-%d", role, m->sid);
    for (char *c = strchr(m->name, '_'); c != NULL; c = strchr(c, '_')) {
        *c = '-';
    }
    m->node_id = random_id("cln-");
    m->ip = xasprintf(LAB_NETWORK ".%d", lab->next_host);
    m->mac = xasprintf("52:54:00:00:64:%02x", (unsigned)lab->next_host);
    lab->next_host++;
    lab_append(lab, m);
    return m;
}

void lab_remove(struct lab *lab, struct machine *machine)
{
    for (size_t i = 0; i < lab->n_machines; i++) {
        if (lab->machines[i] == machine) {
            memmove((void *)&lab->machines[i], (void *)&lab->machines[i + 1],
                    (lab->n_machines - i - 1) * sizeof(struct machine *));
            lab->n_machines--;
            machine_free(machine);
            return;
        }
    }
}

struct machine *lab_find(const struct lab *lab, const char *name, struct error **err)
{
    struct machine *found = NULL;
    _cleanup_buffer_ struct buffer names = {0};
    buffer_puts(&names, "");
    for (size_t i = 0; i < lab->n_machines; i++) {
        struct machine *m = lab->machines[i];
        if (strcmp(m->name, name) == 0) {
            return m;
        }
        if (strcmp(m->role, name) == 0 && found == NULL) {
            found = m;
        }
        buffer_printf(&names, " %s", m->name);
    }
    if (found == NULL || lab_count(lab, name) > 1) {
        (void)error_new(err, STATUS_USAGE, "no machine '%s' in lab %s; there are:%s", name, lab->name, names.data);
        return NULL;
    }
    return found;
}

bool lab_is_machine_name(const struct lab *lab, const char *name)
{
    size_t i;
    json_t *node;
    json_array_foreach (json_object_get(lab->package, "nodes"), i, node) {
        _cleanup_free_ char *role = xstrdup(json_text_or(node, "role", ""));
        for (char *c = strchr(role, '_'); c != NULL; c = strchr(c, '_')) {
            *c = '-';
        }
        size_t len = strlen(role);
        long sid = 0;
        if (strncmp(name, role, len) == 0 && name[len] == '-' && str_number(name + len + 1, 1, 1000000, &sid)) {
            return true;
        }
    }
    return false;
}

size_t lab_count(const struct lab *lab, const char *role)
{
    size_t n = 0;
    for (size_t i = 0; i < lab->n_machines; i++) {
        n += strcmp(lab->machines[i]->role, role) == 0;
    }
    return n;
}

char *random_id(const char *prefix)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    unsigned char bytes[8];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        abort();
    }
    char text[sizeof bytes + 1] = {0};
    for (size_t i = 0; i < sizeof bytes; i++) {
        text[i] = alphabet[bytes[i] % (sizeof alphabet - 1)];
    }
    return xasprintf("%s%s", prefix, text);
}
