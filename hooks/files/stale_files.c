#include "hooks/files/stale_files.h"

#include <dirent.h>
#include <string.h>

#include "hooks/engine/run.h"

static bool is_ours(const char *path)
{
    enum { LONGEST = 1 << 20 };
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    return file_read(path, LONGEST, &text, &len, NULL) == 0 && str_starts(text, FILE_MARK);
}

static void add_one(struct rendered *rendered, const struct file_conf *conf, char *path)
{
    rendered->files = xrealloc(rendered->files, (rendered->n_files + 1) * sizeof *rendered->files);
    rendered->files[rendered->n_files++] = (struct rendered_file){.conf = conf, .path = path};
}

/* CONF's path is ABOVE, then the name, then BELOW. */
static void add_others(const struct run *run, struct rendered *rendered, const struct file_conf *conf,
                       const json_t *wanted, const char *above, const char *below)
{
    _cleanup_free_ char *at = run_path_followed(run, above);
    DIR *directory = opendir(at);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        _cleanup_free_ char *inside = xasprintf("%s%s%s", above, entry->d_name, below);
        _cleanup_free_ char *path = run_path(run, inside);
        if (json_object_get(wanted, path) == NULL && is_ours(path)) {
            add_one(rendered, conf, STEAL(path));
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
}

void stale_files_add(const struct run *run, struct rendered *rendered, const json_t *wanted)
{
    for (size_t i = 0; i < rendered->conf->n_files; i++) {
        const struct file_conf *conf = &rendered->conf->files[i];
        const char *name = strstr(conf->path, "{{");
        const char *end = name == NULL ? NULL : strstr(name, "}}");
        if (end != NULL) {
            _cleanup_free_ char *above = xstrndup(conf->path, (size_t)(name - conf->path));
            add_others(run, rendered, conf, wanted, above, end + strlen("}}"));
        }
    }
}
