#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lab/images/fluent-bit/fluent_bit.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/http.h"
#include "tests/lab/images/shared/program.h"

#define VERSION "1.8.15"

static long started;

/* "tail.0": the plugin and its place among those of its name. */
static char *instance(size_t index)
{
    const char *alias = conf_text(&sections[index], "alias", NULL);
    size_t before = 0;
    for (size_t i = 0; i < index; i++) {
        before += strcmp(sections[i].kind, sections[index].kind) == 0 &&
                  strcasecmp(sections[i].name, sections[index].name) == 0;
    }
    return alias != NULL ? xstrdup(alias) : xasprintf("%s.%zu", sections[index].name, before);
}

static void put_metric(struct buffer *out, const char *name, const char *plugin, unsigned long value)
{
    buffer_printf(out, "# TYPE fluentbit_%s_total counter\nfluentbit_%s_total{name=\"%s\"} %lu\n", name, name, plugin,
                  value);
}

static void put_metrics(struct buffer *out)
{
    const struct {
        const char *name;
        size_t offset;
    } of_output[] = {{"output_proc_records", offsetof(struct counters, sent)},
                     {"output_errors", offsetof(struct counters, errors)},
                     {"output_retries", offsetof(struct counters, retries)},
                     {"output_retries_failed", offsetof(struct counters, failed)},
                     {"output_dropped_records", offsetof(struct counters, dropped)}};
    for (size_t i = 0; i < n_sections; i++) {
        if (strcmp(sections[i].kind, "INPUT") == 0) {
            _cleanup_free_ char *name = instance(i);
            buffer_printf(
                out, "fluentbit_input_records_total{name=\"%s\"} %lu\nfluentbit_input_bytes_total{name=\"%s\"} %lu\n",
                name, counters[i].records, name, counters[i].bytes);
        }
    }
    for (size_t i = 0; i < n_sections; i++) {
        for (size_t m = 0; strcmp(sections[i].kind, "OUTPUT") == 0 && m < ELEMENTS(of_output); m++) {
            _cleanup_free_ char *name = instance(i);
            put_metric(out, of_output[m].name, name,
                       *(const unsigned long *)((const char *)&counters[i] + of_output[m].offset));
        }
    }
    buffer_printf(out, "# TYPE fluentbit_uptime counter\nfluentbit_uptime %ld\n", now_s() - started);
}

static void answer(const struct http_request *request, struct http_reply *reply, void *data)
{
    (void)data;
    if (strcmp(request->path, "/") == 0) {
        reply_json(reply, json_pack("{s{ss ss}}", "fluent-bit", "version", VERSION, "edition", "Community"));
    } else if (strcmp(request->path, "/api/v1/uptime") == 0) {
        reply_json(reply, json_pack("{sI}", "uptime_sec", (json_int_t)(now_s() - started)));
    } else if (strcmp(request->path, "/api/v1/metrics/prometheus") == 0) {
        reply->type = "text/plain; version=0.0.4";
        put_metrics(&reply->body);
    } else if (strcmp(request->path, "/api/v1/health") == 0 && conf_on(conf_service(), "health_check", false)) {
        reply->type = "text/plain";
        buffer_puts(&reply->body, "ok\n");
    } else {
        reply->status = 404;
    }
}

static void check_storage(void)
{
    const char *path = conf_text(conf_service(), "storage.path", NULL);
    for (size_t i = 0; i < n_sections; i++) {
        if (strcmp(conf_text(&sections[i], "storage.type", "memory"), "filesystem") == 0 && path == NULL) {
            fail("[storage] input %s asks for filesystem, but storage.path is not set", sections[i].name);
        }
    }
    if (path != NULL && (mkdir(path, 0755) != 0 && access(path, W_OK) != 0)) {
        fail("[storage] cannot initialize root path %s", path);
    }
}

static void start_plugins(void)
{
    for (size_t i = 0; i < n_sections; i++) {
        const struct section *section = &sections[i];
        struct timespec never = {0};
        if (strcmp(section->kind, "FILTER") == 0 && strcasecmp(section->name, "lua") == 0) {
            (void)filter_lua(section, "", never, NULL);
        }
        if (strcmp(section->kind, "FILTER") == 0 && strcasecmp(section->name, "kubernetes") == 0) {
            cluster_open();
        }
    }
    outputs_start();
    for (size_t i = 0; i < n_sections; i++) {
        if (strcmp(sections[i].kind, "INPUT") != 0) {
            continue;
        }
        if (strcasecmp(sections[i].name, "tail") == 0) {
            tail_start(i);
        } else if (strcasecmp(sections[i].name, "systemd") == 0) {
            units_start(i);
        } else {
            forward_start(i);
        }
    }
}

int main(int argc, char **argv)
{
    struct flag flags[] = {
        {"config", FLAG_FILE, false, NULL}, {"c", FLAG_FILE, false, NULL}, {NULL, FLAG_TEXT, false, NULL}};
    (void)argc;
    started = now_s();
    flags_parse(flags, argv);
    end_on_signals();
    const char *path = flag_text(flags, "config") != NULL ? flag_text(flags, "config") : flag_text(flags, "c");
    if (path == NULL) {
        fail("--config must be given");
    }
    conf_read(path);
    counters = xcalloc(n_sections + 1, sizeof *counters);
    check_storage();
    if (conf_on(conf_service(), "http_server", false)) {
        http_serve(number_of(conf_text(conf_service(), "http_port", "2020")), NULL, answer, NULL);
    }
    start_plugins();
    for (;;) {
        (void)pause();
    }
}
