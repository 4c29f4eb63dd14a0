/* Stands for Kibana 7: settings from the environment as its image's start script takes them and from kibana.yml, both
 * refused when not known or malformed; its index in Elasticsearch; status, pages and saved objects below the base
 * path. */
#include <ctype.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/http.h"
#include "tests/lab/images/shared/program.h"
#include "tests/lab/images/shared/yaml.h"

#define CONF "/usr/share/kibana/config/kibana.yml"
#define VERSION "7.10.2"

enum kind { TEXT, NUMBER, SWITCH, PATH, URL };

static struct setting {
    const char *name; /* in kibana.yml; the environment has it in capitals, "_" for "." and before capitals none */
    enum kind kind;
    char *value;
} settings[] = {
    {"elasticsearch.hosts", URL, NULL},
    {"server.name", TEXT, NULL},
    {"server.host", TEXT, NULL},
    {"server.port", NUMBER, NULL},
    {"server.basePath", PATH, NULL},
    {"server.rewriteBasePath", SWITCH, NULL},
    {"server.publicBaseUrl", URL, NULL},
    {"kibana.index", TEXT, NULL},
    {"kibana.defaultAppId", TEXT, NULL},
    {"i18n.locale", TEXT, NULL},
    {"logging.quiet", SWITCH, NULL},
    {"logging.silent", SWITCH, NULL},
    {"logging.verbose", SWITCH, NULL},
    {"telemetry.enabled", SWITCH, NULL},
    {"telemetry.optIn", SWITCH, NULL},
    {"elasticsearch.requestTimeout", NUMBER, NULL},
    {"elasticsearch.pingTimeout", NUMBER, NULL},
    {"server.maxPayloadBytes", NUMBER, NULL},
};

static struct {
    char *host, *path;
    int port;
    bool secure;
} elasticsearch;
static bool available;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static json_t *saved; /* saved objects by "type:id" */

static bool fits(enum kind kind, const char *value)
{
    size_t len = value == NULL ? 0 : strlen(value);
    if (value == NULL) {
        return false;
    }
    switch (kind) {
    case TEXT:
        return len > 0;
    case NUMBER:
        return len > 0 && value[strspn(value, "0123456789")] == '\0';
    case SWITCH:
        return strcmp(value, "true") == 0 || strcmp(value, "false") == 0;
    case PATH: /* "must start with a slash, don't end with one" */
        return len == 0 || (value[0] == '/' && value[len - 1] != '/');
    case URL:
        return strncmp(value, "http://", 7) == 0 || strncmp(value, "https://", 8) == 0;
    }
    return false;
}

static void take(struct setting *setting, const char *value)
{
    if (!fits(setting->kind, value)) {
        fail("FATAL Error: [config validation of [%s]]: '%s'", setting->name, value);
    }
    free(setting->value);
    setting->value = xstrdup(value);
}

static const char *setting(const char *name, const char *usual)
{
    for (size_t i = 0; i < ELEMENTS(settings); i++) {
        if (strcmp(settings[i].name, name) == 0) {
            return settings[i].value == NULL ? usual : settings[i].value;
        }
    }
    fail("no setting %s is known", name);
}

static void read_file(void)
{
    const char *key;
    json_t *value;
    _cleanup_json_ json_t *conf = access(CONF, F_OK) == 0 ? yaml_read(CONF) : NULL;
    json_object_foreach (conf, key, value) {
        struct setting *found = NULL;
        for (size_t i = 0; i < ELEMENTS(settings); i++) {
            found = strcmp(settings[i].name, key) == 0 ? &settings[i] : found;
        }
        if (found == NULL) {
            fail("FATAL Error: Unknown configuration key(s): \"%s\"", key);
        }
        const json_t *one = json_is_array(value) ? json_array_get(value, 0) : value;
        _cleanup_free_ char *text =
            json_is_string(one) ? xstrdup(json_string_value(one)) : json_dumps(one, JSON_ENCODE_ANY);
        take(found, text);
    }
}

/* SERVER_REWRITEBASEPATH is server.rewriteBasePath; what names no setting is another's. */
static void read_environment(void)
{
    for (size_t i = 0; i < ELEMENTS(settings); i++) {
        char name[64];
        size_t n = 0;
        for (const char *c = settings[i].name; *c != '\0' && n + 1 < sizeof name; c++) {
            name[n++] = (char)toupper((unsigned char)*c);
        }
        name[n] = '\0';
        replace_char(name, '.', '_');
        if (getenv(name) != NULL) {
            take(&settings[i], getenv(name));
        }
    }
}

static int call_elasticsearch(const char *method, const char *path, const char *body, json_t **answer)
{
    struct http_server server = {elasticsearch.host, elasticsearch.port, elasticsearch.secure, NULL, 10};
    struct http_call call = {.method = method,
                             .path = path,
                             .type = "application/json",
                             .body = body,
                             .length = body == NULL ? 0 : strlen(body)};
    struct http_answer got;
    int status = http_call(&server, &call, &got);
    *answer = json_loadb(got.body.data, got.body.len, 0, NULL);
    buffer_free(&got.body);
    return status;
}

/* A version that fits, and the index of saved objects; as the real one it waits for both for as long as it takes. */
static void *watch_elasticsearch(void *data)
{
    (void)data;
    _cleanup_free_ char *index = xasprintf("/%s_1", setting("kibana.index", ".kibana"));
    for (;;) {
        _cleanup_json_ json_t *root = NULL;
        _cleanup_json_ json_t *made = NULL;
        int status = call_elasticsearch("GET", "/", NULL, &root);
        const char *version = text_at(root, "version number");
        if (status == 200 && strncmp(version, "7.", 2) != 0) {
            say("This version of Kibana (v" VERSION ") is incompatible with Elasticsearch v%s", version);
            status = 0;
        }
        if (status == 200 && !available) {
            int code = call_elasticsearch("PUT", index, "{\"settings\":{\"number_of_shards\":1}}", &made);
            status = code == 200 || (code == 400 &&
                                     strcmp(text_at(made, "error type"), "resource_already_exists_exception") == 0)
                         ? 200
                         : 0;
        }
        available = status == 200;
        (void)sleep(available ? 5 : 2);
    }
    return NULL;
}

static void answer_status(struct http_reply *reply)
{
    reply->status = available ? 200 : 503;
    reply_json(reply, json_pack("{ss s{ss} s{s{ss}}}", "name", setting("server.name", "kibana"), "version", "number",
                                VERSION, "status", "overall", "state", available ? "green" : "red"));
}

/* Lines of JSON in a multipart body, each an object with its type and id. */
static void answer_import(const struct http_request *request, struct http_reply *reply)
{
    _cleanup_free_ char *guard = http_header(request, "kbn-xsrf");
    char *rest = NULL;
    int count = 0;
    if (guard == NULL) {
        reply->status = 400;
        reply_json(reply,
                   json_pack("{si ss}", "statusCode", 400, "message", "Request must contain a kbn-xsrf header."));
        return;
    }
    (void)pthread_mutex_lock(&lock);
    for (char *line = strtok_r(request->body, "\r\n", &rest); line != NULL; line = strtok_r(NULL, "\r\n", &rest)) {
        json_t *object = line[0] == '{' ? json_loads(line, 0, NULL) : NULL;
        if (object != NULL && text_at(object, "type")[0] != '\0') {
            _cleanup_free_ char *key = xasprintf("%s:%s", text_at(object, "type"), text_at(object, "id"));
            json_object_set(saved, key, object);
            count++;
        }
        json_decref(object);
    }
    (void)pthread_mutex_unlock(&lock);
    reply_json(reply, json_pack("{sb si}", "success", count > 0, "successCount", count));
}

static void answer_find(struct http_reply *reply)
{
    const char *key;
    json_t *value;
    json_t *list = json_array();
    (void)pthread_mutex_lock(&lock);
    json_object_foreach (saved, key, value) {
        json_array_append(list, value);
    }
    (void)pthread_mutex_unlock(&lock);
    reply_json(reply, json_pack("{si si sI so}", "page", 1, "per_page", 20, "total", (json_int_t)json_array_size(list),
                                "saved_objects", list));
}

static void answer_page(struct http_reply *reply, const char *base)
{
    reply->type = "text/html; charset=utf-8";
    buffer_printf(&reply->body,
                  "<!DOCTYPE html><html><head><title>Elastic</title><base href=\"%s/\"><link rel=\"icon\" "
                  "href=\"%s/ui/favicons/favicon.ico\"></head><body><script src=\"%s/bootstrap.js\"></script></body>"
                  "</html>\n",
                  base, base, base);
}

static void answer(const struct http_request *request, struct http_reply *reply, void *data)
{
    (void)data;
    const char *base = setting("server.basePath", "");
    bool rewrite = strcmp(setting("server.rewriteBasePath", "false"), "true") == 0;
    const char *path = request->path;
    if (rewrite) {
        path = strncmp(path, base, strlen(base)) == 0 ? path + strlen(base) : "/404";
        path = path[0] == '\0' ? "/" : path;
    }
    if (strcmp(path, "/api/status") == 0) {
        answer_status(reply);
    } else if (!available) {
        reply->status = 503;
        buffer_puts(&reply->body, "Kibana server is not ready yet");
    } else if (strcmp(path, "/") == 0) {
        reply->status = 302;
        reply->location = xasprintf("%s/app/home", base);
    } else if (strncmp(path, "/app/", 5) == 0) {
        answer_page(reply, base);
    } else if (strcmp(path, "/api/saved_objects/_import") == 0 && strcmp(request->method, "POST") == 0) {
        answer_import(request, reply);
    } else if (strcmp(path, "/api/saved_objects/_find") == 0) {
        answer_find(reply);
    } else {
        reply->status = 404;
        reply_json(reply, json_pack("{si ss}", "statusCode", 404, "error", "Not Found"));
    }
}

int main(int argc, char **argv)
{
    struct flag flags[] = {{NULL, FLAG_TEXT, false, NULL}};
    pthread_t thread;
    (void)argc;
    flags_parse(flags, argv);
    end_on_signals();
    read_file();
    read_environment();
    saved = json_object();
    if (!http_url(setting("elasticsearch.hosts", "http://elasticsearch:9200"), &elasticsearch.host, &elasticsearch.port,
                  &elasticsearch.secure, &elasticsearch.path)) {
        fail("elasticsearch.hosts: not a URL");
    }
    http_serve(number_of(setting("server.port", "5601")), NULL, answer, NULL);
    if (pthread_create(&thread, NULL, watch_elasticsearch, NULL) != 0) {
        fail("making a thread failed");
    }
    (void)pthread_join(thread, NULL);
    return 1;
}
