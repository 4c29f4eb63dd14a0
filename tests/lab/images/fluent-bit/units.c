#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/images/fluent-bit/fluent_bit.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/program.h"

/* What the libsystemd of that image (Debian 10's, 241) knows of a file's incompatible flags: XZ and LZ4. Those of today
 * (systemd, docs/JOURNAL_FILE_FORMAT.md: keyed hashes 4, zstd 8, compact 16) are newer. */
#define KNOWN_FLAGS 3U

static const struct section *section;
static size_t section_index;

/* The flags of a journal file that are not known, 0 where it can be read. */
static unsigned unknown_flags(const char *path)
{
    unsigned char header[16] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, header, sizeof header);
    if (fd >= 0) {
        close(fd);
    }
    bool journal = n == sizeof header && memcmp(header, "LPKSHHRH", 8) == 0;
    return journal ? (unsigned)header[12] & ~KNOWN_FLAGS : 0;
}

/* It does not see such files; here one is enough to read nothing, so that no other hides it. */
static bool readable(const char *directory)
{
    DIR *all = opendir(directory);
    bool good = all != NULL;
    for (struct dirent *entry = all == NULL ? NULL : readdir(all); entry != NULL; entry = readdir(all)) {
        _cleanup_free_ char *path = xasprintf("%s/%s", directory, entry->d_name);
        unsigned flags = strstr(entry->d_name, ".journal") == NULL ? 0 : unknown_flags(path);
        if (flags != 0) {
            say("[input:systemd] %s: incompatible flags %u, which this release cannot read", path, flags);
            good = false;
        }
    }
    if (all != NULL) {
        closedir(all);
    }
    return good;
}

static char *journal_directory(void)
{
    static const char *const usual[] = {"/var/log/journal", "/run/log/journal"};
    _cleanup_free_ char *id = must_read("/etc/machine-id");
    id[strcspn(id, "\n")] = '\0';
    const char *given = conf_text(section, "path", NULL);
    for (size_t i = 0; i < ELEMENTS(usual); i++) {
        char *path = xasprintf("%s/%s", given != NULL ? given : usual[i], id);
        if (access(path, R_OK) == 0) {
            return path;
        }
        free(path);
    }
    return NULL;
}

static void take_entry(const char *line, bool strip, const char *db)
{
    _cleanup_json_ json_t *entry = json_loads(line, 0, NULL);
    const char *key;
    json_t *value;
    if (entry == NULL) {
        return;
    }
    json_t *record = json_object();
    json_object_foreach (entry, key, value) {
        if (strncmp(key, "__", 2) != 0) {
            json_object_set(record, strip ? key + strspn(key, "_") : key, value);
        }
    }
    long long microseconds = strtoll(text_at(entry, "__REALTIME_TIMESTAMP"), NULL, 10);
    struct timespec when = {microseconds / 1000000, microseconds % 1000000 * 1000};
    const char *tag = conf_text(section, "tag", "systemd.*");
    const char *star = strchr(tag, '*');
    _cleanup_free_ char *name =
        star == NULL ? xstrdup(tag)
                     : xasprintf("%.*s%s%s", (int)(star - tag), tag, text_at(entry, "_SYSTEMD_UNIT"), star + 1);
    emit(section_index, name, when, record);
    if (db != NULL) {
        _cleanup_free_ char *beside = xasprintf("%s.new", db);
        FILE *file = fopen(beside, "we");
        if (file == NULL || fputs(text_at(entry, "__CURSOR"), file) < 0 || fclose(file) != 0 ||
            rename(beside, db) != 0) {
            fail("[input:systemd] db: could not write %s", db);
        }
    }
}

static char **command_for(const char *directory, const char *db)
{
    char **argv = strv_split("journalctl --output=json --follow --no-pager");
    size_t at = 0;
    _cleanup_free_ char *where = xasprintf("--directory=%s", directory);
    _cleanup_free_ char *cursor = db != NULL && access(db, R_OK) == 0 ? must_read(db) : NULL;
    _cleanup_free_ char *after = xasprintf("--after-cursor=%s", cursor == NULL ? "" : cursor);
    strv_push(&argv, where);
    strv_push(&argv, conf_on(section, "read_from_tail", false) ? "--lines=0" : "--lines=all");
    if (cursor != NULL) {
        strv_push(&argv, after);
    }
    for (const char *filter = conf_next(section, "systemd_filter", &at); filter != NULL;
         filter = conf_next(section, "systemd_filter", &at)) {
        strv_push(&argv, filter);
    }
    return argv;
}

static void *run(void *data)
{
    const char *db = conf_text(section, "db", NULL);
    bool strip = conf_on(section, "strip_underscores", false);
    (void)data;
    for (;;) {
        _cleanup_free_ char *directory = journal_directory();
        if (directory == NULL || !readable(directory)) {
            say("[input:systemd] %s", directory == NULL ? "no journal is there" : "the journal is not read");
            (void)sleep(30);
            continue;
        }
        _cleanup_strv_ char **argv = command_for(directory, db);
        _cleanup_free_ char *line = NULL;
        size_t size = 0;
        pid_t child;
        FILE *entries = program_open((const char *const *)argv, &child);
        while (getline(&line, &size, entries) > 0) {
            take_entry(line, strip, db);
        }
        (void)program_close(entries, child);
        (void)sleep(5);
    }
    return NULL;
}

void units_start(size_t index)
{
    pthread_t thread;
    section = &sections[index];
    section_index = index;
    if (pthread_create(&thread, NULL, run, NULL) != 0) {
        fail("making a thread failed");
    }
    (void)pthread_detach(thread);
}
