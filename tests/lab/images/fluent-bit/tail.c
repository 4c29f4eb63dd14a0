#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lab/images/fluent-bit/fluent_bit.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/program.h"

struct followed {
    char *path, *tag;
    int fd;
    ino_t inode;
    off_t offset;         /* read up to here */
    off_t settled;        /* sent up to here: what the database says */
    uint64_t mark;        /* emitted when offset was reached */
    struct buffer part;   /* of a line */
    struct buffer joined; /* text of a line that Docker split */
    long joined_since;
    bool skipping, gone;
};

static struct {
    const struct section *section;
    size_t index;
    const char *db;
    json_t *offsets; /* by inode */
    struct followed **files;
    size_t n_files;
    size_t max_line;
    bool docker, from_head, skip_long;
} tail;

static void save(void)
{
    bool changed = false;
    uint64_t done = settled();
    for (size_t i = 0; i < tail.n_files; i++) {
        struct followed *f = tail.files[i];
        if (f->mark <= done && f->settled != f->offset) {
            _cleanup_free_ char *inode = xasprintf("%llu", (unsigned long long)f->inode);
            f->settled = f->offset;
            json_object_set_new(tail.offsets, inode, json_integer(f->offset - (off_t)f->part.len));
            changed = true;
        }
    }
    if (changed && tail.db != NULL) {
        _cleanup_free_ char *beside = xasprintf("%s.new", tail.db);
        if (json_dump_file(tail.offsets, beside, JSON_INDENT(1)) != 0 || rename(beside, tail.db) != 0) {
            fail("[input:tail] db: could not write %s", tail.db);
        }
    }
}

static void emit_text(const struct followed *f, const json_t *parsed, const char *text)
{
    struct timespec when;
    json_t *record = json_deep_copy(parsed);
    json_object_set_new(record, "log", json_string_nocheck(text));
    if (!time_parse(text_at(parsed, "time"), &when)) {
        (void)clock_gettime(CLOCK_REALTIME, &when);
    }
    emit(tail.index, f->tag, when, record);
}

/* Docker writes lines of more than 16 KB in pieces: the last one alone ends with a newline. */
static void take_docker(struct followed *f, const json_t *parsed)
{
    const char *text = text_at(parsed, "log");
    size_t len = strlen(text);
    bool whole = len > 0 && text[len - 1] == '\n';
    if (!tail.docker) {
        emit_text(f, parsed, text);
        return;
    }
    if (f->joined.len + len <= tail.max_line) {
        buffer_puts(&f->joined, text);
    }
    f->joined_since = now_s();
    if (whole) {
        emit_text(f, parsed, f->joined.data);
        f->joined.len = 0;
    }
}

static void take_line(struct followed *f, char *line)
{
    _cleanup_json_ json_t *parsed = json_loads(line, 0, NULL);
    if (parsed != NULL && json_is_object(parsed)) {
        take_docker(f, parsed);
        return;
    }
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    emit(tail.index, f->tag, now, json_pack("{ss}", "log", line));
}

static void take_bytes(struct followed *f, const char *data, size_t n)
{
    while (n > 0) {
        const char *newline = memchr(data, '\n', n);
        size_t piece = newline != NULL ? (size_t)(newline - data) : n;
        if (!f->skipping) {
            buffer_append(&f->part, data, piece);
        }
        if (f->part.len > tail.max_line) {
            say("[input:tail] file=%s has a long line. Skipping long lines.", f->path);
            f->skipping = tail.skip_long;
            f->gone = !tail.skip_long; /* it is not read on, as there */
            f->part.len = 0;
        }
        if (newline != NULL) {
            if (!f->skipping && f->part.len > 0) {
                take_line(f, f->part.data);
            }
            f->skipping = false;
            f->part.len = 0;
            piece++;
        }
        data += piece;
        n -= piece;
    }
}

static void read_on(struct followed *f)
{
    char data[65536];
    struct stat st;
    if (f->fd < 0 || f->gone) {
        return;
    }
    if (fstat(f->fd, &st) == 0 && st.st_size < f->offset) {
        f->offset = 0; /* truncated */
        f->part.len = 0;
    }
    for (ssize_t n = pread(f->fd, data, sizeof data, f->offset); n > 0 && !f->gone;
         n = pread(f->fd, data, sizeof data, f->offset)) {
        f->offset += n;
        take_bytes(f, data, (size_t)n);
        f->mark = emitted();
    }
    if (stat(f->path, &st) != 0 || st.st_ino != f->inode) {
        f->gone = true; /* rotated or removed: read to its end */
    }
}

static bool is_followed(ino_t inode)
{
    for (size_t i = 0; i < tail.n_files; i++) {
        if (tail.files[i]->inode == inode && tail.files[i]->fd >= 0) {
            return true;
        }
    }
    return false;
}

static char *expand_tag(const char *tag, const char *path)
{
    const char *star = strchr(tag, '*');
    if (star == NULL) {
        return xstrdup(tag);
    }
    _cleanup_free_ char *name = xstrdup(path[0] == '/' ? path + 1 : path);
    replace_char(name, '/', '.');
    return xasprintf("%.*s%s%s", (int)(star - tag), tag, name, star + 1);
}

static void follow(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || is_followed(st.st_ino)) {
        if (fd >= 0) {
            close(fd);
        } else {
            say("[input:tail] cannot open %s", path);
        }
        return;
    }
    _cleanup_free_ char *inode = xasprintf("%llu", (unsigned long long)st.st_ino);
    const json_t *known = json_object_get(tail.offsets, inode);
    struct followed *f = xcalloc(1, sizeof *f);
    f->path = xstrdup(path);
    f->tag = expand_tag(conf_text(tail.section, "tag", "tail.0"), path);
    f->fd = fd;
    f->inode = st.st_ino;
    f->offset = known != NULL && json_integer_value(known) <= st.st_size ? json_integer_value(known)
                : tail.from_head                                         ? 0
                                                                         : st.st_size;
    f->settled = -1;
    tail.files = xrealloc((void *)tail.files, (tail.n_files + 1) * sizeof(struct followed *));
    tail.files[tail.n_files++] = f;
}

static bool excluded(const char *path)
{
    _cleanup_free_ char *list = xstrdup(conf_text(tail.section, "exclude_path", ""));
    char *rest = NULL;
    for (char *pattern = strtok_r(list, ", ", &rest); pattern != NULL; pattern = strtok_r(NULL, ", ", &rest)) {
        if (fnmatch(pattern, path, 0) == 0) {
            return true;
        }
    }
    return false;
}

static void scan(void)
{
    _cleanup_free_ char *list = xstrdup(conf_text(tail.section, "path", ""));
    char *rest = NULL;
    for (char *pattern = strtok_r(list, ", ", &rest); pattern != NULL; pattern = strtok_r(NULL, ", ", &rest)) {
        glob_t found = {0};
        (void)glob(pattern, 0, NULL, &found);
        for (size_t i = 0; i < found.gl_pathc; i++) {
            if (!excluded(found.gl_pathv[i])) {
                follow(found.gl_pathv[i]);
            }
        }
        globfree(&found);
    }
}

static void drop_gone(void)
{
    for (size_t i = tail.n_files; i > 0; i--) {
        struct followed *f = tail.files[i - 1];
        if (f->gone && f->mark <= settled()) {
            close(f->fd);
            buffer_free(&f->part);
            buffer_free(&f->joined);
            free(f->path);
            free(f->tag);
            free(f);
            tail.files[i - 1] = tail.files[--tail.n_files];
        }
    }
}

static void *run(void *data)
{
    long scanned = 0;
    long interval = strtol(conf_text(tail.section, "refresh_interval", "60"), NULL, 10);
    (void)data;
    for (;;) {
        if (scanned == 0 || now_s() - scanned >= interval) {
            scan();
            scanned = now_s();
        }
        for (size_t i = 0; i < tail.n_files; i++) {
            read_on(tail.files[i]);
        }
        save();
        drop_gone();
        (void)usleep(500000);
    }
    return NULL;
}

void tail_start(size_t index)
{
    pthread_t thread;
    tail.index = index;
    tail.section = &sections[index];
    tail.db = conf_text(tail.section, "db", NULL);
    tail.docker = conf_on(tail.section, "docker_mode", false);
    tail.from_head = conf_on(tail.section, "read_from_head", false);
    tail.skip_long = conf_on(tail.section, "skip_long_lines", false);
    tail.max_line = conf_size(tail.section, "buffer_max_size", 32000);
    tail.offsets = tail.db == NULL ? NULL : json_load_file(tail.db, 0, NULL);
    tail.offsets = tail.offsets == NULL ? json_object() : tail.offsets;
    const char *parser = conf_text(tail.section, "parser", NULL);
    if (parser == NULL || strcmp(conf_text(conf_parser(parser), "format", ""), "json") != 0) {
        fail("[input:tail] a parser of format json is needed here");
    }
    if (pthread_create(&thread, NULL, run, NULL) != 0) {
        fail("making a thread failed");
    }
    (void)pthread_detach(thread);
}
