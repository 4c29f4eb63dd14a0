#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "hooks/checks/checks.h"
#include "hooks/checks/own_node.h"
#include "hooks/engine/role_conf.h"
#include "lib/core/interrupt.h"
#include "lib/text/utf8.h"

enum { REASON = 400, REPORTED = 160, COLLECT_MS = 500, CHECKS = 32 /* more than any role has */ };

/* Where one check works. It is shared by the thread and whoever waits for it, and freed by the last of the two: a
 * thread that hangs in a system call must not write into what is gone. */
struct job {
    const struct check *check;
    struct check_context context;
    struct finding finding;
    int64_t ms;
    int done; /* the write end of a pipe: one byte when the check is back */
    bool finished;
    bool abandoned;
    pthread_mutex_t lock;
};

static void __attribute__((format(printf, 4, 0)))
find(struct finding *finding, enum verdict verdict, const char *remedy, const char *format, va_list args)
{
    char *reason = NULL;
    if (vasprintf(&reason, format, args) < 0) {
        abort();
    }
    for (char *c = strpbrk(reason, "\r\n"); c != NULL; c = strpbrk(c, "\r\n")) {
        *c = ' ';
    }
    free(finding->reason);
    *finding = (struct finding){.verdict = verdict, .reason = utf8_text(reason, REASON), .remedy = remedy};
    free(reason);
}

void finding_ok(struct finding *finding, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    find(finding, VERDICT_OK, NULL, format, args);
    va_end(args);
}

void finding_warns(struct finding *finding, const char *remedy, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    find(finding, VERDICT_WARNS, remedy, format, args);
    va_end(args);
}

void finding_fails(struct finding *finding, const char *remedy, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    find(finding, VERDICT_FAILS, remedy, format, args);
    va_end(args);
}

void finding_error(struct finding *finding, const char *remedy, struct error *err)
{
    finding_fails(finding, remedy, "%s", err->message);
    error_free(err);
}

static void job_free(struct job *job)
{
    pthread_mutex_destroy(&job->lock);
    util_closep(&job->done);
    own_node_unref(job->context.own_node);
    free(job->finding.reason);
    free(job);
}

static void *work(void *data)
{
    struct job *job = data;
    int64_t started = clock_ms();
    job->check->probe(&job->context, &job->finding);
    pthread_mutex_lock(&job->lock);
    job->ms = clock_ms() - started;
    job->finished = true;
    bool alone = job->abandoned;
    if (!alone) {
        (void)!write(job->done, "", 1);
    }
    pthread_mutex_unlock(&job->lock);
    if (alone) {
        job_free(job);
    }
    return NULL;
}

static struct check_limits limits_of(const struct check *check, const struct check_conf *conf)
{
    return (struct check_limits){
        .warn = conf != NULL && conf->warn >= 0 ? conf->warn : check->limits.warn,
        .fail = conf != NULL && conf->fail >= 0 ? conf->fail : check->limits.fail,
    };
}

static struct job *start(const struct check *check, const struct check_context *context, int done)
{
    struct job *job = xcalloc(1, sizeof *job);
    job->check = check;
    job->context = *context;
    job->context.own_node = own_node_ref(context->own_node);
    job->done = dup(done);
    pthread_mutex_init(&job->lock, NULL);
    pthread_t thread;
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    int r = pthread_create(&thread, &detached, work, job);
    pthread_attr_destroy(&detached);
    if (r != 0) {
        finding_fails(&job->finding, "check the machine's memory and number of processes", "no thread: %s",
                      strerrordesc_np(r));
        job->finished = true;
        (void)!write(done, "", 1);
    }
    return job;
}

/* Waits for COUNT bytes, one from each check. */
static int wait_all(int from, size_t count, struct deadline deadline, struct error **err)
{
    while (count > 0) {
        int readable = interrupt_wait_readable(from, deadline, err);
        if (readable <= 0) {
            return readable;
        }
        char bytes[64];
        ssize_t n = read(from, bytes, count < sizeof bytes ? count : sizeof bytes);
        count -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static void collect(struct job *job, struct check_result *result)
{
    pthread_mutex_lock(&job->lock);
    bool finished = job->finished;
    job->abandoned = true;
    result->check = job->check;
    if (finished) {
        result->finding = job->finding;
        result->ms = job->ms;
        job->finding.reason = NULL;
    } else {
        finding_fails(&result->finding, "look for hanging disks and processes in state D (`ps -eo state,pid,comm`)",
                      "no result in time");
    }
    pthread_mutex_unlock(&job->lock);
    if (finished) {
        job_free(job);
    }
    if (result->check->severity == WARNS && result->finding.verdict == VERDICT_FAILS) {
        result->finding.verdict = VERDICT_WARNS;
    }
}

static const struct check *find_check(const struct check *const *checks, const char *name)
{
    for (; checks != NULL && *checks != NULL; checks++) {
        if (strcmp((*checks)->name, name) == 0) {
            return *checks;
        }
    }
    return NULL;
}

static int load_conf(const struct run *run, struct role_conf **conf, struct error **err)
{
    if (role_conf_load(conf, run->conf->paths.roles, run->role->name, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < (*conf)->n_checks; i++) {
        const char *name = (*conf)->checks[i].name;
        if (find_check(run->role->checks, name) == NULL) {
            return error_new(err, STATUS_CONFIG, "%s/%s.conf: a %s has no check \"%s\"", run->conf->paths.roles,
                             run->role->name, run->role->name, name);
        }
    }
    return 0;
}

/* Starts what is enabled: their number. */
static size_t start_all(const struct run *run, const struct check *const *checks, const struct role_conf *conf,
                        struct deadline deadline, struct job **jobs, int done)
{
    size_t n = 0;
    struct own_node *node = own_node_new();
    for (; checks != NULL && *checks != NULL && n < CHECKS; checks++) {
        const struct check_conf *section = role_conf_check(conf, (*checks)->name);
        if (section == NULL || section->enabled) {
            jobs[n++] = start(*checks, &(struct check_context){run, limits_of(*checks, section), deadline, node}, done);
        }
    }
    own_node_unref(node);
    return n;
}

int checks_run(const struct run *run, const struct check *const *checks, struct deadline deadline,
               struct check_results **results, struct error **err)
{
    struct job *jobs[CHECKS];
    int ends[2];
    _cleanup_(role_conf_freep) struct role_conf *conf = NULL;
    if (load_conf(run, &conf, err) < 0) {
        return -1;
    }
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return error_errno(err, STATUS_FAILED, errno, "making a pipe");
    }
    size_t n = start_all(run, checks, conf, deadline, jobs, ends[1]);
    int r = wait_all(ends[0], n, (struct deadline){deadline.at + COLLECT_MS}, err);
    struct check_results *all = xcalloc(1, sizeof *all + n * sizeof all->of[0]);
    all->n = n;
    for (size_t i = 0; i < n; i++) {
        collect(jobs[i], &all->of[i]);
    }
    close(ends[0]);
    close(ends[1]);
    if (r < 0) {
        check_results_free(all);
        return -1;
    }
    *results = all;
    return 0;
}

void check_results_free(struct check_results *results)
{
    for (size_t i = 0; results != NULL && i < results->n; i++) {
        free(results->of[i].finding.reason);
    }
    free(results);
}

void check_results_freep(struct check_results **results)
{
    check_results_free(*results);
    *results = NULL;
}

bool checks_healthy(const struct check_results *results)
{
    for (size_t i = 0; i < results->n; i++) {
        if (results->of[i].finding.verdict == VERDICT_FAILS) {
            return false;
        }
    }
    return true;
}

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[] = {[VERDICT_OK] = "ok", [VERDICT_WARNS] = "warns", [VERDICT_FAILS] = "fails"};
    return names[verdict];
}

json_t *check_results_json(const struct check_results *results)
{
    json_t *list = json_array();
    for (size_t i = 0; i < results->n; i++) {
        const struct check_result *result = &results->of[i];
        json_array_append_new(list, json_pack("{ss ss ss ss? sI}", "name", result->check->name, "result",
                                              verdict_name(result->finding.verdict), "reason", result->finding.reason,
                                              "remedy", result->finding.remedy, "ms", (json_int_t)result->ms));
    }
    return json_pack("{sb so}", "healthy", checks_healthy(results), "checks", list);
}

char *check_results_failures(const struct check_results *results)
{
    struct buffer text = {0};
    size_t failed = 0;
    buffer_puts(&text, "");
    for (size_t i = 0; i < results->n; i++) {
        const struct check_result *result = &results->of[i];
        if (result->finding.verdict != VERDICT_FAILS) {
            continue;
        }
        if (failed == 0) {
            buffer_printf(&text, "%s: %s", result->check->name, result->finding.reason);
        } else {
            buffer_printf(&text, "%s%s", failed == 1 ? "; also: " : ", ", result->check->name);
        }
        failed++;
    }
    return text.data;
}

json_t *check_results_report(const struct check_results *results)
{
    _cleanup_free_ char *failures = check_results_failures(results);
    _cleanup_free_ char *reason = utf8_text(failures, REPORTED);
    return json_pack("{ss ss}", "status", checks_healthy(results) ? "healthy" : "unhealthy", "reason", reason);
}
