#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "bake/output/bom.h"
#include "lib/core/json.h"
#include "lib/system/file.h"

static char *manifest_of(const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        return path_join(path, MANIFEST_PATH);
    }
    return str_ends(path, ".json") ? xstrdup(path) : xasprintf("%s.manifest.json", path);
}

int manifest_read(const char *path, json_t **manifest, struct error **err)
{
    _cleanup_free_ char *file = manifest_of(path);
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    json_error_t why;
    if (file_read(file, 0, &text, &len, err) < 0) {
        return error_wrap(err, "%s has no manifest of an image", path);
    }
    *manifest = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_array(json_object_get(*manifest, "components"))) {
        json_decref(*manifest);
        *manifest = NULL;
        return error_new(err, STATUS_FILE, "%s is not the manifest of an image", file);
    }
    return 0;
}

static const char *hash_of(const json_t *component)
{
    return json_text_or(json_array_get(json_object_get(component, "hashes"), 0), "content", "");
}

static const char *property(const json_t *component, const char *name)
{
    size_t i = 0;
    json_t *entry = NULL;
    json_array_foreach (json_object_get(component, "properties"), i, entry) {
        if (strcmp(json_text_or(entry, "name", ""), name) == 0) {
            return json_text_or(entry, "value", "");
        }
    }
    return "";
}

/* "package docker.io" */
static char *title(const json_t *component)
{
    const char *type = json_text_or(component, "type", "");
    const char *ref = json_text_or(component, "bom-ref", "");
    const char *kind = strcmp(type, "library") == 0     ? "package"
                       : strcmp(type, "container") == 0 ? "image"
                       : str_starts(ref, "manifest:")   ? "manifest"
                                                        : "artifact";
    return xasprintf("%s %s", kind, json_text_or(component, "name", ""));
}

static const json_t *find(const json_t *manifest, const char *wanted)
{
    size_t i = 0;
    json_t *component = NULL;
    json_array_foreach (json_object_get(manifest, "components"), i, component) {
        _cleanup_free_ char *name = title(component);
        if (strcmp(name, wanted) == 0) {
            return component;
        }
    }
    return NULL;
}

static const json_t *image_of(const json_t *manifest)
{
    return json_object_get(json_object_get(manifest, "metadata"), "component");
}

void manifest_show(const json_t *manifest, FILE *out)
{
    const json_t *image = image_of(manifest);
    size_t i = 0;
    json_t *component = NULL;
    (void)fprintf(out, "%s %s: Kubernetes %s, %s, Debian %s\n", json_text_or(image, "name", ""),
                  json_text_or(image, "version", ""), property(image, "kubernetes"),
                  property(image, "container-runtime"), property(image, "debian"));
    json_array_foreach (json_object_get(manifest, "components"), i, component) {
        _cleanup_free_ char *name = title(component);
        const char *reference = property(component, "reference");
        const char *path = property(component, "path");
        (void)fprintf(out, "%-44s %s", name, json_text_or(component, "version", ""));
        if (hash_of(component)[0] != '\0') {
            (void)fprintf(out, "  %s  sha256:%s", reference[0] != '\0' ? reference : path, hash_of(component));
        }
        (void)fputc('\n', out);
    }
}

static bool same(const json_t *a, const json_t *b)
{
    return strcmp(json_text_or(a, "version", ""), json_text_or(b, "version", "")) == 0 &&
           strcmp(hash_of(a), hash_of(b)) == 0 && strcmp(property(a, "path"), property(b, "path")) == 0 &&
           strcmp(property(a, "reference"), property(b, "reference")) == 0;
}

static void print_change(const char *name, const json_t *a, const json_t *b, FILE *out)
{
    const char *path = strcmp(property(a, "path"), property(b, "path")) == 0 ? "" : property(b, "path");
    (void)fprintf(out, "~ %s %s -> %s", name, json_text_or(a, "version", ""), json_text_or(b, "version", ""));
    if (strcmp(hash_of(a), hash_of(b)) != 0) {
        (void)fprintf(out, " (sha256 %.12s -> %.12s)", hash_of(a), hash_of(b));
    }
    (void)fprintf(out, "%s%s\n", path[0] == '\0' ? "" : " now at ", path);
}

static size_t image_diff(const json_t *a, const json_t *b, FILE *out)
{
    static const char *const names[] = {"kubernetes", "kubeadm-api", "container-runtime", "debian"};
    size_t n = 0;
    if (strcmp(json_text_or(a, "version", ""), json_text_or(b, "version", "")) != 0) {
        (void)fprintf(out, "~ suite %s -> %s\n", json_text_or(a, "version", ""), json_text_or(b, "version", ""));
        n++;
    }
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        if (strcmp(property(a, names[i]), property(b, names[i])) != 0) {
            (void)fprintf(out, "~ %s %s -> %s\n", names[i], property(a, names[i]), property(b, names[i]));
            n++;
        }
    }
    return n;
}

size_t manifest_diff(const json_t *a, const json_t *b, FILE *out)
{
    size_t n = image_diff(image_of(a), image_of(b), out);
    size_t i = 0;
    json_t *component = NULL;
    json_array_foreach (json_object_get(a, "components"), i, component) {
        _cleanup_free_ char *name = title(component);
        const json_t *other = find(b, name);
        if (other == NULL) {
            (void)fprintf(out, "- %s %s\n", name, json_text_or(component, "version", ""));
            n++;
        } else if (!same(component, other)) {
            print_change(name, component, other, out);
            n++;
        }
    }
    json_array_foreach (json_object_get(b, "components"), i, component) {
        _cleanup_free_ char *name = title(component);
        if (find(a, name) == NULL) {
            (void)fprintf(out, "+ %s %s\n", name, json_text_or(component, "version", ""));
            n++;
        }
    }
    return n;
}
