#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "app/status.h"
#include "hooks/engine/command.h"

static int status_of(const struct command *command, const struct run *run)
{
    _cleanup_error_ struct error *err = NULL;
    return command_accepts(command, run, &err) < 0 ? err->status : STATUS_OK;
}

static void a_dry_run_that_is_not_supported_is_refused(void **state)
{
    (void)state;
    const struct run dry = {.root = "", .dry_run = true};
    const struct run real = {.root = ""};
    const struct command changes = {.name = "x", .flags = CHANGES};
    const struct command supports = {.name = "x", .flags = CHANGES | DRY_RUN};
    const struct command reads = {.name = "x"};
    assert_int_equal(status_of(&changes, &dry), STATUS_USAGE);
    assert_int_equal(status_of(&changes, &real), STATUS_OK);
    assert_int_equal(status_of(&supports, &dry), STATUS_OK);
    assert_int_equal(status_of(&reads, &dry), STATUS_OK);
}

static void what_changes_the_machine_is_refused_under_another_root(void **state)
{
    (void)state;
    const struct run other = {.root = "/srv/root"};
    const struct run dry = {.root = "/srv/root", .dry_run = true};
    const struct command machine = {.name = "x", .flags = CHANGES | DRY_RUN | MACHINE};
    const struct command no_root = {.name = "x", .flags = CHANGES | DRY_RUN | NO_ROOT};
    const struct command files = {.name = "x", .flags = CHANGES | DRY_RUN};
    assert_int_equal(status_of(&machine, &other), STATUS_USAGE);
    assert_int_equal(status_of(&machine, &dry), STATUS_OK);
    assert_int_equal(status_of(&no_root, &other), STATUS_USAGE);
    assert_int_equal(status_of(&no_root, &dry), STATUS_USAGE);
    assert_int_equal(status_of(&files, &other), STATUS_OK);
}

/* reload writes files and refuses by itself, in hooks/engine/run.c, what needs services. */
static void of_what_changes_only_reload_and_reconcile_run_under_another_root(void **state)
{
    (void)state;
    for (const struct command *command = commands; command->name != NULL; command++) {
        bool other_root = (command->flags & (MACHINE | NO_ROOT)) == 0;
        if ((command->flags & CHANGES) != 0 && other_root) {
            assert_true(strcmp(command->name, "reload") == 0 || strcmp(command->name, "reconcile") == 0);
        }
    }
}

static void a_role_has_the_commands_of_its_events_alone(void **state)
{
    (void)state;
    static const struct step *const steps[] = {NULL};
    static const struct event events[] = {
        {"stop", steps, NULL}, {"scale-out --check", steps, NULL}, {NULL, NULL, NULL}};
    static const struct role role = {.name = "fifth", .events = events};
    assert_non_null(command_find(&role, "stop"));
    assert_null(command_find(&role, "start"));
    assert_null(command_find(&role, "scale-out"));
    assert_null(command_find(&role, "backup"));
    assert_null(command_find(&role, "no-such"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dry_run_that_is_not_supported_is_refused),
        cmocka_unit_test(what_changes_the_machine_is_refused_under_another_root),
        cmocka_unit_test(of_what_changes_only_reload_and_reconcile_run_under_another_root),
        cmocka_unit_test(a_role_has_the_commands_of_its_events_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
