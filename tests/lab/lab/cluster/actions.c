#include <errno.h>
#include <poll.h>
#include <regex.h>
#include <string.h>

#include "lib/core/interrupt.h"
#include "lib/system/file.h"
#include "tests/lab/lab/cluster/scenario.h"
#include "tests/lab/lab/machine/machine.h"
#include "tests/lab/lab/machine/network.h"
#include "tests/lab/lab/machine/services.h"

/* A try of `wait-until` has at least TRY_MS, so that what hangs is tried again; a unit has UNIT_MS. */
enum { TRY_MS = 30000, UNIT_MS = 300000 };

char *next_word(char **arguments)
{
    char *word = *arguments + strspn(*arguments, " \t");
    char *end = word + strcspn(word, " \t");
    *arguments = end + strspn(end, " \t");
    *end = '\0';
    return word;
}

static struct machine *machine_word(struct scenario *s, char **arguments, struct error **err)
{
    return lab_find(s->lab, next_word(arguments), err);
}

/* Runs COMMAND and keeps what came of it, whatever it was; only what could not be run at all is an error. */
static int record(struct scenario *s, struct machine *machine, const char *command, int64_t ms, struct error **err)
{
    _cleanup_error_ struct error *why = NULL;
    proc_result_free(&s->last);
    s->last = (struct proc_result){0};
    int r = machine_run(machine, command, deadline_in(ms), &s->last, &why);
    s->status = r == 0 ? 0 : s->last.status != 0 ? s->last.status : (int)why->status;
    return interrupt_check(err);
}

static int failed_output(const struct scenario *s, const char *what, struct error **err)
{
    return error_new(err, STATUS_COMMAND, "%s\nstatus %d, output:\n%s", what, s->status,
                     s->last.tail == NULL ? "" : s->last.tail);
}

bool status_follows(const struct scenario *s)
{
    for (size_t i = s->line + 1; s->lines[i] != NULL; i++) {
        const char *line = s->lines[i] + strspn(s->lines[i], " \t");
        if (*line != '\0' && *line != '#') {
            return str_starts(line, "expect-status");
        }
    }
    return false;
}

static int run_command(struct scenario *s, char *arguments, struct error **err)
{
    struct machine *machine = machine_word(s, &arguments, err);
    if (machine == NULL || record(s, machine, arguments, s->timeout_s * 1000L, err) != 0) {
        return -1;
    }
    return s->status == 0 || status_follows(s) ? 0 : failed_output(s, "it failed", err);
}

/* "NAME=VALUE" where this program's environment has it, also in *PLACE; else NULL. */
static char *passed(const char *name, const char **place)
{
    const char *value = getenv(name);
    char *entry = value == NULL ? NULL : xasprintf("%s=%s", name, value);
    *place = entry;
    return entry;
}

/* On this machine, inside of the lab's network, in the scenario's folder; $LAB is the lab's directory, $BIN its
 * programs', $K8S_HOOKS_CACHE the cache, $OUTSIDE the network that this program was started in. */
static int here(struct scenario *s, char *arguments, struct error **err)
{
    _cleanup_error_ struct error *why = NULL;
    _cleanup_free_ char *command = xasprintf("cd '%s/tests/e2e/%s' && %s", s->lab->source, s->name, arguments);
    _cleanup_free_ char *lab = xasprintf("LAB=%s", s->lab->dir);
    _cleanup_free_ char *bin = xasprintf("BIN=%s", s->lab->bin);
    const char *argv[] = {"sh", "-c", command, NULL};
    _cleanup_free_ char *home = network_outside();
    _cleanup_free_ char *outside = xasprintf("OUTSIDE=%s", home == NULL ? "" : home);
    _cleanup_free_ char *cache = xasprintf("K8S_HOOKS_CACHE=%s", s->lab->cache);
    const char *environment[] = {lab, bin, outside, cache, NULL, NULL, NULL};
    _cleanup_free_ char *seconds = passed("SOAK_SECONDS", &environment[4]);
    _cleanup_free_ char *seed = passed("SOAK_SEED", &environment[seconds == NULL ? 4 : 5]);
    struct proc proc = {
        .argv = argv, .environment = environment, .keep_output = true, .deadline = deadline_in(s->timeout_s * 1000L)};
    proc_result_free(&s->last);
    s->last = (struct proc_result){0};
    s->status = proc_run(&proc, &s->last, &why) == 0 ? 0 : s->last.status != 0 ? s->last.status : (int)why->status;
    return interrupt_check(err) != 0 ? -1 : s->status == 0 ? 0 : failed_output(s, "it failed", err);
}

static int run_event(struct scenario *s, char *arguments, struct error **err)
{
    _cleanup_error_ struct error *why = NULL;
    struct machine *machine = machine_word(s, &arguments, err);
    if (machine == NULL) {
        return -1;
    }
    char *event = next_word(&arguments);
    _cleanup_free_ char *tab = strcmp(event, "tab") == 0 ? xasprintf("tab %s", next_word(&arguments)) : NULL;
    proc_result_free(&s->last);
    s->last = (struct proc_result){0};
    int r =
        service_run(s->lab, machine, tab == NULL ? event : tab, *arguments == '\0' ? NULL : arguments, &s->last, &why);
    s->status = r == 0 ? 0 : s->last.status != 0 ? s->last.status : (int)why->status;
    if (r == 0 && strcmp(event, "custom_metadata") == 0) {
        service_take_token(machine, &s->last);
        return appcenter_reload(s->lab, err);
    }
    if (r == 0 || (s->last.status != 0 && status_follows(s))) {
        return interrupt_check(err);
    }
    return error_move(err, &why);
}

/* AppCenter repeats its checks, figures and actions, each of which has seconds that a loaded machine may need for
 * other things. The output is that of the last try; `expect-message` reads what all of them printed. */
static int event_until(struct scenario *s, char *arguments, struct error **err)
{
    long seconds = 0;
    if (!str_number(next_word(&arguments), 1, 3600, &seconds)) {
        return error_new(err, STATUS_USAGE, "event-until SECONDS MACHINE NAME [ARGUMENT]");
    }
    struct deadline deadline = deadline_in(seconds * 1000);
    struct pollfd signal = {.fd = interrupt_fd(), .events = POLLIN};
    _cleanup_buffer_ struct buffer printed = {0};
    for (;;) {
        _cleanup_error_ struct error *why = NULL;
        _cleanup_free_ char *again = xstrdup(arguments);
        int r = run_event(s, again, &why);
        buffer_printf(&printed, "%s\n", s->last.tail == NULL ? "" : s->last.tail);
        if (interrupt_check(err) != 0) {
            return -1;
        }
        if (r == 0 || why->status == STATUS_USAGE || deadline_left(deadline) == 0) {
            free(s->last.tail);
            s->last.tail = STEAL(printed.data);
            return r == 0 ? 0 : error_move(err, &why);
        }
        (void)poll(&signal, 1, 250);
    }
}

static int wait_until(struct scenario *s, char *arguments, struct error **err)
{
    long seconds = 0;
    if (!str_number(next_word(&arguments), 1, 3600, &seconds)) {
        return error_new(err, STATUS_USAGE, "wait-until SECONDS MACHINE COMMAND");
    }
    struct machine *machine = machine_word(s, &arguments, err);
    struct deadline deadline = deadline_in(seconds * 1000);
    const int64_t most = seconds * 250 > TRY_MS ? seconds * 250 : TRY_MS; /* of one try */
    struct pollfd signal = {.fd = interrupt_fd(), .events = POLLIN};
    while (machine != NULL) {
        int64_t left = deadline_left(deadline);
        if (record(s, machine, arguments, left < most ? left + 1000 : most, err) != 0) {
            return -1;
        }
        if (s->status == 0) {
            return 0;
        }
        if (deadline_left(deadline) == 0) {
            return failed_output(s, "not so in time", err);
        }
        (void)poll(&signal, 1, 250);
    }
    return -1;
}

static int expect_status(struct scenario *s, char *arguments, struct error **err)
{
    long status = 0;
    char *word = next_word(&arguments);
    bool not = *word == '!';
    if (!str_number(word + not, 0, 255, &status)) {
        return error_new(err, STATUS_USAGE, "expect-status N or !N");
    }
    return (s->status == (int)status) != not ? 0 : failed_output(s, "another status", err);
}

static int match(const char *pattern, const char *text, bool *matches, struct error **err)
{
    regex_t regex;
    int r = regcomp(&regex, pattern, REG_EXTENDED | REG_NEWLINE | REG_NOSUB);
    if (r != 0) {
        char why[128];
        (void)regerror(r, &regex, why, sizeof why);
        return error_new(err, STATUS_USAGE, "pattern %s: %s", pattern, why);
    }
    *matches = regexec(&regex, text == NULL ? "" : text, 0, NULL, 0) == 0;
    regfree(&regex);
    return 0;
}

static int expect_text(struct scenario *s, const char *pattern, const char *text, bool wanted, struct error **err)
{
    bool matches = false;
    if (match(pattern, text, &matches, err) != 0) {
        return -1;
    }
    return matches == wanted ? 0 : failed_output(s, wanted ? "nothing matches" : "it matches", err);
}

static int expect_output(struct scenario *s, char *arguments, struct error **err)
{
    return expect_text(s, arguments, s->last.output, true, err);
}

static int expect_no_output(struct scenario *s, char *arguments, struct error **err)
{
    return expect_text(s, arguments, s->last.output, false, err);
}

static int expect_message(struct scenario *s, char *arguments, struct error **err)
{
    return expect_text(s, arguments, s->last.tail, true, err);
}

/* A file of the scenario's folder into a machine. */
static int copy(struct scenario *s, char *arguments, struct error **err)
{
    struct machine *machine = machine_word(s, &arguments, err);
    if (machine == NULL) {
        return -1;
    }
    const char *file = next_word(&arguments);
    _cleanup_free_ char *from =
        file[0] == '/' ? xstrdup(file) : xasprintf("%s/tests/e2e/%s/%s", s->lab->source, s->name, file);
    _cleanup_free_ char *to = xasprintf("/proc/%d/root/%s", machine->leader.pid, next_word(&arguments));
    _cleanup_free_ char *data = NULL;
    size_t len;
    if (file_read(from, (size_t)256 << 20, &data, &len, err) != 0) { /* images too */
        return -1;
    }
    struct file_spec spec = {.path = to, .data = data, .len = len, .mode = 0644};
    return file_put(&spec, NULL, err);
}

static int keep(struct scenario *s, char *arguments, struct error **err)
{
    (void)err;
    const char *text = s->last.output == NULL ? "" : s->last.output;
    size_t len = strlen(text);
    while (len > 0 && text[len - 1] == '\n') {
        len--;
    }
    json_object_set_new(s->kept, next_word(&arguments), json_stringn(text, len));
    return 0;
}

static int set_timeout(struct scenario *s, char *arguments, struct error **err)
{
    long seconds = 0;
    if (!str_number(next_word(&arguments), 1, 7200, &seconds)) {
        return error_new(err, STATUS_USAGE, "timeout SECONDS");
    }
    s->timeout_s = (int)seconds;
    return 0;
}

static int create(struct scenario *s, char *arguments, struct error **err)
{
    (void)arguments;
    return s->reused ? 0 : appcenter_create(s->lab, s->counts, err);
}

/* Create's first part: a `create` behind it goes on. */
static int up(struct scenario *s, char *arguments, struct error **err)
{
    (void)arguments;
    return appcenter_register(s->lab, s->counts, err) == 0 ? appcenter_boot(s->lab, err) : -1;
}

static int another_cluster(struct scenario *s, char *arguments, struct error **err)
{
    return appcenter_renew(s->lab, s->counts, next_word(&arguments), err);
}

static int env_key(char **arguments, const char **key, struct error **err)
{
    const char *word = next_word(arguments);
    *key = word + strlen("env.");
    return str_starts(word, "env.") ? 0 : error_new(err, STATUS_USAGE, "env.KEY VALUE is wanted");
}

static int set(struct scenario *s, char *arguments, struct error **err)
{
    const char *key;
    return env_key(&arguments, &key, err) == 0 ? appcenter_set(s->lab, key, arguments, err) : -1;
}

/* The form hands several changes over at once. */
static int with(struct scenario *s, char *arguments, struct error **err)
{
    const char *key;
    return env_key(&arguments, &key, err) == 0 ? json_object_set_new(s->lab->env, key, json_string(arguments)) : -1;
}

/* A linked app is taken away: the values of the scenario have it. */
static int unlink_app(struct scenario *s, char *arguments, struct error **err)
{
    json_t *links = json_deep_copy(json_object_get(s->lab->links, "links"));
    if (json_object_del(links, arguments) != 0) {
        json_decref(links);
        return error_new(err, STATUS_USAGE, "unlink NAME: %s is not linked", arguments);
    }
    json_object_set_new(s->lab->links, "links", links);
    return lab_save(s->lab, err) == 0 ? appcenter_reload(s->lab, err) : -1;
}

static int add(struct scenario *s, char *arguments, struct error **err)
{
    struct role_count counts[ELEMENTS(s->counts)] = {{NULL, 0}};
    for (size_t n = 0; *arguments != '\0' && n + 1 < ELEMENTS(counts); n++) {
        long count = 0;
        const char *role = next_word(&arguments);
        if (!str_number(next_word(&arguments), 1, 100, &count)) {
            return error_new(err, STATUS_USAGE, "add ROLE COUNT [ROLE COUNT...]");
        }
        counts[n] = (struct role_count){role, (int)count};
    }
    return appcenter_add(s->lab, counts, err);
}

static int delete_nodes(struct scenario *s, const char *arguments, bool force, struct error **err)
{
    _cleanup_strv_ char **names = strv_split(arguments);
    return appcenter_delete(s->lab, names, force, err);
}

static int delete (struct scenario *s, char *arguments, struct error **err)
{
    return delete_nodes(s, arguments, false, err);
}

static int delete_forced(struct scenario *s, char *arguments, struct error **err)
{
    return delete_nodes(s, arguments, true, err);
}

static int delete_cluster(struct scenario *s, char *arguments, struct error **err)
{
    (void)arguments;
    return appcenter_delete_cluster(s->lab, false, err);
}

static int delete_cluster_forced(struct scenario *s, char *arguments, struct error **err)
{
    (void)arguments;
    return appcenter_delete_cluster(s->lab, true, err);
}

static int stop(struct scenario *s, char *arguments, struct error **err)
{
    (void)arguments;
    return appcenter_stop(s->lab, err);
}

static int start(struct scenario *s, char *arguments, struct error **err)
{
    (void)arguments;
    return appcenter_start(s->lab, err);
}

static int restart(struct scenario *s, char *arguments, struct error **err)
{
    (void)arguments;
    return appcenter_restart(s->lab, err);
}

static int resize(struct scenario *s, char *arguments, struct error **err)
{
    return appcenter_resize(s->lab, next_word(&arguments), err);
}

static int power_cut(struct scenario *s, char *arguments, struct error **err)
{
    struct machine *machine = machine_word(s, &arguments, err);
    if (machine == NULL) {
        return -1;
    }
    machine_cut(s->lab, machine);
    return lab_save(s->lab, err);
}

static int boot(struct scenario *s, char *arguments, struct error **err)
{
    (void)arguments;
    return appcenter_boot(s->lab, err);
}

static int unit_command(struct scenario *s, const char *verb, char *arguments, struct error **err)
{
    struct machine *machine = machine_word(s, &arguments, err);
    _cleanup_free_ char *command = xasprintf("systemctl %s %s", verb, arguments);
    if (machine == NULL || record(s, machine, command, UNIT_MS, err) != 0) {
        return -1;
    }
    return s->status == 0 ? 0 : failed_output(s, command, err);
}

static int stop_unit(struct scenario *s, char *arguments, struct error **err)
{
    return unit_command(s, "stop", arguments, err);
}

static int start_unit(struct scenario *s, char *arguments, struct error **err)
{
    return unit_command(s, "start", arguments, err);
}

static const struct action actions[] = {
    {"create", "", create, ACTION_STEP},
    {"up", "", up, ACTION_STEP},
    {"another-cluster", "DIRECTORY", another_cluster, ACTION_STEP},
    {"add", "ROLE COUNT...", add, ACTION_STEP},
    {"delete", "MACHINE...", delete, ACTION_STEP},
    {"delete-forced", "MACHINE...", delete_forced, ACTION_STEP},
    {"delete-cluster", "", delete_cluster, ACTION_STEP},
    {"delete-cluster-forced", "", delete_cluster_forced, ACTION_STEP},
    {"stop", "", stop, ACTION_STEP},
    {"start", "", start, ACTION_STEP},
    {"restart", "", restart, ACTION_STEP},
    {"resize", "ROLE", resize, ACTION_STEP},
    {"set", "env.KEY VALUE", set, ACTION_STEP},
    {"with", "env.KEY VALUE", with, ACTION_QUIET},
    {"unlink", "NAME", unlink_app, ACTION_STEP},
    {"event", "MACHINE NAME [ARGUMENT]", run_event, ACTION_EXPECT},
    {"event-until", "SECONDS MACHINE NAME [ARGUMENT]", event_until, ACTION_EXPECT},
    {"power-cut", "MACHINE", power_cut, ACTION_STEP},
    {"boot", "", boot, ACTION_STEP},
    {"stop-unit", "MACHINE UNIT", stop_unit, ACTION_STEP},
    {"start-unit", "MACHINE UNIT", start_unit, ACTION_STEP},
    {"run", "MACHINE COMMAND", run_command, ACTION_EXPECT},
    {"here", "COMMAND", here, ACTION_EXPECT},
    {"wait-until", "SECONDS MACHINE COMMAND", wait_until, ACTION_EXPECT},
    {"expect-status", "N or !N", expect_status, ACTION_EXPECT},
    {"expect-output", "PATTERN", expect_output, ACTION_EXPECT},
    {"expect-no-output", "PATTERN", expect_no_output, ACTION_EXPECT},
    {"expect-message", "PATTERN", expect_message, ACTION_EXPECT},
    {"lab", "VERB [ARGUMENT...]", run_lab, ACTION_EXPECT},
    {"cloud", "ACTION [NAME=VALUE...] [.PART]", run_cloud, ACTION_EXPECT},
    {"cloud-until", "SECONDS TEXT ACTION [NAME=VALUE...] [.PART]", run_cloud_until, ACTION_EXPECT},
    {"cloud-faults", "[JSON]", run_cloud_faults, ACTION_STEP},
    {"copy", "MACHINE FILE PATH", copy, ACTION_QUIET},
    {"keep", "NAME", keep, ACTION_QUIET},
    {"timeout", "SECONDS", set_timeout, ACTION_QUIET},
};

const struct action *action_find(const char *name)
{
    for (size_t i = 0; i < ELEMENTS(actions); i++) {
        if (strcmp(actions[i].name, name) == 0) {
            return &actions[i];
        }
    }
    return NULL;
}
