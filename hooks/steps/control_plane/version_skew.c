#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "app/paths.h"
#include "hooks/engine/run.h"
#include "hooks/steps/control_plane/version_skew.h"
#include "hooks/steps/steps.h"
#include "lib/core/json.h"
#include "lib/system/file.h"

const char *image_version(const struct run *run)
{
    const char *version = json_text(run->facts->versions, "kubernetes");
    return version != NULL ? version : "";
}

struct version {
    int major, minor, patch;
};

static bool parse_version(const char *text, struct version *version)
{
    int *const parts[] = {&version->major, &version->minor, &version->patch};
    for (size_t i = 0; i < ELEMENTS(parts); i++) {
        if (*text != (i == 0 ? 'v' : '.') || !isdigit((unsigned char)text[1])) {
            return false;
        }
        char *end = NULL;
        *parts[i] = (int)strtol(text + 1, &end, 10);
        text = end;
    }
    return true;
}

/* The tag of the API server's image: what runs, or would run after a start. NULL before there is a manifest. */
static char *manifest_version(const struct run *run)
{
    static const char key[] = "kube-apiserver:v";
    _cleanup_free_ char *path = run_path(run, STATIC_PODS "/kube-apiserver.yaml");
    _cleanup_free_ char *text = NULL;
    const char *image = file_read(path, 0, &text, NULL, NULL) < 0 ? NULL : strstr(text, key);
    if (image == NULL) {
        return NULL;
    }
    image += strlen(key) - 1;
    return xstrndup(image, strcspn(image, "@\"' \r\n"));
}

/* What the cluster was last brought to; NULL before that. Where the stamp is lost, the static pods show it: without
 * any, `start` from a newer image would move the control plane past `upgrade` and its checks. The caller frees. */
static char *cluster_version(const struct run *run)
{
    _cleanup_free_ char *path = run_state_path(run, "stamps/kubernetes");
    char *text = NULL;
    size_t len = 0;
    return file_read(path, 64, &text, &len, NULL) < 0 ? manifest_version(run) : text;
}

bool upgrade_pending(const struct run *run)
{
    struct version cluster;
    struct version image;
    _cleanup_free_ char *text = cluster_version(run);
    if (text == NULL || !parse_version(text, &cluster) || !parse_version(image_version(run), &image)) {
        return false;
    }
    return image.minor != cluster.minor ? image.minor > cluster.minor : image.patch > cluster.patch;
}

/* The control plane may move by one minor version at a time and never back
 * (kubernetes.io/releases/version-skew-policy); back within a minor version is how a failed upgrade is undone. */
static int version_skew_apply(struct run *run, struct error **err)
{
    struct version cluster;
    struct version image;
    _cleanup_free_ char *running = cluster_version(run);
    if (running == NULL) {
        return 0;
    }
    if (!parse_version(running, &cluster) || !parse_version(image_version(run), &image)) {
        return error_new(err, STATUS_SKEW, "cannot compare the cluster's version \"%s\" with the image's \"%s\"",
                         running, image_version(run));
    }
    if (image.major != cluster.major || image.minor < cluster.minor || image.minor > cluster.minor + 1) {
        return error_new(err, STATUS_SKEW,
                         "the cluster runs %s, this image brings %s: one minor version up at a time is possible",
                         running, image_version(run));
    }
    return 0;
}

const struct step step_check_version_skew = {"check version skew", NULL, version_skew_apply, NULL};
