#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lab/images/elasticsearch/elasticsearch.h"
#include "tests/lab/images/shared/program.h"
#include "tests/lab/images/shared/yaml.h"

#define CONF "/usr/share/elasticsearch/config/elasticsearch.yml"

struct node node = {.name = "elasticsearch", .nodes = 1};

/* "${NAME}" is the environment's. */
static char *substituted(const json_t *value)
{
    const char *text = json_string_value(value);
    size_t len = text == NULL ? 0 : strlen(text);
    if (len > 3 && strncmp(text, "${", 2) == 0 && text[len - 1] == '}') {
        _cleanup_free_ char *name = xstrndup(text + 2, len - 3);
        return xstrdup(must_env(name));
    }
    return text != NULL ? xstrdup(text) : json_dumps(value, JSON_ENCODE_ANY);
}

static bool known_setting(const char *key)
{
    static const char *const known[] = {"cluster.name",
                                        "node.name",
                                        "path.data",
                                        "path.logs",
                                        "network.host",
                                        "network.publish_host",
                                        "http.port",
                                        "discovery.seed_hosts",
                                        "cluster.initial_master_nodes",
                                        "gateway.recover_after_data_nodes",
                                        "gateway.expected_data_nodes",
                                        "action.auto_create_index",
                                        "bootstrap.memory_lock",
                                        "cluster.max_shards_per_node",
                                        "indices.query.bool.max_clause_count"};
    for (size_t i = 0; i < ELEMENTS(known); i++) {
        if (strcmp(known[i], key) == 0) {
            return true;
        }
    }
    return false;
}

static void take_members(const char *list)
{
    _cleanup_free_ char *copy = xstrdup(list);
    char *rest = NULL;
    for (char *name = strtok_r(copy, ", ", &rest); name != NULL; name = strtok_r(NULL, ", ", &rest)) {
        json_array_append_new(node.members, json_string(name));
    }
}

static char *read_conf(void)
{
    const char *key;
    json_t *value;
    char *data = NULL;
    _cleanup_json_ json_t *conf = access(CONF, F_OK) == 0 ? yaml_read(CONF) : NULL;
    json_object_foreach (conf, key, value) {
        char *text = substituted(value);
        if (!known_setting(key)) {
            fail("java.lang.IllegalArgumentException: unknown setting [%s]", key);
        }
        if (strcmp(key, "path.data") == 0) {
            data = xstrdup(text);
        } else if (strcmp(key, "node.name") == 0) {
            node.name = xstrdup(text);
        } else if (strcmp(key, "gateway.expected_data_nodes") == 0) {
            node.nodes = number_of(text);
        } else if (strcmp(key, "cluster.initial_master_nodes") == 0) {
            take_members(text);
        }
        free(text);
    }
    return data;
}

/* A heap that is no number, or that grows, the real one refuses (its bootstrap checks). */
static void check_heap(void)
{
    const char *options = getenv("ES_JAVA_OPTS");
    const char *least = options == NULL ? NULL : strstr(options, "-Xms");
    const char *most = options == NULL ? NULL : strstr(options, "-Xmx");
    if (least == NULL && most == NULL) {
        return;
    }
    size_t digits = least == NULL ? 0 : strspn(least + 4, "0123456789");
    if (digits == 0 || most == NULL || strncmp(least + 4, most + 4, digits + 1) != 0 ||
        strchr("kmgKMG", least[4 + digits]) == NULL) {
        fail("ES_JAVA_OPTS: initial heap size not equal to maximum heap size: %s", options);
    }
}

/* For tests that run it beside others: any free port, printed. */
static int free_port(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof here;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&here, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&here, &size) != 0) {
        fail("no free port: %s", strerror(errno));
    }
    close(fd);
    return ntohs(here.sin_port);
}

int main(int argc, char **argv)
{
    struct flag flags[] = {{NULL, FLAG_TEXT, false, NULL}};
    const char *given = getenv("PATH_DATA");
    const char *port_text = getenv("HTTP_PORT");
    (void)argc;
    flags_parse(flags, argv);
    end_on_signals();
    check_heap();
    node.members = json_array();
    node.settings = json_object();
    _cleanup_free_ char *data = read_conf();
    node.name = getenv("NODE_NAME") != NULL ? getenv("NODE_NAME") : node.name;
    node.nodes = getenv("REPLICAS") != NULL ? number_of(getenv("REPLICAS")) : node.nodes;
    const char *directory = given != NULL ? given : data;
    if (directory != NULL && (chdir(directory) != 0 || access(".", W_OK) != 0)) {
        fail("java.lang.IllegalStateException: failed to obtain node locks, tried [[%s]]: %s", directory,
             strerror(errno));
    }
    if (json_array_size(node.members) == 0) {
        json_array_append_new(node.members, json_string(node.name));
    }
    templates_load();
    store_load();
    int port = port_text == NULL ? 9200 : number_of(port_text);
    port = port == 0 ? free_port() : port;
    http_serve(port, NULL, es_answer, NULL);
    (void)printf("listening on %d\n", port);
    (void)fflush(stdout);
    for (;;) {
        (void)pause();
    }
}
