/* What the shell's completion offers: asked of the program, so that it knows the lab's machines and the app's names. */
#include <string.h>

#include "lib/core/json.h"
#include "tests/lab/lab/faults/fault.h"
#include "tests/lab/lab/form/form.h"
#include "tests/lab/lab/verbs/counts.h"
#include "tests/lab/lab/verbs/verb.h"

/* Without the "=" of an option that has a value. */
static void print_words(const char *words)
{
    _cleanup_strv_ char **list = strv_split(words == NULL ? "" : words);
    for (char **word = list; *word != NULL; word++) {
        printf("%.*s\n", (int)strcspn(*word, "="), *word);
    }
}

static void print_verbs(void)
{
    printf("--name\n--help\nhelp\n");
    for (const struct verb *verb = verbs; verb->name != NULL; verb++) {
        if (verb->group != NULL) {
            printf("%s\n", verb->name);
        }
    }
}

static void print_machines(const struct lab *lab)
{
    for (size_t i = 0; i < lab->n_machines; i++) {
        printf("%s\n", lab->machines[i]->name);
    }
}

static void print_roles(const struct lab *lab, bool counts)
{
    _cleanup_free_ const char **roles = counts_roles(lab->form);
    for (const char **role = roles; *role != NULL; role++) {
        printf("%s%s\n", *role, counts ? "=" : "");
    }
}

static void print_keys(const struct lab *lab)
{
    size_t i;
    json_t *property;
    json_array_foreach (json_object_get(form_property(lab->form, "env"), "properties"), i, property) {
        printf("%s\n", json_text_or(property, "key", ""));
    }
}

static void print_members(const json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)object, key, value) {
        printf("%s\n", key);
    }
}

static void print_faults(void)
{
    printf("end\n");
    for (const struct fault_kind *kind = fault_kinds; kind->name != NULL; kind++) {
        printf("%s\n", kind->name);
    }
}

/* The services of any role. */
static void print_events(const struct lab *lab)
{
    size_t i;
    json_t *node;
    print_words("reload custom_metadata check action monitor");
    json_array_foreach (json_object_get(lab->package, "nodes"), i, node) {
        print_members(json_object_get(node, "services"));
    }
}

/* Those that can be ended. */
static void print_begun(const struct lab *lab)
{
    _cleanup_json_ json_t *faults = fault_list(lab);
    size_t i;
    json_t *fault;
    printf("all\n");
    json_array_foreach (faults, i, fault) {
        printf("%s\n%s\n", json_text_or(fault, "id", ""), json_text_or(fault, "fault", ""));
    }
    print_machines(lab);
}

/* WORDS: the verb, and those behind it. */
static void print_of(const struct lab *lab, const struct verb *verb, char *const *words)
{
    size_t before = strv_length(words) - 1;
    print_words(verb->options);
    switch (verb->words) {
    case WORDS_MACHINES:
        print_machines(lab);
        if (before > 0 && strcmp(verb->name, "logs") == 0) {
            print_events(lab);
        }
        break;
    case WORDS_ROLES:
        print_roles(lab, strcmp(verb->name, "resize") != 0);
        break;
    case WORDS_KEYS:
        print_keys(lab);
        break;
    case WORDS_EVENTS:
        if (before == 0) {
            print_machines(lab);
        } else {
            print_events(lab);
        }
        break;
    case WORDS_TABS:
        print_members(json_object_get(lab->package, "display_tabs"));
        break;
    case WORDS_FAULTS:
        if (before == 0) {
            print_faults();
        } else if (strcmp(words[1], "end") == 0) {
            print_begun(lab);
        } else {
            print_machines(lab);
        }
        break;
    default:
        break;
    }
}

/* WORDS are those before the one that is completed, without the program's own name and --name NAME. */
int help_words(const struct lab *lab, char *const *words)
{
    const struct verb *verb = *words == NULL ? NULL : verb_find(*words);
    if (*words == NULL || strcmp(*words, "help") == 0) {
        print_verbs();
    } else if (verb != NULL) {
        print_of(lab, verb, words);
    }
    return 0;
}
