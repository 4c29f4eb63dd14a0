/* Stands for Elasticsearch in the lab, where its image cannot be had: takes documents, counts them by index, keeps the
 * counts in its data directory, and answers what the hooks and Fluent Bit ask. Linked statically.
 *
 * Environment: HTTP_PORT (9200; 0: any free one, printed), PATH_DATA, NODE_NAME, REPLICAS (the nodes it says there
 * are). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define VERSION "7.10.2"
#define MAX_INDICES 1024
#define MAX_BODY ((size_t)64 << 20)
#define SUFFIX ".count"

struct index_count {
    char name[256];
    unsigned long long documents;
};

static struct index_count indices[MAX_INDICES];
static size_t n_indices;
static const char *node = "elasticsearch";
static int nodes = 1;

struct request {
    char method[16], path[2048];
    char *query; /* NULL: none */
    char *body;
    size_t length;
};

struct text {
    char *data;
    size_t len;
};

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *text, const char *format, ...)
{
    char *piece = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&piece, format, args);
    va_end(args);
    char *data_now = n < 0 ? NULL : realloc(text->data, text->len + (size_t)n + 1);
    if (data_now == NULL) {
        abort();
    }
    memcpy(data_now + text->len, piece, (size_t)n + 1);
    text->data = data_now;
    text->len += (size_t)n;
    free(piece);
}

static bool good_name(const char *name)
{
    return name[0] != '\0' && name[0] != '_' && name[0] != '.' && strchr(name, '/') == NULL && strlen(name) < 200;
}

/* A data directory that cannot be written (the container runs as a user of its own) costs only that counts are not
 * kept. */
static void keep(const struct index_count *index)
{
    struct text path = {0};
    struct text beside = {0};
    add(&path, "%s" SUFFIX, index->name);
    add(&beside, "%s.new", path.data);
    FILE *file = fopen(beside.data, "we");
    if (file != NULL && fprintf(file, "%llu\n", index->documents) > 0 && fclose(file) == 0) {
        (void)rename(beside.data, path.data);
    }
    free(path.data);
    free(beside.data);
}

static struct index_count *index_of(const char *name)
{
    for (size_t i = 0; i < n_indices; i++) {
        if (strcmp(indices[i].name, name) == 0) {
            return &indices[i];
        }
    }
    if (!good_name(name) || n_indices == MAX_INDICES) {
        return NULL;
    }
    struct index_count *index = &indices[n_indices++];
    *index = (struct index_count){0};
    (void)snprintf(index->name, sizeof index->name, "%s", name);
    return index;
}

static void load(void)
{
    DIR *directory = opendir(".");
    for (struct dirent *entry = directory != NULL ? readdir(directory) : NULL; entry != NULL;
         entry = readdir(directory)) {
        size_t len = strlen(entry->d_name);
        if (len <= strlen(SUFFIX) || strcmp(entry->d_name + len - strlen(SUFFIX), SUFFIX) != 0) {
            continue;
        }
        char line[64] = "";
        FILE *file = fopen(entry->d_name, "re");
        entry->d_name[len - strlen(SUFFIX)] = '\0';
        struct index_count *index = file != NULL ? index_of(entry->d_name) : NULL;
        if (index != NULL && fgets(line, sizeof line, file) != NULL) {
            index->documents = strtoull(line, NULL, 10);
        }
        if (file != NULL) {
            (void)fclose(file);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
}

/* LIST is names and patterns with commas between; "" and "_all" mean every index. */
static bool in_list(const char *list, const char *name)
{
    char copy[2048];
    (void)snprintf(copy, sizeof copy, "%s", list);
    if (copy[0] == '\0' || strcmp(copy, "_all") == 0) {
        return true;
    }
    char *rest = copy;
    for (char *pattern = strsep(&rest, ","); pattern != NULL; pattern = strsep(&rest, ",")) {
        if (fnmatch(pattern, name, 0) == 0) {
            return true;
        }
    }
    return false;
}

static int get_root(struct text *out)
{
    add(out,
        "{\"name\":\"%s\",\"cluster_name\":\"kubernetes-logging\",\"version\":{\"number\":\"" VERSION
        "\",\"build_flavor\":\"oss\"},\"tagline\":\"You Know, for Search\"}\n",
        node);
    return 200;
}

static int get_health(struct text *out)
{
    size_t copies = nodes > 1 ? 2 : 1;
    add(out,
        "{\"cluster_name\":\"kubernetes-logging\",\"status\":\"green\",\"timed_out\":false,\"number_of_nodes\":%d,"
        "\"number_of_data_nodes\":%d,\"active_primary_shards\":%zu,\"active_shards\":%zu,\"relocating_shards\":0,"
        "\"initializing_shards\":0,\"unassigned_shards\":0,\"number_of_pending_tasks\":0,"
        "\"active_shards_percent_as_number\":100.0}\n",
        nodes, nodes, n_indices, n_indices * copies);
    return 200;
}

static int get_indices(const char *query, struct text *out)
{
    bool json = query != NULL && strstr(query, "format=json") != NULL;
    int copies = nodes > 1;
    add(out, "%s", json ? "[" : "");
    for (size_t i = 0; i < n_indices; i++) {
        if (json) {
            add(out,
                "%s{\"health\":\"green\",\"status\":\"open\",\"index\":\"%s\",\"pri\":\"1\",\"rep\":\"%d\","
                "\"docs.count\":\"%llu\"}",
                i > 0 ? "," : "", indices[i].name, copies, indices[i].documents);
        } else {
            add(out, "green open %s 1 %d %llu\n", indices[i].name, copies, indices[i].documents);
        }
    }
    add(out, "%s", json ? "]\n" : "");
    return 200;
}

static int get_count(const char *list, struct text *out)
{
    unsigned long long sum = 0;
    for (size_t i = 0; i < n_indices; i++) {
        sum += in_list(list, indices[i].name) ? indices[i].documents : 0;
    }
    add(out, "{\"count\":%llu,\"_shards\":{\"total\":%zu,\"successful\":%zu,\"skipped\":0,\"failed\":0}}\n", sum,
        n_indices, n_indices);
    return 200;
}

static int delete_indices(const char *list, struct text *out)
{
    size_t kept = 0;
    size_t before = n_indices;
    for (size_t i = 0; i < before; i++) {
        if (in_list(list, indices[i].name)) {
            struct text path = {0};
            add(&path, "%s" SUFFIX, indices[i].name);
            (void)unlink(path.data);
            free(path.data);
        } else {
            indices[kept++] = indices[i];
        }
    }
    n_indices = kept;
    if (kept == before && strpbrk(list, "*") == NULL) {
        add(out, "{\"error\":{\"type\":\"index_not_found_exception\",\"index\":\"%s\"},\"status\":404}\n", list);
        return 404;
    }
    add(out, "{\"acknowledged\":true}\n");
    return 200;
}

/* The text after "NAME": in one line of JSON, up to its closing quote; false when there is none. */
static bool text_member(const char *line, const char *name, char *value, size_t size)
{
    char key[64];
    (void)snprintf(key, sizeof key, "\"%s\"", name);
    const char *at = strstr(line, key);
    at = at != NULL ? strchr(at + strlen(key), '"') : NULL;
    const char *end = at != NULL ? strchr(at + 1, '"') : NULL;
    if (end == NULL || (size_t)(end - at) > size) {
        return false;
    }
    (void)snprintf(value, size, "%.*s", (int)(end - at - 1), at + 1);
    return true;
}

/* An action line, and for all but "delete" the document in the next line; URL_INDEX serves lines that name none. */
static int post_bulk(const char *url_index, char *body, struct text *out)
{
    struct text items = {0};
    bool errors = false;
    bool document = false;
    char *rest = body;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        char name[256];
        if (line[0] == '\0' || document) {
            document = false;
            continue;
        }
        if (!text_member(line, "_index", name, sizeof name)) {
            (void)snprintf(name, sizeof name, "%s", url_index);
        }
        struct index_count *index = index_of(name);
        bool deletes = strstr(line, "\"delete\"") != NULL;
        document = !deletes;
        errors = errors || index == NULL;
        if (index != NULL && !deletes) {
            index->documents++;
        }
        add(&items, "%s{\"index\":{\"_index\":\"%s\",\"status\":%d}}", items.len > 0 ? "," : "", name,
            index == NULL ? 400 : 201);
    }
    for (size_t i = 0; i < n_indices; i++) {
        keep(&indices[i]);
    }
    add(out, "{\"took\":1,\"errors\":%s,\"items\":[%s]}\n", errors ? "true" : "false",
        items.data != NULL ? items.data : "");
    free(items.data);
    return 200;
}

static int post_document(const char *name, struct text *out)
{
    struct index_count *index = index_of(name);
    if (index == NULL) {
        add(out, "{\"error\":{\"type\":\"invalid_index_name_exception\",\"index\":\"%s\"},\"status\":400}\n", name);
        return 400;
    }
    index->documents++;
    keep(index);
    add(out, "{\"_index\":\"%s\",\"result\":\"created\"}\n", name);
    return 201;
}

static int answer(struct request *request, struct text *out)
{
    bool get = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
    bool post = strcmp(request->method, "POST") == 0 || strcmp(request->method, "PUT") == 0;
    char *first = request->path + 1;
    char *second = strchr(first, '/');
    if (second != NULL) {
        *second++ = '\0';
    }
    const char *verb = first[0] == '_' || second == NULL ? first : second;
    const char *index = first[0] == '_' ? "" : first;
    if (get && first[0] == '\0') {
        return get_root(out);
    }
    if (get && strcmp(first, "_cluster") == 0 && second != NULL && strcmp(second, "health") == 0) {
        return get_health(out);
    }
    if (get && strcmp(first, "_cat") == 0 && second != NULL && strcmp(second, "indices") == 0) {
        return get_indices(request->query, out);
    }
    if (strcmp(verb, "_count") == 0) {
        return get_count(index, out);
    }
    if (post && strcmp(verb, "_bulk") == 0) {
        return post_bulk(index, request->body, out);
    }
    if (post && index[0] != '\0' && second != NULL && strncmp(second, "_doc", 4) == 0) {
        return post_document(index, out);
    }
    if (strcmp(request->method, "DELETE") == 0 && index[0] != '\0' && second == NULL) {
        return delete_indices(index, out);
    }
    add(out, "{\"error\":\"this stand-in has no %s /%s\",\"status\":400}\n", request->method, first);
    return 400;
}

static bool send_all(int fd, const char *bytes, size_t len)
{
    for (ssize_t n = 0; len > 0; bytes += n, len -= (size_t)n) {
        n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
    }
    return true;
}

static size_t content_length(const char *head)
{
    for (const char *line = strchr(head, '\n'); line != NULL; line = strchr(line + 1, '\n')) {
        if (strncasecmp(line + 1, "Content-Length:", 15) == 0) {
            return (size_t)strtoull(line + 16, NULL, 10);
        }
    }
    return 0;
}

/* Reads up to the end of the head and then the body it announces; the caller frees request->body. */
static bool receive(int fd, struct request *request)
{
    static char head[65536];
    size_t len = 0;
    char *end = NULL;
    while (end == NULL) {
        ssize_t n = len + 1 < sizeof head ? recv(fd, head + len, sizeof head - len - 1, 0) : -1;
        if (n <= 0) {
            return false;
        }
        len += (size_t)n;
        head[len] = '\0';
        end = strstr(head, "\r\n\r\n");
    }
    *end = '\0';
    request->length = content_length(head);
    if (sscanf(head, "%15s %2047s", request->method, request->path) != 2 || request->path[0] != '/' ||
        request->length > MAX_BODY) {
        return false;
    }
    if (strcasestr(head, "\nExpect: 100-continue") != NULL && !send_all(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25)) {
        return false;
    }
    request->body = calloc(request->length + 1, 1);
    size_t got = len - (size_t)(end + 4 - head);
    got = got < request->length ? got : request->length;
    if (request->body == NULL) {
        return false;
    }
    memcpy(request->body, end + 4, got);
    for (ssize_t n = 0; got < request->length; got += (size_t)n) {
        n = recv(fd, request->body + got, request->length - got, 0);
        if (n <= 0) {
            return false;
        }
    }
    request->query = strchr(request->path, '?');
    if (request->query != NULL) {
        *request->query++ = '\0';
    }
    return true;
}

static void serve(int fd)
{
    struct timeval limit = {.tv_sec = 5};
    struct request request = {0};
    struct text out = {0};
    struct text head = {0};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (receive(fd, &request)) {
        int code = answer(&request, &out);
        bool json = out.len > 0 && (out.data[0] == '{' || out.data[0] == '[');
        add(&head, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", code,
            code < 300 ? "OK" : "Error", json ? "application/json" : "text/plain", out.len);
        if (send_all(fd, head.data, head.len) && strcmp(request.method, "HEAD") != 0 && out.len > 0) {
            (void)send_all(fd, out.data, out.len);
        }
    }
    free(request.body);
    free(out.data);
    free(head.data);
}

static void end(int signal)
{
    (void)signal;
    _exit(0);
}

static int listen_on(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, 64) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0) {
        perror("elasticsearch: cannot listen");
        exit(1);
    }
    (void)printf("listening on %d\n", ntohs(address.sin_port));
    (void)fflush(stdout);
    return fd;
}

static const char *setting(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : otherwise;
}

int main(void)
{
    struct sigaction on_end = {.sa_handler = end};
    if (sigaction(SIGTERM, &on_end, NULL) != 0 || sigaction(SIGINT, &on_end, NULL) != 0) {
        return 1;
    }
    if (chdir(setting("PATH_DATA", "/usr/share/elasticsearch/data")) == 0) {
        load();
    }
    node = setting("NODE_NAME", node);
    nodes = (int)strtol(setting("REPLICAS", "1"), NULL, 10);
    int listener = listen_on((int)strtol(setting("HTTP_PORT", "9200"), NULL, 10));
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0) {
            serve(fd);
            close(fd);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            perror("elasticsearch: accept");
            return 1;
        }
    }
}
