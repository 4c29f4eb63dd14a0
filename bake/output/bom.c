#include "bake/output/bom.h"

#include <string.h>
#include <time.h>

#include "bake/conf/versions.h"
#include "lib/crypto/crypto.h"
#include "lib/system/proc.h"

static void add_property(json_t *component, const char *name, const char *value)
{
    if (value == NULL) {
        return;
    }
    json_t *list = json_object_get(component, "properties");
    if (list == NULL) {
        list = json_array();
        json_object_set_new(component, "properties", list);
    }
    json_array_append_new(list, json_pack("{s:s, s:s}", "name", name, "value", value));
}

static void add_hash(json_t *component, const char *sha256)
{
    json_object_set_new(component, "hashes", json_pack("[{s:s, s:s}]", "alg", "SHA-256", "content", sha256));
}

/* dpkg's own output is in the order of the names. */
static int add_packages(const struct bake *bake, json_t *components, struct error **err)
{
    _cleanup_free_ char *admin = xasprintf("--admindir=%s/var/lib/dpkg", bake->root.path);
    const char *argv[] = {
        "dpkg-query", admin, "--show",
        "--showformat=${db:Status-Status} ${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\n",
        NULL};
    struct proc proc = {.argv = argv, .keep_output = true, .deadline = deadline_in(60000)};
    _cleanup_proc_ struct proc_result result = {0};
    if (proc_run(&proc, &result, err) < 0) {
        return -1;
    }
    char *rest = NULL;
    for (char *line = strtok_r(result.output, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        _cleanup_strv_ char **word = strv_split(line);
        if (strv_length(word) != 6 || strcmp(word[0], "installed") != 0) {
            continue;
        }
        _cleanup_free_ char *purl =
            xasprintf("pkg:deb/debian/%s@%s?arch=%s&distro=%s", word[1], word[2], word[3], bake->conf->suite);
        json_t *component = json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "library", "bom-ref", purl, "name", word[1],
                                      "version", word[2], "purl", purl);
        add_property(component, "source", word[4]);
        add_property(component, "source-version", word[5]);
        json_array_append_new(components, component);
    }
    return 0;
}

static char *hash_inside(const struct bake *bake, const char *path)
{
    size_t len = 0;
    _cleanup_free_ char *text = root_read(&bake->root, path, &len);
    return sha256_hex(text == NULL ? "" : text, len);
}

static void add_artifacts(const struct bake *bake, json_t *components)
{
    for (size_t i = 0; i < bake->conf->n_artifacts; i++) {
        const struct artifact *a = &bake->conf->artifacts[i];
        _cleanup_free_ char *printed = a->command[0] != NULL ? hash_inside(bake, a->to) : NULL;
        const char *sha256 = printed != NULL ? printed : bake->artifacts[i].sha256;
        _cleanup_free_ char *ref = xasprintf("%s:%s", a->kind, a->name);
        _cleanup_free_ char *shortened = xasprintf("%.12s", sha256);
        json_t *component = json_pack("{s:s, s:s, s:s, s:s}", "type", "file", "bom-ref", ref, "name", a->name,
                                      "version", a->version != NULL ? a->version : shortened);
        add_hash(component, sha256);
        if (a->url != NULL) {
            json_object_set_new(component, "externalReferences",
                                json_pack("[{s:s, s:s}]", "type", "distribution", "url", a->url));
        }
        if (a->license != NULL) {
            json_object_set_new(component, "licenses", json_pack("[{s:{s:s}}]", "license", "id", a->license));
        }
        add_property(component, "path", a->to);
        json_array_append_new(components, component);
    }
}

static void add_images(const struct bake *bake, json_t *components)
{
    for (size_t i = 0; i < bake->conf->n_images; i++) {
        const struct container_image *image = &bake->conf->images[i];
        const struct source *source = &bake->images[i];
        _cleanup_free_ char *ref = xasprintf("image:%s", image->name);
        const char *colon = strrchr(image->reference, ':');
        bool tagged = colon != NULL && strchr(colon, '/') == NULL;
        if (!image->preload) {
            continue;
        }
        json_t *component = json_pack("{s:s, s:s, s:s, s:s}", "type", "container", "bom-ref", ref, "name", image->name,
                                      "version", tagged ? colon + 1 : "latest");
        add_hash(component, source->digest != NULL ? source->digest + strlen("sha256:") : source->sha256);
        add_property(component, "reference", image->reference);
        add_property(component, "digest", source->digest);
        json_array_append_new(components, component);
    }
}

/* An RFC 4122 shaped name for the whole content, so that equal images have equal manifests. */
static char *serial_number(const json_t *components)
{
    _cleanup_free_ char *text = json_dumps(components, JSON_COMPACT | JSON_SORT_KEYS);
    _cleanup_free_ char *hex = sha256_hex(text, strlen(text));
    return xasprintf("urn:uuid:%.8s-%.4s-5%.3s-a%.3s-%.12s", hex, hex + 8, hex + 12, hex + 15, hex + 18);
}

int manifest_make(const struct bake *bake, json_t **manifest, struct error **err)
{
    _cleanup_json_ json_t *components = json_array();
    if (add_packages(bake, components, err) < 0) {
        return -1;
    }
    add_artifacts(bake, components);
    add_images(bake, components);
    char timestamp[32] = "";
    time_t epoch = bake->epoch;
    struct tm tm;
    (void)strftime(timestamp, sizeof timestamp, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&epoch, &tm));
    _cleanup_free_ char *serial = serial_number(components);
    json_t *image = json_pack("{s:s, s:s, s:s, s:s}", "type", "operating-system", "bom-ref", "image", "name",
                              "k8s-hooks-image", "version", SUITE_VERSION);
    const char *kubernetes = bake->conf->kubernetes;
    add_property(image, "kubernetes", kubernetes);
    add_property(image, "kubeadm-api", kubeadm_api(kubernetes));
    add_property(image, "container-runtime", container_runtime(kubernetes));
    add_property(image, "debian", bake->conf->suite);
    *manifest =
        json_pack("{s:s, s:s, s:s, s:i, s:{s:s, s:[{s:s, s:s}], s:o}, s:O}", "bomFormat", "CycloneDX", "specVersion",
                  "1.4", "serialNumber", serial, "version", 1, "metadata", "timestamp", timestamp, "tools", "name",
                  "k8s-bake", "version", SUITE_VERSION, "component", image, "components", components);
    return 0;
}

int manifest_put(const struct bake *bake, const json_t *manifest, bool *changed, struct error **err)
{
    _cleanup_free_ char *text = json_dumps(manifest, JSON_INDENT(1));
    _cleanup_free_ char *lines = xasprintf("%s\n", text);
    _cleanup_free_ char *present = root_read(&bake->root, MANIFEST_PATH, NULL);
    _cleanup_place_ struct place place = {.root = &bake->root};
    *changed = present == NULL || strcmp(present, lines) != 0;
    if (!*changed) {
        return 0;
    }
    return place_data(&place, MANIFEST_PATH, 0644, lines, strlen(lines), err) < 0 ? -1 : place_commit(&place, err);
}
