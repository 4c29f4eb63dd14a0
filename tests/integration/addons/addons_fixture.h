/* Three small add-ons, a real API server, and a kubectl that can be killed after any call. */
#ifndef ADDONS_FIXTURE_H
#define ADDONS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hooks/addons/addons.h"
#include "hooks/addons/addons_state.h"
#include "hooks/clients/kubectl.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "tests/lab/shared/apiserver.h"

/* In place of kubectl: notes each call, and after the one that the file "kill" names ends the program that made it. */
static const char wrapper[] = "#!/bin/sh\n"
                              "here=$(dirname \"$0\")\n"
                              "n=$(($(cat \"$here/calls\") + 1))\n"
                              "echo $n >\"$here/calls\"\n"
                              "echo \"$*\" >>\"$here/log\"\n"
                              "kill=$(cat \"$here/kill\")\n"
                              "\"$here/kubectl.real\" \"$@\"\n"
                              "status=$?\n"
                              "[ \"$kill\" != after-$n ] || { kill -KILL $PPID; exit 1; }\n"
                              "exit $status\n";

static const char addons_conf[] = "addon \"pool\" { templates = {\"pool.mustache\"} when = {\"pool\"} }\n"
                                  "addon \"second\" { templates = {\"second.mustache\"} after = {\"first\"} }\n"
                                  "addon \"first\" { templates = {\"first.mustache\"} when = {\"first\", \"!off\"} }\n";

/* The namespace is wrong, as in some release manifests: a pool has none. */
static const char pool[] = "apiVersion: tests.example.com/v1\n"
                           "kind: Pool\n"
                           "metadata: {name: a-pool, namespace: kube-system}\n"
                           "spec: {size: {{pool.size}}}\n"
                           "---\n"
                           "apiVersion: apiextensions.k8s.io/v1\n"
                           "kind: CustomResourceDefinition\n"
                           "metadata: {name: pools.tests.example.com}\n"
                           "spec:\n"
                           "  group: tests.example.com\n"
                           "  scope: Cluster\n"
                           "  names: {kind: Pool, listKind: PoolList, plural: pools, singular: pool}\n"
                           "  versions:\n"
                           "    - name: v1\n"
                           "      served: true\n"
                           "      storage: true\n"
                           "      schema:\n"
                           "        openAPIV3Schema:\n"
                           "          type: object\n"
                           "          properties: {spec: {type: object, properties: {size: {type: integer}}}}\n";

static const char first[] = "apiVersion: v1\n"
                            "kind: ConfigMap\n"
                            "metadata: {name: first-settings, namespace: kube-system}\n"
                            "data: {text: \"{{first.text}}\"}\n"
                            "{{#first.extra}}\n"
                            "---\n"
                            "apiVersion: v1\n"
                            "kind: ConfigMap\n"
                            "metadata: {name: \"{{first.extra}}\", namespace: kube-system}\n"
                            "{{/first.extra}}\n";

static const char second[] = "apiVersion: v1\n"
                             "kind: ConfigMap\n"
                             "metadata: {name: \"second-{{addon.checksum}}\", namespace: kube-system}\n"
                             "data: {text: \"{{second.text}}\"}\n"
                             "{{#second.extra}}\n"
                             "---\n"
                             "apiVersion: v1\n"
                             "kind: ConfigMap\n"
                             "metadata: {name: \"{{second.extra}}\", namespace: kube-system}\n"
                             "{{/second.extra}}\n"
                             "{{#second.selector}}\n"
                             "---\n"
                             "apiVersion: apps/v1\n"
                             "kind: Deployment\n"
                             "metadata: {name: workload, namespace: kube-system}\n"
                             "spec:\n"
                             "  selector: {matchLabels: {version: \"{{second.selector}}\"}}\n"
                             "  template:\n"
                             "    metadata: {labels: {version: \"{{second.selector}}\"}}\n"
                             "    spec: {containers: [{name: a, image: a}]}\n"
                             "{{/second.selector}}\n";

static const struct role master = {.name = "master", .state = "/state", .kubelet = true, .control_plane = true};
static struct apiserver server;

static inline void must(int result, struct error **err)
{
    if (result < 0) {
        print_error("%s\n", *err != NULL ? (*err)->message : "failed");
        fail();
    }
}

static inline void put(const char *name, const char *text, mode_t mode)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *path = path_join(server.root, name);
    const struct file_spec spec = {.path = path, .data = text, .len = strlen(text), .mode = mode};
    must(file_put(&spec, NULL, &err), &err);
}

static inline char *get(const char *name)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *path = path_join(server.root, name);
    char *text = NULL;
    must(file_read(path, 0, &text, NULL, &err), &err);
    return text;
}

static inline int set_up(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    if (apiserver_start(&server, &err) < 0) {
        print_error("%s\n", err->message);
        apiserver_stop(&server);
        return -1;
    }
    _cleanup_free_ char *real = path_join(server.root, "opt/kubernetes/bin/kubectl.real");
    must(link_make(server.kubectl, real, NULL, &err), &err);
    put("opt/kubernetes/bin/kubectl", wrapper, 0755);
    put("roles/addons.conf", addons_conf, 0644);
    put("templates/pool.mustache", pool, 0644);
    put("templates/first.mustache", first, 0644);
    put("templates/second.mustache", second, 0644);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    apiserver_stop(&server);
    return 0;
}

struct fixture {
    struct conf conf;
    struct run run;
};

static inline void fixture_open(struct fixture *f)
{
    put("opt/kubernetes/bin/calls", "0\n", 0644);
    put("opt/kubernetes/bin/log", "", 0644);
    put("opt/kubernetes/bin/kill", "", 0644);
    *f = (struct fixture){0};
    f->conf.paths.opt = path_join(server.root, "opt/kubernetes");
    f->conf.paths.roles = path_join(server.root, "roles");
    f->conf.paths.templates = path_join(server.root, "templates");
    f->conf.addons.enabled = true;
    f->conf.addons.skip = xcalloc(1, sizeof *f->conf.addons.skip);
    f->run = (struct run){.role = &master, .conf = &f->conf, .root = server.root, .deadline = deadline_in(900000)};
    _cleanup_error_ struct error *err = NULL;
    must(apiserver_kube(&server, &f->run.kube, &err), &err);
}

static inline void fixture_close(struct fixture *f)
{
    kube_free(f->run.kube);
    free(f->conf.paths.opt);
    free(f->conf.paths.roles);
    free(f->conf.paths.templates);
    strv_free(f->conf.addons.skip);
}

#define _cleanup_fixture_ _cleanup_(fixture_close)

static inline int apply(struct fixture *f, const char *context, struct error **err)
{
    _cleanup_json_ json_t *json = json_loads(context, 0, NULL);
    _cleanup_(addons_plan_freep) struct addons_plan *plan = NULL;
    assert_non_null(json);
    return addons_plan_make(&plan, &f->run, json, err) < 0 ? -1 : addons_plan_apply(plan, err);
}

static inline void must_apply(struct fixture *f, const char *context)
{
    _cleanup_error_ struct error *err = NULL;
    must(apply(f, context, &err), &err);
}

static inline bool up_to_date(struct fixture *f, const char *context)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_json_ json_t *json = json_loads(context, 0, NULL);
    _cleanup_(addons_plan_freep) struct addons_plan *plan = NULL;
    must(addons_plan_make(&plan, &f->run, json, &err), &err);
    return addons_plan_empty(plan);
}

/* The names of config maps and pools that the add-ons of these tests made, and their one value each. */
static inline char *cluster(struct fixture *f)
{
    static const char *const maps[] = {"get",
                                       "configmap",
                                       "--namespace=kube-system",
                                       "--no-headers",
                                       "--output=custom-columns=N:.metadata.name,T:.data.text",
                                       NULL};
    static const char *const pools[] = {"get",
                                        "pools.tests.example.com",
                                        "--no-headers",
                                        "--ignore-not-found",
                                        "--output=custom-columns=N:.metadata.name,S:.spec.size",
                                        NULL};
    _cleanup_error_ struct error *err = NULL;
    _cleanup_error_ struct error *no_pools = NULL;
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ char *size = NULL;
    struct buffer out = {0};
    must(kubectl(&f->run, maps, NULL, &text, &err), &err);
    (void)kubectl(&f->run, pools, NULL, &size, &no_pools);
    _cleanup_free_ char *both = xasprintf("%s%s", text, size != NULL ? size : "");
    buffer_puts(&out, "");
    char *rest = both;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        _cleanup_strv_ char **word = strv_split(line);
        bool ours = word[0] != NULL && (str_starts(word[0], "first") || str_starts(word[0], "second") ||
                                        str_starts(word[0], "extra") || str_starts(word[0], "a-pool"));
        if (ours) {
            buffer_printf(&out, "%s=%s ", str_starts(word[0], "second-") ? "second" : word[0], word[1]);
        }
    }
    return out.data;
}

static inline void assert_cluster(struct fixture *f, const char *expected)
{
    _cleanup_free_ char *is = cluster(f);
    assert_string_equal(is, expected);
}

static inline void wipe(struct fixture *f)
{
    strv_push(&f->conf.addons.skip, "pool");
    strv_push(&f->conf.addons.skip, "first");
    strv_push(&f->conf.addons.skip, "second");
    must_apply(f, "{}");
    assert_cluster(f, "");
}

static inline size_t calls(void)
{
    _cleanup_free_ char *text = get("opt/kubernetes/bin/calls");
    return (size_t)strtoul(text, NULL, 10);
}

#define ALL "{\"pool\": {\"size\": 3}, \"first\": {\"text\": \"one\"}, \"second\": {\"text\": \"two\"}}"

#endif
