#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/core/json.h"
#include "tests/lab/images/elasticsearch/elasticsearch.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/program.h"

#define SUFFIX ".ndjson" /* a line a document */

static struct index **indices;
static size_t n_indices;

size_t store_count(void)
{
    return n_indices;
}

struct index *store_at(size_t i)
{
    return indices[i];
}

struct index *store_find(const char *name)
{
    for (size_t i = 0; i < n_indices; i++) {
        if (strcmp(indices[i]->name, name) == 0) {
            return indices[i];
        }
    }
    return NULL;
}

const char *index_name_problem(const char *name)
{
    if (name[0] == '\0' || strlen(name) > 255) {
        return "must be 1 to 255 bytes long";
    }
    if (strchr("_-+", name[0]) != NULL) {
        return "must not start with '_', '-', or '+'";
    }
    if (strpbrk(name, "\\/*?\"<>| ,#:") != NULL || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return "must not contain the following characters [ , \", *, \\, <, |, ,, >, /, ?]";
    }
    return strpbrk(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != NULL ? "must be lowercase" : NULL;
}

static char *file_of(const struct index *index)
{
    return xasprintf("%s" SUFFIX, index->name);
}

static void append_line(struct index *index, const char *line)
{
    _cleanup_free_ char *path = file_of(index);
    FILE *file = fopen(path, "ae");
    if (file == NULL || fprintf(file, "%s\n", line) < 0 || fclose(file) != 0) {
        fail("writing %s: %s", path, strerror(errno));
    }
    index->lines++;
}

static struct index *add_index(const char *name)
{
    struct index *index = xcalloc(1, sizeof *index);
    indices = xrealloc((void *)indices, (n_indices + 1) * sizeof(struct index *));
    indices[n_indices++] = index;
    index->name = xstrdup(name);
    index->mapping = json_object();
    index->ids = json_object();
    return index;
}

struct index *store_open(const char *name)
{
    struct index *index = add_index(name);
    _cleanup_free_ char *path = file_of(index);
    FILE *file = fopen(path, "ae");
    if (file == NULL || fclose(file) != 0) {
        fail("writing %s: %s", path, strerror(errno));
    }
    return index;
}

void store_delete(struct index *index)
{
    _cleanup_free_ char *path = file_of(index);
    (void)unlink(path);
    for (size_t i = 0; i < n_indices; i++) {
        if (indices[i] == index) {
            memmove((void *)(indices + i), (void *)(indices + i + 1), (n_indices - i - 1) * sizeof(struct index *));
            n_indices--;
            break;
        }
    }
    json_decref(index->mapping);
    json_decref(index->ids);
    free(index->name);
    free(index);
}

static json_t *take(struct index *index, const json_t *dynamic, const char *id, const json_t *source)
{
    json_t *problem = mapping_take(index->mapping, dynamic, source);
    if (problem == NULL) {
        index->documents += id == NULL || json_object_get(index->ids, id) == NULL;
    }
    if (problem == NULL && id != NULL) {
        json_object_set_new(index->ids, id, json_true());
    }
    return problem;
}

int store_put(struct index *index, const json_t *dynamic, const struct document *document, char **line,
              json_t **problem)
{
    bool there = document->id != NULL && json_object_get(index->ids, document->id) != NULL;
    *line = NULL;
    if (there && document->creates) {
        *problem = es_error("version_conflict_engine_exception",
                            "[%s]: version conflict, document already exists (current version [1])", document->id);
        return 409;
    }
    *problem = take(index, dynamic, document->id, document->source);
    if (*problem != NULL) {
        return 400;
    }
    _cleanup_json_ json_t *written = json_pack("{ss* sO}", "_id", document->id, "_source", (json_t *)document->source);
    *line = json_dumps(written, JSON_COMPACT);
    append_line(index, *line);
    return there ? 200 : 201;
}

void store_add(struct index *index, const json_t *dynamic, const char *line)
{
    _cleanup_json_ json_t *document = json_loads(line, 0, NULL);
    json_decref(take(index, dynamic, json_text(document, "_id"), json_object_get(document, "_source")));
    append_line(index, line);
}

void store_each(const struct index *index, bool (*take_one)(const json_t *document, void *data), void *data)
{
    _cleanup_free_ char *path = file_of(index);
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    _cleanup_free_ char *line = NULL;
    size_t size = 0;
    bool more = true;
    while (file != NULL && more && getline(&line, &size, file) > 0) {
        _cleanup_json_ json_t *document = json_loads(line, 0, NULL);
        more = take_one(document, data);
    }
}

json_t *store_lines(const struct index *index)
{
    _cleanup_free_ char *path = file_of(index);
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    _cleanup_free_ char *line = NULL;
    size_t size = 0;
    json_t *lines = json_array();
    while (file != NULL && getline(&line, &size, file) > 0) {
        json_array_append_new(lines, json_stringn(line, strcspn(line, "\n")));
    }
    return lines;
}

struct loading {
    struct index *index;
    const json_t *dynamic;
};

static bool load_line(const json_t *document, void *data)
{
    const struct loading *loading = data;
    loading->index->lines++;
    json_decref(
        take(loading->index, loading->dynamic, json_text(document, "_id"), json_object_get(document, "_source")));
    return true;
}

void store_load(const json_t *known)
{
    DIR *directory = opendir(".");
    for (struct dirent *entry = directory != NULL ? readdir(directory) : NULL; entry != NULL;
         entry = readdir(directory)) {
        size_t len = strlen(entry->d_name);
        _cleanup_free_ char *name = xstrndup(entry->d_name, len > strlen(SUFFIX) ? len - strlen(SUFFIX) : 0);
        const json_t *index = json_object_get(known, name);
        if (len > strlen(SUFFIX) && strcmp(entry->d_name + strlen(name), SUFFIX) == 0 && index != NULL) {
            struct loading loading = {add_index(name), json_object_get(index, "dynamic")};
            store_each(loading.index, load_line, &loading);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
}
