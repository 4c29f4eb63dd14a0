/* A real API server, and what the shipped add-ons are rendered to for the whole clusters of tests/golden. */
#ifndef MANIFESTS_FIXTURE_H
#define MANIFESTS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "app/facts/facts.h"
#include "hooks/addons/addons.h"
#include "hooks/addons/addons_files.h"
#include "hooks/clients/kubectl.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "lib/system/tree.h"
#include "tests/lab/shared/apiserver.h"
#include "tests/lab/shared/cluster.h"

#define OPT "tests/golden/opt"

static struct apiserver server;
static struct kube *kube;
static char *skip[] = {NULL};
static struct conf conf = {
    .paths = {.roles = (char *)"roles", .templates = (char *)"templates"}, /* .opt: the server's */
    .network = {.mode = (char *)"auto"},
    .addons = {.enabled = true, .skip = skip},
};
static const struct role master = {.name = "master", .state = "/state", .kubelet = true, .control_plane = true};

static inline void must(int result, struct error **err)
{
    if (result < 0) {
        fail_msg("%s", *err != NULL ? (*err)->message : "failed");
    }
}

/* What an image brings, beside the server's kubectl: versions.json of the golden clusters, and the release manifests.
 */
static inline int bring_image_parts(struct error **err)
{
    _cleanup_free_ char *versions = realpath(OPT "/versions.json", NULL);
    _cleanup_free_ char *link = path_join(conf.paths.opt, "versions.json");
    _cleanup_free_ char *manifests = path_join(conf.paths.opt, "manifests");
    return link_make(versions, link, NULL, err) < 0
               ? -1
               : proc_exec(deadline_in(300000), err, "tests/upstream", manifests, (char *)NULL);
}

/* Without them no test of this kind has anything to say: one line tells why, and main ends. */
static inline bool releases_there(void)
{
    char directory[] = "/tmp/releases-XXXXXX";
    bool there = mkdtemp(directory) != NULL &&
                 proc_exec(deadline_in(300000), NULL, "tests/upstream", directory, (char *)NULL) == 0;
    (void)tree_remove(directory, NULL);
    if (!there) {
        printf("1..1\nok 1 - add-ons # SKIP no release manifests: set UPSTREAM to their directory\n");
    }
    return there;
}

static inline int set_up(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    if (apiserver_start(&server, &err) == 0 && apiserver_kube(&server, &kube, &err) == 0) {
        conf.paths.opt = path_join(server.root, "opt/kubernetes");
        if (bring_image_parts(&err) == 0) {
            return 0;
        }
    }
    print_error("%s\n", err->message);
    apiserver_stop(&server);
    return -1;
}

static inline int tear_down(void **state)
{
    (void)state;
    free(conf.paths.opt);
    kube_free(kube);
    apiserver_stop(&server);
    return 0;
}

static inline struct run new_run(void)
{
    return (struct run){
        .role = &master, .conf = &conf, .root = server.root, .deadline = deadline_in(900000), .kube = kube};
}

static inline json_t *context_of(const json_t *cluster)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_(facts_freep) struct facts *facts = NULL;
    _cleanup_json_ json_t *view = cluster_view(cluster, "master", 1);
    assert_non_null(view);
    must(facts_load(&facts, view, &conf, &err), &err);
    return facts_context(facts);
}

static inline json_t *load(const char *name)
{
    _cleanup_error_ struct error *err = NULL;
    json_t *cluster = cluster_load(name, &err);
    if (cluster == NULL) {
        fail_msg("%s", err->message);
    }
    return cluster;
}

static inline void render(const char *name, struct manifest *all)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_json_ json_t *cluster = load(name);
    _cleanup_json_ json_t *context = context_of(cluster);
    _cleanup_rendered_addons_ struct rendered_addons addons = {0};
    must(addons_render(&addons, &conf, context, false, &err), &err);
    for (size_t i = 0; i < addons.n; i++) {
        if (addons.list[i].on) {
            must(manifest_add(all, addons.list[i].name, addons.list[i].text, &err), &err);
        }
    }
    manifest_sort(all);
}

/* After manifest_sort: where those begin that the API server does not take under server-side apply. */
static inline size_t first_api_service(const struct manifest *manifest)
{
    size_t n = manifest->n;
    while (n > 0 && strcmp(manifest->documents[n - 1].object.kind, "APIService") == 0) {
        n--;
    }
    return n;
}

/* What kubectl prints; NULL where there is nothing to apply, which it would refuse. The caller frees. */
static inline char *apply(const char *const *arguments, const char *text)
{
    const struct run run = new_run();
    _cleanup_error_ struct error *err = NULL;
    char *output = NULL;
    if (*text != '\0') {
        must(kubectl(&run, arguments, text, &output, &err), &err);
    }
    return output;
}

static inline void dry_run_api_services(const struct manifest *manifest)
{
    static const char *const dry[] = {"apply", "--dry-run=server", "--filename=-", NULL};
    _cleanup_free_ char *text = manifest_text(manifest, first_api_service(manifest), manifest->n);
    free(apply(dry, text));
}

/* What the API server made of the manifest, without keeping it: an array of objects. */
static inline json_t *dry_run(const struct manifest *manifest)
{
    static const char *const real[] = {"apply", "--server-side", "--force-conflicts", "--filename=-", NULL};
    static const char *const dry[] = {
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--output=json", "--filename=-", NULL};
    static const char *const established[] = {
        "wait", "--for=condition=Established", "--timeout=300s", "customresourcedefinition", "--all", NULL};
    const struct run run = new_run();
    _cleanup_error_ struct error *err = NULL;
    size_t definitions = manifest_definitions(manifest);
    size_t services = first_api_service(manifest);
    _cleanup_free_ char *first = manifest_text(manifest, 0, definitions);
    _cleanup_free_ char *rest = manifest_text(manifest, definitions, services);
    free(apply(real, first));
    if (strstr(first, "kind: CustomResourceDefinition") != NULL) {
        must(kubectl(&run, established, NULL, NULL, &err), &err);
    }
    _cleanup_free_ char *output = apply(dry, rest);
    dry_run_api_services(manifest);
    _cleanup_json_ json_t *list = output != NULL ? json_loads(output, 0, NULL) : NULL;
    json_t *items = output == NULL ? json_array()
                    : strcmp(json_text(list, "kind"), "List") == 0
                        ? json_incref(json_object_get(list, "items"))
                        : json_pack("[O]", list); /* one object comes by itself */
    assert_int_equal(json_array_size(items), services - definitions);
    return items;
}

/* The value at PATH ("spec.clusterIP"), a number as an array's index; a text, or a number as text. */
static inline char *member(const json_t *value, const char *path)
{
    _cleanup_free_ char *copy = xstrdup(path);
    char *rest = copy;
    for (char *part = strsep(&rest, "."); part != NULL && value != NULL; part = strsep(&rest, ".")) {
        value = json_is_array(value) ? json_array_get(value, (size_t)strtoul(part, NULL, 10))
                                     : json_object_get(value, part);
    }
    return json_is_integer(value) ? xasprintf("%lld", (long long)json_integer_value(value))
                                  : xstrdup(json_string_value(value));
}

#endif
