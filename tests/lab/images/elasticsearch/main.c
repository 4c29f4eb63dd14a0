#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lab/images/elasticsearch/cluster.h"
#include "tests/lab/images/elasticsearch/elasticsearch.h"
#include "tests/lab/images/shared/program.h"
#include "tests/lab/images/shared/yaml.h"

#define CONF_DIRECTORY "/usr/share/elasticsearch/config" /* unless ES_PATH_CONF says another */

enum { TRANSPORT_PORT = 9300 };

struct node node = {.name = "elasticsearch", .recover_after = 1, .expected = 1, .heap = 1LL << 30};

/* What of the settings is needed once, at the start. */
struct settings {
    char *data;
    char *publish_host;
    bool outside; /* network.host is not the loopback */
    int http_port, transport_port;
};

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
                                        "transport.port",
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

static char **take_list(const char *list)
{
    _cleanup_free_ char *blanks = xstrdup(list);
    replace_char(blanks, ',', ' ');
    return strv_split(blanks);
}

static void take_setting(struct settings *settings, const char *key, const char *text)
{
    if (strcmp(key, "path.data") == 0) {
        settings->data = xstrdup(text);
    } else if (strcmp(key, "node.name") == 0) {
        node.name = xstrdup(text);
    } else if (strcmp(key, "network.host") == 0) {
        settings->outside = strncmp(text, "127.", 4) != 0 && strcmp(text, "_local_") != 0;
    } else if (strcmp(key, "network.publish_host") == 0) {
        settings->publish_host = xstrdup(text);
    } else if (strcmp(key, "http.port") == 0) {
        settings->http_port = number_of(text);
    } else if (strcmp(key, "transport.port") == 0) {
        settings->transport_port = number_of(text);
    } else if (strcmp(key, "discovery.seed_hosts") == 0) {
        node.seeds = take_list(text);
    } else if (strcmp(key, "cluster.initial_master_nodes") == 0) {
        node.initial = take_list(text);
    } else if (strcmp(key, "gateway.recover_after_data_nodes") == 0) {
        node.recover_after = number_of(text);
    } else if (strcmp(key, "gateway.expected_data_nodes") == 0) {
        node.expected = number_of(text);
    }
}

static void read_conf(struct settings *settings)
{
    const char *key;
    json_t *value;
    const char *given = getenv("ES_PATH_CONF");
    _cleanup_free_ char *path = xasprintf("%s/elasticsearch.yml", given == NULL ? CONF_DIRECTORY : given);
    _cleanup_json_ json_t *conf = access(path, F_OK) == 0 ? yaml_read(path) : NULL;
    json_object_foreach (conf, key, value) {
        _cleanup_free_ char *text = substituted(value);
        if (!known_setting(key)) {
            fail("java.lang.IllegalArgumentException: unknown setting [%s]", key);
        }
        take_setting(settings, key, text);
    }
}

/* Reached from elsewhere it must be told of the others, or that there are none; else it is a cluster by itself. */
static void check_discovery(const struct settings *settings)
{
    if (node.seeds == NULL && node.initial == NULL && settings->outside) {
        fail("bootstrap check failure: the default discovery settings are unsuitable for production use; at least one "
             "of "
             "[discovery.seed_hosts, discovery.seed_providers, cluster.initial_master_nodes] must be configured");
    }
    if (node.seeds == NULL && node.initial == NULL) {
        node.initial = strv_split("");
        strv_push(&node.initial, node.name);
    }
    node.seeds = node.seeds == NULL ? strv_split("") : node.seeds;
    node.initial = node.initial == NULL ? strv_split("") : node.initial;
}

static char *new_id(void)
{
    unsigned char bytes[8];
    char text[17] = "";
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) {
        fail("getrandom: %s", strerror(errno));
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
    return xstrdup(text);
}

/* A heap that is no number, or that grows, the real one refuses (its bootstrap checks). Without one it has 1 GiB. */
static void take_heap(void)
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
    const char unit = (char)tolower((unsigned char)least[4 + digits]);
    node.heap = strtoll(least + 4, NULL, 10) << (unit == 'k' ? 10 : unit == 'm' ? 20 : 30);
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

/* The directory that the data is in; the environment has it, and the node's name, where there is no configuration. */
static void enter_data(const struct settings *settings)
{
    const char *given = getenv("PATH_DATA");
    const char *directory = given != NULL ? given : settings->data;
    if (directory != NULL && (chdir(directory) != 0 || access(".", W_OK) != 0)) {
        fail("java.lang.IllegalStateException: failed to obtain node locks, tried [[%s]]: %s", directory,
             strerror(errno));
    }
}

int main(int argc, char **argv)
{
    struct flag flags[] = {{NULL, FLAG_TEXT, false, NULL}};
    struct settings settings = {.http_port = 9200, .transport_port = TRANSPORT_PORT};
    const char *port_text = getenv("HTTP_PORT");
    (void)argc;
    flags_parse(flags, argv);
    end_on_signals();
    take_heap();
    read_conf(&settings);
    node.name = getenv("NODE_NAME") != NULL ? getenv("NODE_NAME") : node.name;
    check_discovery(&settings);
    enter_data(&settings);
    node.id = new_id();
    node.transport_port = node.seeds == NULL || *node.seeds == NULL ? 0 : settings.transport_port;
    node.address = xasprintf("%s:%d", settings.publish_host == NULL ? "127.0.0.1" : settings.publish_host,
                             settings.transport_port);
    int port = port_text == NULL ? settings.http_port : number_of(port_text);
    port = port == 0 ? free_port() : port;
    cluster_start();
    http_serve(port, NULL, es_answer, NULL);
    (void)printf("listening on %d\n", port);
    (void)fflush(stdout);
    for (;;) {
        (void)pause();
    }
}
