#include "tests/lab/lab/image/release.h"

#include <glob.h>
#include <string.h>
#include <unistd.h>

#include "lib/system/file.h"

char *release_directory(const struct lab *lab)
{
    const char *given = getenv("UPSTREAM");
    _cleanup_free_ char *beside = path_join(lab->source, "../shared/upstream");
    const char *path = str_empty(given) ? beside : given;
    return path != NULL && access(path, R_OK) == 0 ? realpath(path, NULL) : NULL;
}

/* The text between KEY = " and ", in a section that ends at END; the caller frees. */
static char *value_of(const char *section, const char *end, const char *key)
{
    _cleanup_free_ char *wanted = xasprintf("%s = \"", key);
    const char *at = strstr(section, wanted);
    const char *close = at == NULL || at > end ? NULL : strchr(at + strlen(wanted), '"');
    return close == NULL ? NULL : xstrndup(at + strlen(wanted), (size_t)(close - at) - strlen(wanted));
}

static char *with_version(const char *reference, const char *version)
{
    const char *variable = strstr(reference, "${kubernetes}");
    return variable == NULL ? xstrdup(reference)
                            : xasprintf("%.*s%s%s", (int)(variable - reference), reference, version,
                                        variable + strlen("${kubernetes}"));
}

static int add_image(struct release *release, const char *name, const char *section, const char *end,
                     const char *version, struct error **err)
{
    _cleanup_free_ char *reference = value_of(section, end, "reference");
    if (reference == NULL) {
        return error_new(err, STATUS_CONFIG, "image/image.conf: image \"%s\" has no reference", name);
    }
    release->images = xrealloc(release->images, (release->n_images + 1) * sizeof *release->images);
    release->images[release->n_images++] = (struct release_image){xstrdup(name), with_version(reference, version)};
    return 0;
}

/* NAME-VERSION.yaml, or with the start of the commit that the URL names. */
static char *manifest_file(const char *directory, const char *name, const char *version, const char *url)
{
    char *path = xasprintf("%s/%s-%s.yaml", directory, name, version);
    _cleanup_free_ char *pattern = xasprintf("%s/%s-*.yaml", directory, name);
    glob_t found = {0};
    if (access(path, R_OK) != 0 && glob(pattern, 0, NULL, &found) == 0) {
        size_t prefix = strlen(directory) + strlen(name) + 2;
        for (size_t i = 0; i < found.gl_pathc; i++) {
            _cleanup_free_ char *commit =
                xstrndup(found.gl_pathv[i] + prefix, strlen(found.gl_pathv[i] + prefix) - strlen(".yaml"));
            if (strlen(commit) >= 7 && strstr(url, commit) != NULL) {
                free(path);
                path = xstrdup(found.gl_pathv[i]);
            }
        }
        globfree(&found);
    }
    return path;
}

static void add_manifest(struct release *release, const char *directory, const char *name, const char *section,
                         const char *end)
{
    _cleanup_free_ char *url = value_of(section, end, "url");
    _cleanup_free_ char *version = value_of(section, end, "version");
    if (url == NULL || version == NULL) {
        return; /* printed by a program of another project */
    }
    _cleanup_free_ char *path = directory == NULL ? NULL : manifest_file(directory, name, version, url);
    if (path == NULL || access(path, R_OK) != 0) {
        release->whole = false;
        return;
    }
    _cleanup_free_ char *text = xasprintf(
        "manifest \"%s\" {\n    file = \"%s\"\n    built = true\n    version = \"%s\"\n}\n", name, path, version);
    strv_push(&release->manifests, text);
}

int release_read(const struct lab *lab, const char *version, struct release *release, struct error **err)
{
    _cleanup_free_ char *path = path_join(lab->source, "image/image.conf");
    _cleanup_free_ char *directory = release_directory(lab);
    _cleanup_free_ char *text = NULL;
    size_t len;
    *release = (struct release){.whole = true};
    if (file_read(path, 0, &text, &len, err) != 0) {
        return -1;
    }
    for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += strspn(line, "\n");
        char kind[16] = "";
        char name[64] = "";
        const char *end = strchr(line, '}');
        if (end == NULL || sscanf(line, "%15[a-z] \"%63[^\"]\" {", kind, name) != 2) {
            continue;
        }
        for (const char *variable = strstr(line, "${"); variable != NULL && variable < end;
             variable = strstr(variable + 2, "${")) {
            end = end == strchr(variable, '}') ? strchr(end + 1, '}') : end;
        }
        if (strcmp(kind, "manifest") == 0) {
            add_manifest(release, directory, name, line, end);
        } else if (strcmp(kind, "image") == 0 && add_image(release, name, line, end, version, err) != 0) {
            return -1;
        }
    }
    return 0;
}

void release_free(struct release *release)
{
    for (size_t i = 0; i < release->n_images; i++) {
        free(release->images[i].name);
        free(release->images[i].reference);
    }
    free(release->images);
    strv_free(release->manifests);
}
