#include <string.h>

#include "tests/lab/lab/verbs/verb.h"

/* Which of OPTIONS the word is, and whether it has a value; -1: none of them. */
static int option_of(char *const *options, const char *word, bool *valued)
{
    size_t len = strlen(word);
    for (int i = 0; options[i] != NULL; i++) {
        *valued = strcmp(options[i] + strcspn(options[i], "="), "=") == 0;
        if (strncmp(options[i], word, len) == 0 && strlen(options[i]) == len + *valued) {
            return i;
        }
    }
    return -1;
}

int arrange_options(const struct verb *verb, char **argv, struct error **err)
{
    _cleanup_strv_ char **options = strv_split(verb->options == NULL ? "" : verb->options);
    size_t n_options = strv_length(options);
    size_t n = strv_length(argv);
    _cleanup_free_ char **words = xcalloc(n + 1, sizeof *words);
    _cleanup_free_ size_t *rank = xcalloc(n + 1, sizeof *rank);
    memcpy(words, argv, n * sizeof *words);
    for (size_t i = 0; n_options > 0 && i < n; i++) {
        bool valued = false;
        int option = option_of(options, words[i], &valued);
        if (option < 0 && str_starts(words[i], "--")) {
            return error_new(err, STATUS_USAGE, "'%s' is not an option of lab %s: `lab %s --help` has them", words[i],
                             verb->name, verb->name);
        }
        rank[i] = option < 0 ? n_options : (size_t)option;
        if (option >= 0 && valued && i + 1 < n) {
            rank[i + 1] = rank[i];
            i++;
        }
    }
    for (size_t r = 0, to = 0; r <= n_options; r++) {
        for (size_t i = 0; i < n; i++) {
            if (rank[i] == r) {
                argv[to++] = words[i];
            }
        }
    }
    return 0;
}

bool take_option(char ***argv, const char *name)
{
    bool there = **argv != NULL && strcmp(**argv, name) == 0;
    *argv += there;
    return there;
}

int take_value(char ***argv, const char *name, const char **value, struct error **err)
{
    *value = NULL;
    if (!take_option(argv, name)) {
        return 0;
    }
    if (**argv == NULL) {
        return error_new(err, STATUS_USAGE, "%s requires a value", name);
    }
    *value = *(*argv)++;
    return 0;
}

int take_end(char *const *argv, struct error **err)
{
    return *argv == NULL ? 0 : error_new(err, STATUS_USAGE, "'%s': one argument too many", *argv);
}

int need_machine(const struct machine *machine, struct error **err)
{
    return process_alive(&machine->leader)
               ? 0
               : error_new(err, STATUS_USAGE, "machine %s is off: " MACHINE_OFF, machine->name);
}

int need_cluster(const struct lab *lab, struct error **err)
{
    if (!lab->created) {
        return error_new(err, STATUS_USAGE,
                         "lab %s has no cluster: only its machines were made, or its create failed; after `lab down`, "
                         "`lab create` makes one",
                         lab->name);
    }
    for (size_t i = 0; i < lab->n_machines; i++) {
        if (need_machine(lab->machines[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}
