#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/core/json.h"
#include "tests/lab/images/elasticsearch/elasticsearch.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/program.h"

#define SUFFIX ".ndjson" /* a line of settings, then one a document */

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

const char *store_replicas(const struct index *index)
{
    const char *set = text_at(index->settings, "index.number_of_replicas");
    return set[0] != '\0' ? set : node.nodes > 1 ? "1" : "0";
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

static void append_line(const struct index *index, const json_t *line)
{
    _cleanup_free_ char *path = file_of(index);
    _cleanup_free_ char *text = json_dumps(line, JSON_COMPACT);
    FILE *file = fopen(path, "ae");
    if (file == NULL || fprintf(file, "%s\n", text) < 0 || fclose(file) != 0) {
        fail("writing %s: %s", path, strerror(errno));
    }
}

static struct index *add_index(const char *name)
{
    struct index *index = xcalloc(1, sizeof *index);
    indices = xrealloc((void *)indices, (n_indices + 1) * sizeof(struct index *));
    indices[n_indices++] = index;
    index->name = xstrdup(name);
    index->mapping = json_object();
    index->ids = json_object();
    index->settings = json_object();
    index->dynamic = json_array();
    return index;
}

struct index *store_make(const char *name)
{
    struct index *index = add_index(name);
    json_object_set_new(index->settings, "index.number_of_shards", json_string("1"));
    append_line(index, index->settings);
    _cleanup_json_ json_t *dynamic = templates_dynamic(name);
    store_set_dynamic(index, dynamic);
    return index;
}

void store_set_dynamic(struct index *index, const json_t *list)
{
    _cleanup_json_ json_t *line = json_pack("{sO}", "_dynamic", (json_t *)list);
    json_decref(index->dynamic);
    index->dynamic = json_deep_copy(list);
    append_line(index, line);
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
    json_decref(index->settings);
    json_decref(index->dynamic);
    free(index->name);
    free(index);
}

int store_put(struct index *index, const char *id, bool creates, const json_t *source, json_t **problem)
{
    bool there = id != NULL && json_object_get(index->ids, id) != NULL;
    if (there && creates) {
        *problem = es_error("version_conflict_engine_exception",
                            "[%s]: version conflict, document already exists (current version [1])", id);
        return 409;
    }
    *problem = mapping_take(index->mapping, index->dynamic, source);
    if (*problem != NULL) {
        return 400;
    }
    if (id != NULL) {
        json_object_set_new(index->ids, id, json_true());
    }
    _cleanup_json_ json_t *line = json_pack("{ss* sO}", "_id", id, "_source", (json_t *)source);
    append_line(index, line);
    index->documents += there ? 0 : 1;
    return there ? 200 : 201;
}

static void each_line(const struct index *index, bool (*take)(const json_t *line, void *data), void *data)
{
    _cleanup_free_ char *path = file_of(index);
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    _cleanup_free_ char *line = NULL;
    size_t size = 0;
    bool more = true;
    while (file != NULL && more && getline(&line, &size, file) > 0) {
        _cleanup_json_ json_t *document = json_loads(line, 0, NULL);
        more = take(document, data);
    }
}

struct documents {
    bool (*take)(const json_t *document, void *data);
    void *data;
};

static bool take_document(const json_t *line, void *data)
{
    const struct documents *documents = data;
    return json_object_get(line, "_source") == NULL || documents->take(line, documents->data);
}

void store_each(const struct index *index, bool (*take)(const json_t *document, void *data), void *data)
{
    struct documents documents = {take, data};
    each_line(index, take_document, &documents);
}

static bool load_line(const json_t *document, void *data)
{
    struct index *index = data;
    json_t *dynamic = json_object_get(document, "_dynamic");
    if (dynamic != NULL) {
        json_decref(index->dynamic);
        index->dynamic = json_incref(dynamic);
    }
    if (json_object_get(document, "_source") == NULL) {
        return true;
    }
    const char *id = json_text(document, "_id");
    json_decref(mapping_take(index->mapping, index->dynamic, json_object_get(document, "_source")));
    index->documents += id == NULL || json_object_get(index->ids, id) == NULL;
    if (id != NULL) {
        json_object_set_new(index->ids, id, json_true());
    }
    return true;
}

static void load_index(const char *file)
{
    _cleanup_free_ char *name = xstrndup(file, strlen(file) - strlen(SUFFIX));
    _cleanup_free_ char *line = NULL;
    size_t size = 0;
    struct index *index = add_index(name);
    _cleanup_fclose_ FILE *first = fopen(file, "re");
    if (first != NULL && getline(&line, &size, first) > 0) {
        json_t *settings = json_loads(line, 0, NULL);
        json_decref(index->settings);
        index->settings = settings == NULL ? json_object() : settings;
    }
    each_line(index, load_line, index);
}

void store_load(void)
{
    DIR *directory = opendir(".");
    for (struct dirent *entry = directory != NULL ? readdir(directory) : NULL; entry != NULL;
         entry = readdir(directory)) {
        size_t len = strlen(entry->d_name);
        if (len > strlen(SUFFIX) && strcmp(entry->d_name + len - strlen(SUFFIX), SUFFIX) == 0) {
            load_index(entry->d_name);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
}
