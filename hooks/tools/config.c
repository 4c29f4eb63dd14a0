#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "app/facts/facts.h"
#include "app/facts/parameters.h"
#include "app/metadata/meta.h"
#include "app/paths.h"
#include "hooks/tools/tools.h"

static const char usage[] = "Usage: k8s-hook config check --metadata FILE|URL [--previous FILE]\n"
                            "                             [--config FILE]\n"
                            "           prints all that is wrong with a cluster's parameters, key by key\n"
                            "       k8s-hook config show [--json] [--config FILE]\n"
                            "           the hooks' own configuration, with hook.conf.d/*.conf and defaults\n"
                            "       k8s-hook config parameters [--json]\n"
                            "           every cluster parameter: its default and what is accepted\n\n"
                            "      --metadata FILE|URL  what the metadata servers answer for /self; /self/host\n"
                            "                           may be left out\n"
                            "      --previous FILE      the metadata before a change: what may not change is\n"
                            "                           read too\n"
                            "      --config FILE        instead of /etc/k8s-hooks/hook.conf\n"
                            "      --json               print JSON\n"
                            "      --help\n";

struct arguments {
    const char *verb, *metadata, *previous, *config;
    bool json, help;
};

static int parse_arguments(int argc, char **argv, struct arguments *a, struct error **err)
{
    static const struct option options[] = {
        {"metadata", required_argument, NULL, 'm'}, {"previous", required_argument, NULL, 'p'},
        {"config", required_argument, NULL, 'c'},   {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},           {0},
    };
    optind = 0; /* whoever called us has read options before */
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (option) {
        case 'm':
            a->metadata = optarg;
            break;
        case 'p':
            a->previous = optarg;
            break;
        case 'c':
            a->config = optarg;
            break;
        case 'j':
            a->json = true;
            break;
        case 'h':
            a->help = true;
            return 0;
        default:
            return error_new(err, STATUS_USAGE,
                             "%s: unknown option, or its value is missing; see k8s-hook config --help",
                             argv[optind - 1]);
        }
    }
    if (optind + 1 != argc) {
        return error_new(err, STATUS_USAGE, "one of check, show and parameters is needed; see k8s-hook config --help");
    }
    a->verb = argv[optind];
    return 0;
}

/* A document without /host stands for the cluster as a whole: its parameters are the same for every host. */
static void choose_host(json_t *tree)
{
    const char *role;
    const char *instance;
    json_t *members;
    json_t *host;
    if (json_object_get(tree, "host") != NULL) {
        return;
    }
    json_object_foreach (json_object_get(tree, "hosts"), role, members) {
        json_object_foreach (members, instance, host) {
            json_object_set_new(tree, "host", json_pack("{s:s}", "instance_id", instance));
            return;
        }
    }
}

static int load_tree(const struct conf *conf, const char *source, json_t **tree, struct error **err)
{
    struct meta *meta __attribute__((cleanup(meta_freep))) = NULL;
    if (meta_open(&meta, conf, source, err) < 0 ||
        meta_get(meta, deadline_in(conf->metadata.deadline_ms), tree, err) < 0) {
        return -1;
    }
    choose_host(*tree);
    return 0;
}

static int check(const struct conf *conf, const struct arguments *a, struct error **err)
{
    _cleanup_json_ json_t *tree = NULL;
    _cleanup_json_ json_t *previous = NULL;
    _cleanup_(facts_freep) struct facts *facts = NULL;
    if (a->metadata == NULL) {
        return error_new(err, STATUS_USAGE, "check needs --metadata FILE; see k8s-hook config --help");
    }
    if (load_tree(conf, a->metadata, &tree, err) < 0 ||
        (a->previous != NULL && load_tree(conf, a->previous, &previous, err) < 0) ||
        facts_load(&facts, tree, conf, err) < 0 || facts_check_change(facts, previous, err) < 0) {
        return -1;
    }
    _cleanup_strv_ char **warnings = facts_warnings(facts);
    for (char **w = warnings; *w != NULL; w++) {
        printf("warning: %s\n", *w);
    }
    printf("%s: every parameter of cluster %s is acceptable\n", a->metadata, facts->cluster.id);
    return 0;
}

static json_t *strings(char *const *values)
{
    json_t *list = json_array();
    for (; values != NULL && *values != NULL; values++) {
        json_array_append_new(list, json_string(*values));
    }
    return list;
}

static json_t *settings(const struct conf *c)
{
    return json_pack("{s:{s:o, s:s?, s:i, s:i, s:s?}, s:{s:s?, s:s?, s:s?, s:s?, s:s?}, s:{s:i, s:i, s:i, s:i, s:i}, "
                     "s:{s:s?}, s:{s:s?},"
                     " s:{s:b, s:o}, s:{s:s?, s:s?, s:i}}",
                     "metadata", "servers", strings(c->metadata.servers), "confd-toml", c->metadata.confd_toml,
                     "timeout-ms", c->metadata.timeout_ms, "deadline-ms", c->metadata.deadline_ms, "cache",
                     c->metadata.cache, "paths", "data", c->paths.data, "state", c->paths.state, "roles",
                     c->paths.roles, "templates", c->paths.templates, "opt", c->paths.opt, "timeouts", "event-s",
                     c->timeouts.event_s, "unit-s", c->timeouts.unit_s, "api-s", c->timeouts.api_s, "token-s",
                     c->timeouts.token_s, "drain-s", c->timeouts.drain_s, "network", "mode", c->network.mode, "report",
                     "url", c->report.url, "addons", "enabled", c->addons.enabled, "skip", strings(c->addons.skip),
                     "cloud", "protocol", c->cloud.protocol, "host", c->cloud.host, "port", c->cloud.port);
}

/* One line a setting, as hook.conf has them; what is not set at all is left out. */
static void print_settings(const json_t *all)
{
    const char *section;
    const char *key;
    json_t *members;
    json_t *value;
    json_object_foreach ((json_t *)all, section, members) {
        printf("%s {\n", section);
        json_object_foreach (members, key, value) {
            _cleanup_free_ char *text = json_dumps(value, JSON_ENCODE_ANY);
            if (json_is_array(value)) {
                text[0] = '{';
                text[strlen(text) - 1] = '}';
            }
            if (!json_is_null(value)) {
                printf("    %s = %s\n", key, text);
            }
        }
        puts("}");
    }
}

static void print_json(const json_t *value)
{
    _cleanup_free_ char *text = json_dumps(value, JSON_INDENT(2));
    puts(text);
}

static void show(const struct conf *conf, bool as_json)
{
    _cleanup_json_ json_t *all = settings(conf);
    if (as_json) {
        print_json(all);
    } else {
        print_settings(all);
    }
}

static void show_parameters(bool as_json)
{
    _cleanup_json_ json_t *all = json_array();
    for (const struct parameter *row = parameter_table; row->key != NULL; row++) {
        if (as_json) {
            json_array_append_new(all, json_pack("{s:s, s:s?, s:s, s:b, s:b}", "key", row->key, "default",
                                                 row->fallback, "accepted", row->accepted, "secret", row->secret,
                                                 "required", row->fallback == NULL));
        } else {
            printf("| %s | %s | %s |\n", row->key, row->fallback == NULL ? "required" : row->fallback, row->accepted);
        }
    }
    if (as_json) {
        print_json(all);
    }
}

static int run_verb(const struct arguments *a, struct error **err)
{
    struct conf *conf __attribute__((cleanup(conf_freep))) = NULL;
    if (strcmp(a->verb, "parameters") == 0) {
        show_parameters(a->json);
        return 0;
    }
    bool known = strcmp(a->verb, "check") == 0 || strcmp(a->verb, "show") == 0;
    if (!known) {
        return error_new(err, STATUS_USAGE, "config has no \"%s\"; see k8s-hook config --help", a->verb);
    }
    if (conf_load(&conf, a->config != NULL ? a->config : HOOK_CONF, a->config != NULL, err) < 0) {
        return -1;
    }
    if (strcmp(a->verb, "check") == 0) {
        return check(conf, a, err);
    }
    show(conf, a->json);
    return 0;
}

int config_main(int argc, char **argv)
{
    struct arguments arguments = {.verb = ""};
    _cleanup_error_ struct error *err = NULL;
    if (parse_arguments(argc, argv, &arguments, &err) == 0) {
        if (arguments.help) {
            (void)fputs(usage, stdout);
            return STATUS_OK;
        }
        if (run_verb(&arguments, &err) == 0) {
            return STATUS_OK;
        }
    }
    (void)fprintf(stderr, "k8s-hook config: %s\n", err->message);
    return (int)err->status;
}
