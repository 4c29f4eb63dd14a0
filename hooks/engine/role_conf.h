/* roles/ROLE.conf: what a role renders, runs and checks (libconfuse). An unknown key is STATUS_CONFIG with file and
 * line.
 *
 *   include = {"kubelet.conf"}     # files beside this one, whose sections count as this one's
 *   file "kubelet" {
 *       template = "kubelet/kubelet.yaml.mustache"   # below paths.templates; partials are found there too
 *       path = "/etc/kubernetes/kubelet.yaml"        # or "/DIRECTORY/{{name}}/FILE", with a name of the context: below
 *                                                    # other names there, FILE is removed where it is ours (FILE_MARK)
 *       format = "yaml"            # of lib/text/mustache.h; default plain
 *       mode = "0644"              # octal; default 0644, with secret 0600
 *       owner = "root"  group = "root"
 *       secret = true              # never shown; its mode gives others nothing
 *       when = "registry.login"    # only while this name of the context is truthy ("!name": is not); removed otherwise
 *       on-change = {"kubelet-restart"}   # of change_actions
 *   }
 *   unit "docker.service" { when = "network.bridge" }
 *   check "data-space" { enabled = true  warn = 85  fail = 95 }   # in the check's own measure
 */
#ifndef HOOKS_ENGINE_ROLE_CONF_H
#define HOOKS_ENGINE_ROLE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <jansson.h>

#include "lib/core/error.h"
#include "lib/text/mustache.h"

/* How a file begins that may lie below a name of the context: what does not is not ours. */
#define FILE_MARK "# Written by k8s-hooks"

struct file_conf {
    char *name;
    char *template;
    char *path;
    enum format format;
    mode_t mode;
    uid_t uid;
    gid_t gid;
    char **on_change; /* never NULL */
    char *when;       /* NULL: always */
    bool secret;
};

struct unit_conf {
    char *name;
    char *when;
};

struct check_conf {
    char *name;
    bool enabled;
    long warn, fail; /* -1: not set */
};

struct role_conf {
    struct file_conf *files;
    size_t n_files;
    struct unit_conf *units;
    size_t n_units;
    struct check_conf *checks;
    size_t n_checks;
};

/* What a changed file may need, in the order of execution; hooks/steps/machine/reload_actions.c does it.
 * NULL-terminated. */
extern char *const change_actions[];

/* Reads DIRECTORY/ROLE.conf. */
int role_conf_load(struct role_conf **conf, const char *directory, const char *role, struct error **err);
void role_conf_free(struct role_conf *conf);
void role_conf_freep(struct role_conf **conf);

/* The section of that name, or NULL. */
const struct check_conf *role_conf_check(const struct role_conf *conf, const char *name);

/* WHEN as above, against the context of templates/README.md; NULL is true. */
bool when_holds(const char *when, const json_t *context);

#endif
