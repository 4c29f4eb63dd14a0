/* k8s-hook EVENT finds this host's role in the metadata and becomes that role's binary; the rest are tools that no role
 * needs. */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/conf.h"
#include "app/facts/host_role.h"
#include "app/metadata/meta.h"
#include "app/metadata/meta_tree.h"
#include "app/paths.h"
#include "hooks/tools/tools.h"
#include "lib/core/interrupt.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/core/util.h"
#include "lib/system/file.h"
#include "lib/system/program.h"

static const char usage[] = "Usage: k8s-hook [OPTION...] EVENT [ARGUMENT]\n"
                            "                          run the event with this host's role\n"
                            "       k8s-hook template FILE --context FILE.json [--partials DIR] [--format F]\n"
                            "                         [--strict]\n"
                            "                          print one rendered template\n"
                            "       k8s-hook config check --metadata FILE\n"
                            "                          all that is wrong with a cluster's parameters\n"
                            "       k8s-hook statuses [--json]\n"
                            "                          every exit status\n"
                            "\n"
                            "Options and events are those of k8s-master, k8s-node, k8s-log and k8s-client:\n"
                            "see their --help.\n";

static char *const help[] = {"--help", "--usage", "-?", NULL};
static char *const version[] = {"--version", "-V", NULL};

struct tool {
    const char *name;
    int (*main)(int argc, char **argv);
};

static const struct tool tools[] = {
    {"template", template_main},
    {"config", config_main},
    {"statuses", statuses_main},
};

static const char *option_value(char **argv, const char *name)
{
    size_t len = strlen(name);
    for (; *argv != NULL; argv++) {
        if (strcmp(*argv, name) == 0) {
            return argv[1];
        }
        if (strncmp(*argv, name, len) == 0 && (*argv)[len] == '=') {
            return *argv + len + 1;
        }
    }
    return NULL;
}

/* The tree as whichever role ran here last saw it. */
static int cached_tree(const struct conf *conf, json_t **tree)
{
    static const char *const states[] = {STATE_ON_DATA, STATE_ON_SYSTEM};
    if (conf->metadata.cache != NULL) {
        return meta_tree_load_private(conf->metadata.cache, tree, NULL);
    }
    for (size_t i = 0; i < ELEMENTS(states); i++) {
        _cleanup_free_ char *path =
            path_join(conf->paths.state != NULL ? conf->paths.state : states[i], "metadata.json");
        if (meta_tree_load_private(path, tree, NULL) == 0) {
            return 0;
        }
    }
    return -1;
}

/* A host's role is for life, so the cached tree will do. */
static int get_tree(char **argv, json_t **tree, struct error **err)
{
    struct conf *conf __attribute__((cleanup(conf_freep))) = NULL;
    struct meta *meta __attribute__((cleanup(meta_freep))) = NULL;
    const char *config = option_value(argv, "--config");
    const char *source = option_value(argv, "--metadata");
    if (conf_load(&conf, config != NULL ? config : HOOK_CONF, config != NULL, err) < 0) {
        return -1;
    }
    if (source == NULL && cached_tree(conf, tree) == 0) {
        return 0;
    }
    return meta_open(&meta, conf, source, err) < 0 ? -1
                                                   : meta_get(meta, deadline_in(conf->metadata.deadline_ms), tree, err);
}

static int find_role(char **argv, char **role, struct error **err)
{
    _cleanup_json_ json_t *tree = NULL;
    if (get_tree(argv, &tree, err) < 0) {
        return -1;
    }
    const char *name = json_text(json_object_get(tree, "host"), "role");
    const struct host_role *is = host_role_find(name);
    if (is == NULL) {
        return error_new(err, STATUS_METADATA_INVALID,
                         "the metadata's /self/host/role is %s%s%s: master, node, ssd_node, log or client is expected",
                         name != NULL ? "\"" : "", name != NULL ? name : "absent", name != NULL ? "\"" : "");
    }
    *role = xstrdup(is->binary);
    return 0;
}

/* The role's binary lies beside this one. */
static int become_role(char **argv, struct error **err)
{
    _cleanup_free_ char *role = NULL;
    _cleanup_free_ char *self = link_read("/proc/self/exe");
    if (self == NULL) {
        return error_errno(err, STATUS_FAILED, errno, "cannot read /proc/self/exe");
    }
    if (find_role(argv, &role, err) < 0) {
        return -1;
    }
    _cleanup_free_ char *binary = xasprintf("%s/k8s-%s", dirname(self), role);
    interrupt_child();
    argv[0] = binary;
    execv(binary, argv);
    return error_errno(err, STATUS_METADATA_INVALID, errno, "cannot run %s for the role \"%s\" of /self/host/role",
                       binary, role);
}

/* What needs no role: *status is its exit status. False: an event. */
static bool run_here(int argc, char **argv, int *status)
{
    const char *first = argc < 2 ? "" : argv[1];
    *status = STATUS_OK;
    if (*first == '\0' || strv_contains(help, first)) {
        (void)fputs(usage, *first == '\0' ? stderr : stdout);
        *status = *first == '\0' ? STATUS_USAGE : STATUS_OK;
        return true;
    }
    if (strv_contains(version, first)) {
        puts("k8s-hook " SUITE_VERSION);
        return true;
    }
    for (size_t i = 0; i < ELEMENTS(tools); i++) {
        if (strcmp(argv[1], tools[i].name) == 0) {
            *status = tools[i].main(argc - 1, argv + 1);
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    _cleanup_error_ struct error *err = NULL;
    int status = STATUS_OK;
    if (program_start(&err) == 0 && run_here(argc, argv, &status)) {
        if (program_end(&err) < 0 && status == STATUS_OK) {
            (void)fprintf(stderr, "k8s-hook: %s\n", err->message);
            status = (int)err->status;
        }
        return status;
    }
    log_open("k8s-hooks", NULL, NULL, LOG_LEVEL_INFO);
    if (err == NULL && interrupt_open(&err) == 0) {
        (void)become_role(argv, &err);
    }
    log_error("%s", err->message);
    return (int)err->status;
}
