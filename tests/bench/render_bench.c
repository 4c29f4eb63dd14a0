/* What it costs to render all files of one node, by the size of the cluster: `render_bench` prints a table; each row is
 * a process of its own, `render_bench METADATA`, so that its memory is its own too. Last comes what the whole program
 * takes, its start included. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hooks/files/files.h"
#include "lib/core/logger.h"
#include "tests/lab/shared/cluster.h"

static struct conf conf = {
    .paths = {.opt = (char *)"tests/golden/opt", .roles = (char *)"roles", .templates = (char *)"templates"}};
static const struct role role = {.name = "node", .state = "/data/kubernetes/hooks"};

static double cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static size_t rendered_bytes(const struct rendered *rendered)
{
    size_t bytes = 0;
    for (size_t i = 0; i < rendered->n_files; i++) {
        bytes += rendered->files[i].content.len;
    }
    return bytes;
}

static int measure(const char *path, struct error **err)
{
    struct run run = {.role = &role, .event = "render", .conf = &conf, .root = ""};
    struct rusage usage;
    double start = cpu_ms();
    run.tree = json_load_file(path, 0, NULL);
    double parsed = cpu_ms();
    if (facts_load(&run.facts, run.tree, &conf, err) < 0) {
        return -1;
    }
    double known = cpu_ms();
    if (files_render(&run, err) < 0) {
        return -1;
    }
    double end = cpu_ms();
    getrusage(RUSAGE_SELF, &usage);
    printf("%8zu %12.2f %12.2f %12.2f %12.1f %12zu", run.facts->n_hosts, parsed - start, known - parsed, end - known,
           (double)usage.ru_maxrss / 1024, rendered_bytes(run.rendered) / 1024);
    rendered_free(run.rendered);
    facts_free(run.facts);
    json_decref(run.tree);
    return 0;
}

/* As long as a report of `check` may be. */
static void report_health(json_t *cluster)
{
    char reason[161] = "";
    const char *name = NULL;
    json_t *host = NULL;
    memset(reason, 'x', sizeof reason - 1);
    json_object_foreach (json_object_get(json_object_get(cluster, "hosts"), "node"), name, host) {
        json_object_set_new(host, "health", json_pack("{s:s, s:s}", "status", "unhealthy", "reason", reason));
    }
}

/* As node 1 of a cluster of COUNT nodes sees it, all of which report that they are unhealthy. */
static bool write_metadata(const char *path, int count, struct error **err)
{
    _cleanup_json_ json_t *cluster = cluster_load("three-logs", err);
    if (cluster == NULL) {
        return false;
    }
    cluster_generate(cluster, "node", count);
    report_health(cluster);
    _cleanup_json_ json_t *view = cluster_view(cluster, "node", 1);
    return json_dump_file(view, path, JSON_COMPACT) == 0;
}

/* The processor time of ARGV, in *ms. OUT takes what it prints; NULL: this standard output. */
static bool run_program(char *const *argv, const char *out, double *ms)
{
    struct rusage usage;
    int status = -1;
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (out == NULL || (freopen(out, "w", stdout) != NULL && freopen(out, "w", stderr) != NULL)) {
            execv(argv[0], argv);
        }
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child || status != 0) {
        return false;
    }
    *ms = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
          (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
    return true;
}

static int row(char *self, int count, struct error **err)
{
    char path[] = "/tmp/render-bench-XXXXXX";
    const char *build = getenv("BUILD") != NULL ? getenv("BUILD") : "build";
    _cleanup_free_ char *node = xasprintf("%s/bin/k8s-node", build);
    char *const inside[] = {self, path, NULL};
    char *const whole[] = {
        node, (char *)"render", (char *)"--diff", (char *)"--root", (char *)"/-", (char *)"--metadata", path, NULL};
    double ms = 0;
    int fd = mkstemp(path);
    if (fd < 0 || close(fd) < 0 || !write_metadata(path, count, err)) {
        return -1;
    }
    bool ended = run_program(inside, NULL, &ms) && run_program(whole, "/dev/null", &ms);
    printf(" %12.2f\n", ms);
    (void)unlink(path);
    return ended ? 0 : -1;
}

int main(int argc, char **argv)
{
    static const int counts[] = {10, 100, 1000, 10000};
    _cleanup_error_ struct error *err = NULL;
    int result = 0;
    log_open("bench", NULL, NULL, LOG_LEVEL_ERROR);
    if (argc > 1) {
        result = measure(argv[1], &err);
    } else {
        printf("%8s %12s %12s %12s %12s %12s %12s\n", "hosts", "parse ms", "facts ms", "render ms", "peak MiB",
               "written KiB", "program ms");
        for (size_t i = 0; i < ELEMENTS(counts) && result == 0; i++) {
            result = row(argv[0], counts[i], &err);
        }
    }
    if (result < 0) {
        (void)fprintf(stderr, "render_bench: %s\n", err != NULL ? err->message : "a measurement failed");
    }
    return result < 0 ? 1 : 0;
}
