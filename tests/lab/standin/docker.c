/* Docker's API (docs.docker.com/reference/api/engine, 1.41): images and containers are records. An archive is loaded
 * when it was sent whole, and answers nothing while docker.service does not run. */
#include <dirent.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <microhttpd.h>

#include "lib/core/json.h"
#include "lib/core/util.h"
#include "lib/crypto/crypto.h"
#include "lib/system/file.h"
#include "tests/lab/standin/standin.h"

static const struct standin *machine;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct body {
    struct buffer data;
};

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned code, const char *text)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY);
    (void)MHD_add_response_header(response, "Api-Version", "1.41");
    (void)MHD_add_response_header(response, "Ostype", "linux");
    (void)MHD_add_response_header(response, "Content-Type",
                                  *text == '{' || *text == '[' ? "application/json" : "text/plain");
    enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result respond_json(struct MHD_Connection *connection, unsigned code, json_t *json)
{
    _cleanup_free_ char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    return respond(connection, code, text);
}

/* As Docker lists an image: without its default registry. */
static const char *familiar(const char *reference)
{
    reference += str_starts(reference, "docker.io/") ? strlen("docker.io/") : 0;
    return reference + (str_starts(reference, "library/") ? strlen("library/") : 0);
}

/* Lines of REFERENCE ID. */
static char **load_images(void)
{
    _cleanup_free_ char *path = standin_state(machine, "images", "");
    _cleanup_free_ char *text = NULL;
    return strv_split(file_read(path, 0, &text, NULL, NULL) == 0 ? text : "");
}

static void store_images(char *const *words)
{
    struct buffer text = {0};
    buffer_puts(&text, "");
    for (; *words != NULL && words[1] != NULL; words += 2) {
        buffer_printf(&text, "%s %s\n", words[0], words[1]);
    }
    _cleanup_free_ char *path = standin_state(machine, "images", "");
    (void)standin_put(path, text.data, NULL);
    buffer_free(&text);
}

static json_t *image_of(const char *reference, const char *id, json_t *created)
{
    return json_pack("{ss s[s] s[] so sI}", "Id", id, "RepoTags", familiar(reference), "RepoDigests", "Created",
                     created, "Size", (json_int_t)1);
}

static enum MHD_Result list_images(struct MHD_Connection *connection)
{
    _cleanup_strv_ char **words = load_images();
    json_t *list = json_array();
    for (char **word = words; *word != NULL && word[1] != NULL; word += 2) {
        json_array_append_new(list, image_of(word[0], word[1], json_integer(1)));
    }
    return respond_json(connection, 200, list);
}

static enum MHD_Result inspect_image(struct MHD_Connection *connection, const char *name)
{
    _cleanup_strv_ char **words = load_images();
    for (char **word = words; *word != NULL && word[1] != NULL; word += 2) {
        if (strcmp(familiar(word[0]), familiar(name)) == 0 || strcmp(word[1], name) == 0) {
            return respond_json(connection, 200, image_of(word[0], word[1], json_string("2021-01-01T00:00:00Z")));
        }
    }
    return respond_json(connection, 404, json_pack("{ss}", "message", "No such image"));
}

static enum MHD_Result delete_image(struct MHD_Connection *connection, const char *name)
{
    _cleanup_strv_ char **words = load_images();
    _cleanup_strv_ char **left = xcalloc(1, sizeof *left);
    bool found = false;
    for (char **word = words; *word != NULL && word[1] != NULL; word += 2) {
        if (strcmp(familiar(word[0]), familiar(name)) == 0 || strcmp(word[1], name) == 0) {
            found = true;
            continue;
        }
        strv_push(&left, word[0]);
        strv_push(&left, word[1]);
    }
    store_images(left);
    return found ? respond(connection, 200, "[]")
                 : respond_json(connection, 404, json_pack("{ss}", "message", "No such image"));
}

/* "RepoTags":["NAME"] of manifest.json, in an archive as `docker save` makes it. */
static enum MHD_Result load_image(struct MHD_Connection *connection, const struct buffer *body)
{
    static const char key[] = "\"RepoTags\":[\"";
    const char *found = body->len == 0 ? NULL : memmem(body->data, body->len, key, strlen(key));
    const char *end = found == NULL ? NULL : strchr(found + strlen(key), '"');
    /* a tar ends with two empty blocks */
    bool whole = body->len >= 1024 && body->len % 512 == 0 && body->data[body->len - 1024] == '\0';
    if (end == NULL || !whole) {
        return respond_json(connection, 400, json_pack("{ss}", "message", "unexpected EOF"));
    }
    found += strlen(key);
    _cleanup_free_ char *reference = xstrndup(found, (size_t)(end - found));
    _cleanup_free_ char *hash = sha256_hex(reference, strlen(reference));
    _cleanup_free_ char *id = xasprintf("sha256:%s", hash);
    _cleanup_strv_ char **words = load_images();
    if (!strv_contains(words, reference)) {
        strv_push(&words, reference);
        strv_push(&words, id);
        store_images(words);
    }
    _cleanup_free_ char *text = xasprintf("{\"stream\":\"Loaded image: %s\\n\"}\n", reference);
    return respond(connection, 200, text);
}

static enum MHD_Result list_containers(struct MHD_Connection *connection)
{
    _cleanup_free_ char *path = standin_state(machine, "containers", "");
    const char *filters = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "filters");
    DIR *directory = opendir(path);
    json_t *list = json_array();
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        _cleanup_free_ char *file = path_join(path, entry->d_name);
        json_t *container = NULL;
        if (*entry->d_name == '.' || file_read_json(file, &container, NULL) < 0) {
            continue;
        }
        const char *name = json_text(json_object_get(container, "Labels"), "io.kubernetes.container.name");
        if (filters == NULL || (name != NULL && strstr(filters, name) != NULL)) {
            json_array_append(list, container);
        }
        json_decref(container);
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    return respond_json(connection, 200, list);
}

/* PATH is ID/stop and the like: it ends, and kubelet would make another. */
static enum MHD_Result end_container(struct MHD_Connection *connection, const char *path)
{
    _cleanup_free_ char *id = xstrndup(path, strcspn(path, "/"));
    _cleanup_free_ char *file = standin_state(machine, "containers", id);
    if (access(file, F_OK) < 0) {
        return respond_json(connection, 404, json_pack("{ss}", "message", "No such container"));
    }
    if (!standin_unit_active(machine, "kubelet.service")) {
        (void)file_remove(file, NULL, NULL);
    }
    return respond(connection, 204, "");
}

static enum MHD_Result answer(struct MHD_Connection *connection, const char *method, const char *path,
                              const struct buffer *body)
{
    static const char images[] = "/images/";
    bool get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    if (strcmp(path, "/_ping") == 0) {
        return respond(connection, 200, "OK");
    }
    if (strcmp(path, "/images/load") == 0) {
        return load_image(connection, body);
    }
    if (strcmp(path, "/images/json") == 0) {
        return list_images(connection);
    }
    if (str_starts(path, images) && str_ends(path, "/json") && get) {
        _cleanup_free_ char *name = xstrndup(path + strlen(images), strlen(path) - strlen(images) - strlen("/json"));
        return inspect_image(connection, name);
    }
    if (str_starts(path, images) && strcmp(method, "DELETE") == 0) {
        return delete_image(connection, path + strlen(images));
    }
    if (strcmp(path, "/containers/json") == 0) {
        return list_containers(connection);
    }
    if (strcmp(path, "/containers/prune") == 0) {
        return respond(connection, 200, "{\"ContainersDeleted\":[],\"SpaceReclaimed\":0}");
    }
    if (str_starts(path, "/containers/") && strcmp(method, "POST") == 0) {
        return end_container(connection, path + strlen("/containers/"));
    }
    return respond_json(connection, 404, json_pack("{ss}", "message", "page not found"));
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *data, size_t *size, void **of_request)
{
    struct body *body = *of_request;
    (void)context;
    (void)version;
    if (body == NULL) {
        *of_request = xcalloc(1, sizeof *body);
        return MHD_YES;
    }
    if (*size > 0) {
        buffer_append(&body->data, data, *size);
        *size = 0;
        return MHD_YES;
    }
    enum fault fault = standin_fault(machine, "docker");
    if (fault == FAULT_CLOSE || !standin_unit_active(machine, "docker.service")) {
        return MHD_NO;
    }
    if (fault == FAULT_NONSENSE) {
        return respond(connection, 200, "<html>\001 not Docker </html>");
    }
    const char *path = url;
    if (str_starts(path, "/v1.")) {
        path += strcspn(path + 1, "/") + 1;
    }
    (void)pthread_mutex_lock(&lock);
    enum MHD_Result result = answer(connection, method, path, &body->data);
    (void)pthread_mutex_unlock(&lock);
    return result;
}

static void on_end(void *context, struct MHD_Connection *connection, void **of_request,
                   enum MHD_RequestTerminationCode code)
{
    struct body *body = *of_request;
    (void)context;
    (void)connection;
    (void)code;
    if (body != NULL) {
        buffer_free(&body->data);
        free(body);
    }
}

int docker_serve(const struct standin *standin, struct error **err)
{
    machine = standin;
    _cleanup_free_ char *path = path_join(standin->run, "docker.sock");
    int fd = standin_listen(path, err);
    if (fd < 0) {
        return -1;
    }
    const struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0, NULL, NULL, on_request,
                         NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL, MHD_OPTION_END);
    return daemon != NULL ? 0 : error_new(err, STATUS_FAILED, "cannot serve Docker's API on %s", path);
}
