/* What ours takes compared with the usual way, as ratios of one run: `ratios_bench` for rendering, which needs Go (for
 * confd's templates), `ratios_bench health LAB` for the health check in a lab's cluster. `ratios_bench measure N
 * COMMAND...` runs COMMAND N times and prints the medians: wall ms, CPU ms of it and its children, peak MiB. Times are
 * printed, never judged. */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/core/logger.h"
#include "lib/system/proc.h"

#define RUNS "30"

struct sample {
    double wall_ms, cpu_ms, mib;
};

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static double milliseconds(struct timeval t)
{
    return (double)t.tv_sec * 1e3 + (double)t.tv_usec / 1e3;
}

/* Spawned, not forked: a child's peak begins with its parent's memory. */
static bool run_once(char **argv, struct sample *sample)
{
    posix_spawn_file_actions_t actions;
    struct rusage usage;
    pid_t child = 0;
    int status = 0;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    double began = now_ms();
    bool ran = posix_spawnp(&child, argv[0], &actions, NULL, argv, environ) == 0 &&
               wait4(child, &status, 0, &usage) == child && status == 0;
    posix_spawn_file_actions_destroy(&actions);
    if (ran) {
        *sample = (struct sample){.wall_ms = now_ms() - began,
                                  .cpu_ms = milliseconds(usage.ru_utime) + milliseconds(usage.ru_stime),
                                  .mib = (double)usage.ru_maxrss / 1024};
    }
    return ran;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, ascending);
    return values[n / 2];
}

static int measure(long count, char **argv)
{
    double *wall = xcalloc((size_t)count, sizeof *wall);
    double *cpu = xcalloc((size_t)count, sizeof *cpu);
    double peak = 0;
    bool ran = true;
    for (long i = 0; i < count && ran; i++) {
        struct sample sample = {0};
        ran = run_once(argv, &sample);
        wall[i] = sample.wall_ms;
        cpu[i] = sample.cpu_ms;
        peak = sample.mib > peak ? sample.mib : peak;
    }
    if (ran) {
        printf("%.2f %.2f %.1f\n", median(wall, (size_t)count), median(cpu, (size_t)count), peak);
    } else {
        (void)fprintf(stderr, "ratios_bench: %s failed\n", argv[0]);
    }
    free(wall);
    free(cpu);
    return ran ? 0 : 1;
}

/* What `measure` of ARGV's program prints. */
static bool measured(const char *const *argv, struct sample *sample)
{
    _cleanup_proc_ struct proc_result result = {0};
    _cleanup_error_ struct error *err = NULL;
    const struct proc proc = {.argv = argv, .keep_output = true, .deadline = deadline_in(300000)};
    if (proc_run(&proc, &result, &err) < 0) {
        printf("  %s\n", err->message);
        return false;
    }
    _cleanup_strv_ char **words = strv_split(result.output);
    if (strv_length(words) != 3) {
        return false;
    }
    *sample = (struct sample){strtod(words[0], NULL), strtod(words[1], NULL), strtod(words[2], NULL)};
    return true;
}

/* A child's peak is at least what this program has: below that it cannot be told. */
static void print_sample(const char *what, const struct sample *sample)
{
    struct rusage own;
    getrusage(RUSAGE_SELF, &own);
    double floor = (double)own.ru_maxrss / 1024;
    printf("  %-44s %8.1f %8.1f %s%.1f\n", what, sample->wall_ms, sample->cpu_ms,
           sample->mib < floor + 0.2 ? "  below " : "        ", sample->mib);
}

static void print_ratio(const char *ours_is, const struct sample *ours, const char *theirs_is,
                        const struct sample *theirs)
{
    printf("  %-44s %8s %8s %8s\n", "", "wall ms", "CPU ms", "MiB");
    print_sample(ours_is, ours);
    print_sample(theirs_is, theirs);
    printf("  %-44s %8.2f %8.2f\n", "ratio, of ours to that", ours->wall_ms / theirs->wall_ms,
           ours->cpu_ms / theirs->cpu_ms);
}

static void compare_rendering(const char *self, const char *build)
{
    char directory[] = "/tmp/ratios-bench-XXXXXX";
    printf("render, a node of a cluster of 100: all its files, against one template of confd's (Go text/template)\n");
    if (mkdtemp(directory) == NULL) {
        return;
    }
    _cleanup_free_ char *view = xasprintf("%s/view.json", directory);
    _cleanup_free_ char *agent = xasprintf("%s/lab/agent", build);
    _cleanup_free_ char *node = xasprintf("%s/bin/k8s-node", build);
    _cleanup_free_ char *make_view = xasprintf("'%s/lab/cluster-view' hundred-nodes node >'%s'", build, view);
    _cleanup_error_ struct error *err = NULL;
    const char *const ours[] = {self,     "measure", RUNS,         node, "render", "--diff",
                                "--root", "/-",      "--metadata", view, NULL};
    const char *const theirs[] = {self, "measure", RUNS, agent, "-metadata", view, "confd/templates/k8s-hooks.tmpl",
                                  NULL};
    struct sample a = {0};
    struct sample b = {0};
    if (proc_exec(deadline_in(60000), &err, "sh", "-c", make_view, NULL) < 0) {
        printf("  not measured: %s\n", err->message);
    } else if (measured(ours, &a) && measured(theirs, &b)) {
        print_ratio("k8s-node render", &a, "confd's way", &b);
    }
    (void)proc_exec(deadline_in(10000), NULL, "rm", "-rf", directory, NULL);
}

static void compare_health(const char *self, const char *build, const char *name)
{
    static const char line[] =
        "systemctl is-active --quiet docker kubelet && curl -sf http://127.0.0.1:10248/healthz && "
        "curl -sf --unix-socket /run/docker.sock http://docker/_ping && "
        "kubectl --kubeconfig /etc/kubernetes/kubelet.conf get node node-1 "
        "-o jsonpath='{.status.conditions[?(@.type==\"Ready\")].status}' | grep -q True";
    _cleanup_free_ char *copy = xasprintf("/var/tmp/k8s-lab-%s/machines/node-1/data/.ratios-bench", name);
    _cleanup_free_ char *lab = xasprintf("%s/lab/lab", build);
    _cleanup_error_ struct error *err = NULL;
    const char *const ours[] = {lab,       "--name", name,       "exec",  "node-1", "/data/.ratios-bench",
                                "measure", RUNS,     "k8s-node", "check", NULL};
    const char *const theirs[] = {lab,       "--name", name, "exec", "node-1", "/data/.ratios-bench",
                                  "measure", RUNS,     "sh", "-c",   line,     NULL};
    struct sample a = {0};
    struct sample b = {0};
    printf("health check of a node: all its checks, against a shell line of four (systemctl, curl, kubectl)\n");
    if (proc_exec(deadline_in(10000), &err, "cp", self, copy, NULL) < 0) {
        printf("  not measured: %s\n", err->message);
    } else if (measured(ours, &a) && measured(theirs, &b)) {
        print_ratio("k8s-node check", &a, "shell line", &b);
    }
    (void)unlink(copy);
}

int main(int argc, char **argv)
{
    long count = 0;
    log_open("bench", NULL, NULL, LOG_LEVEL_ERROR);
    if (argc > 3 && strcmp(argv[1], "measure") == 0 && str_number(argv[2], 1, 10000, &count)) {
        return measure(count, argv + 3);
    }
    const char *build = getenv("BUILD") != NULL ? getenv("BUILD") : "build";
    if (argc == 1) {
        compare_rendering(argv[0], build);
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "health") == 0) {
        compare_health(argv[0], build, argv[2]);
        return 0;
    }
    (void)fprintf(stderr, "usage: ratios_bench [health LAB | measure N COMMAND...]\n");
    return 2;
}
