#include <argp.h>
#include <string.h>
#include <unistd.h>

#include "app/paths.h"
#include "hooks/engine/command.h"
#include "hooks/engine/lock.h"
#include "hooks/engine/runner.h"
#include "lib/core/interrupt.h"
#include "lib/core/logger.h"
#include "lib/system/program.h"

/* How long a changing event waits for another one, e.g. the agent's reload while init still runs. */
enum { LOCK_WAIT_S = 300 };

struct options {
    struct run *run;
    const char *config;
    const char *event;
    int verbose;
};

enum {
    OPTION_ROOT = 256,
    OPTION_METADATA,
    OPTION_CONFIG,
    OPTION_DRY_RUN,
    OPTION_JSON,
    OPTION_CHECK,
    OPTION_FORCE,
    OPTION_DIFF,
    OPTION_BLAME
};

static const struct argp_option argp_options[] = {
    {"root", OPTION_ROOT, "DIR", 0, "take DIR as the machine's root directory", 0},
    {"metadata", OPTION_METADATA, "URL|FILE", 0, "query this metadata server, or read a JSON file", 0},
    {"config", OPTION_CONFIG, "FILE", 0, "instead of /etc/k8s-hooks/hook.conf", 0},
    {"dry-run", OPTION_DRY_RUN, NULL, 0, "change nothing; print the steps that would run and each file's diff", 0},
    {"check", OPTION_CHECK, NULL, 0, "with scale-out, scale-in, upgrade: pre-check only", 0},
    {"force", OPTION_FORCE, NULL, 0, "with destroy: leave although data would be lost", 0},
    {"diff", OPTION_DIFF, NULL, 0, "with render, reload: show what would change, change nothing", 0},
    {"blame", OPTION_BLAME, NULL, 0, "with status: the steps by duration", 0},
    {"json", OPTION_JSON, NULL, 0, "print results as JSON", 0},
    {"verbose", 'v', NULL, 0, "log more", 0},
    {0},
};

/* Whether an event of ROLE can do something with the option KEY. */
static bool role_takes(const struct role *role, int key)
{
    if (key == OPTION_FORCE) {
        return command_find(role, "destroy") != NULL;
    }
    bool takes = key != OPTION_CHECK;
    for (const struct command *command = commands; command->name != NULL && !takes; command++) {
        takes = role_event(role, command->name, true) != NULL;
    }
    return takes;
}

static void parse_event(struct options *options, char *arg, struct argp_state *state)
{
    struct run *run = options->run;
    if (options->event == NULL) {
        options->event = arg;
        const struct command *command = command_find(run->role, arg);
        if (command == NULL) {
            argp_error(state, "a %s has no event \"%s\"", run->role->name, arg);
        }
    } else if (run->argument == NULL && command_find(run->role, options->event)->argument != NULL) {
        run->argument = arg;
    } else {
        argp_error(state, "unexpected argument \"%s\"", arg);
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    struct run *run = options->run;
    switch (key) {
    case OPTION_ROOT:
        run->root = strcmp(arg, "/") == 0 ? "" : arg;
        break;
    case OPTION_METADATA:
        run->source = arg;
        break;
    case OPTION_CONFIG:
        options->config = arg;
        break;
    case OPTION_DRY_RUN:
        run->dry_run = true;
        break;
    case OPTION_CHECK:
        run->check_only = true;
        break;
    case OPTION_FORCE:
        run->force = true;
        break;
    case OPTION_DIFF:
        run->diff = true;
        break;
    case OPTION_BLAME:
        run->blame = true;
        break;
    case OPTION_JSON:
        run->json = true;
        break;
    case 'v':
        options->verbose++;
        break;
    case ARGP_KEY_ARG:
        parse_event(options, arg, state);
        break;
    case ARGP_KEY_END:
        if (options->event == NULL) {
            argp_error(state, "no event given; see --help");
        }
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* The events of this role as the closing part of --help. */
static char *help_filter(int key, const char *text, void *input)
{
    if (key != ARGP_KEY_HELP_POST_DOC) {
        return (char *)text;
    }
    const struct options *options = input;
    struct buffer help = {0};
    buffer_puts(&help, "Events:\n");
    for (const struct command *command = commands; options != NULL && command->name != NULL; command++) {
        if (command_find(options->run->role, command->name) == command) {
            _cleanup_free_ char *usage =
                xasprintf("%s %s", command->name, command->argument != NULL ? command->argument : "");
            bool pre_check = role_event(options->run->role, command->name, true) != NULL;
            buffer_printf(&help, "  %-22s %s%s\n", usage, command->summary, pre_check ? "; --check: pre-check" : "");
        }
    }
    buffer_puts(&help, "\nExit status: 0 when the event did its work; `k8s-hook statuses` explains the\nothers, as "
                       "k8s-hooks(7) does.");
    return help.data;
}

static void print_version(FILE *stream, struct argp_state *state)
{
    (void)fprintf(stream, "%s %s\n", state->name, SUITE_VERSION);
}

/* What was true before another event ran may not be now. */
static int take_lock(struct run *run, enum metadata_source source, struct error **err)
{
    int lock = -1; /* held until the process ends */
    bool waited = false;
    struct deadline deadline = deadline_earlier(run->deadline, deadline_in(INT64_C(1000) * LOCK_WAIT_S));
    if (lock_take(run, deadline, &lock, &waited, err) < 0) {
        return -1;
    }
    if (waited) {
        run_facts_forget(run);
    }
    return run_facts(run, source, err);
}

static int run_command(struct run *run, const struct command *command, struct error **err)
{
    const struct event *event = role_event(run->role, run->event, run->check_only);
    if (event == NULL) {
        return error_new(err, STATUS_USAGE, "`%s` has no --check on a %s", run->event, run->role->name);
    }
    if (command_accepts(command, run, err) < 0) {
        return -1;
    }
    /* The metadata first: when it is refused, nothing has been touched, not even the lock. */
    if (run_facts(run, command->source, err) < 0 ||
        ((command->flags & CHANGES) != 0 && !run->dry_run && take_lock(run, command->source, err) < 0)) {
        return -1;
    }
    return event->run != NULL ? event->run(run, err) : steps_run(run, event->steps, err);
}

static int report(const struct run *run, const struct error *err)
{
    log_error("%s %s: %s", run->role->name, run->event, err->message);
    log_notice("exit status %d (%s). %s.", err->status, status_row(err->status)->english,
               status_row(err->status)->remedy);
    return (int)err->status;
}

int hook_main(const struct role *role, int argc, char **argv)
{
    _cleanup_error_ struct error *err = NULL;
    struct run run = {.role = role, .event = "start-up", .root = ""};
    struct options options = {.run = &run};
    struct argp_option of_role[ELEMENTS(argp_options)];
    const struct argp argp = {of_role,
                              parse,
                              "EVENT [ARGUMENT]",
                              "Bring this host to what AppCenter's metadata says, for one event.\v ",
                              NULL,
                              help_filter,
                              NULL};
    for (size_t i = 0; i < ELEMENTS(argp_options); i++) {
        of_role[i] = argp_options[i];
        of_role[i].flags |= role_takes(role, of_role[i].key) ? 0 : OPTION_HIDDEN;
    }
    if (program_start(&err) < 0) {
        return report(&run, err);
    }
    argp_program_version_hook = print_version;
    argp_err_exit_status = STATUS_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, &options);

    const struct command *command = command_find(role, options.event);
    run.event = command->name;
    log_open("k8s-hooks", role->name, command->name, options.verbose > 0 ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    bool configured =
        interrupt_open(&err) == 0 &&
        conf_load(&run.conf, options.config != NULL ? options.config : HOOK_CONF, options.config != NULL, &err) == 0;
    if (configured) {
        bool changes = (command->flags & CHANGES) != 0;
        int seconds = run.conf->timeouts.event_s > 0 && changes ? run.conf->timeouts.event_s : command->deadline_s;
        run.deadline = deadline_in((int64_t)seconds * 1000);
        (void)run_command(&run, command, &err);
        run_close(&run);
    }
    _cleanup_error_ struct error *lost = NULL;
    if (program_end(&lost) < 0 && err == NULL) {
        (void)error_move(&err, &lost);
    }
    return err == NULL ? STATUS_OK : report(&run, err);
}
