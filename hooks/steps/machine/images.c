#include <string.h>
#include <unistd.h>

#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"
#include "lib/system/proc.h"

/* Only the master runs these, and they are the largest. */
static bool image_wanted(const struct run *run, const char *name)
{
    static const char *const control_plane[] = {"kube_apiserver", "kube_controller_manager", "kube_scheduler", "etcd"};
    for (size_t i = 0; i < ELEMENTS(control_plane); i++) {
        if (!run->role->control_plane && strcmp(name, control_plane[i]) == 0) {
            return false;
        }
    }
    return true;
}

/* The image bake lays the archive of {{images.NAME}} at <opt>/images/NAME.tar, with "-" for "_". */
static char *archive_path(const struct run *run, const char *name)
{
    _cleanup_free_ char *file = xstrdup(name);
    for (char *c = file; *c != '\0'; c++) {
        if (*c == '_') {
            *c = '-';
        }
    }
    _cleanup_free_ char *path = xasprintf("%s/images/%s.tar", run->conf->paths.opt, file);
    return run_path(run, path);
}

/* References and archives of the images this role needs and the machine brings, side by side. What the machine does not
 * bring is pulled by Docker when a pod needs it. */
static void list_archives(const struct run *run, char ***references, char ***archives)
{
    const char *name;
    json_t *reference;
    json_object_foreach (json_object_get(run->facts->versions, "images"), name, reference) {
        _cleanup_free_ char *archive = archive_path(run, name);
        if (image_wanted(run, name) && access(archive, R_OK) == 0) {
            strv_push(references, json_string_value(reference));
            strv_push(archives, archive);
        }
    }
}

/* 1 when Docker has them all. */
static int in_docker(struct run *run, char *const *references, struct error **err)
{
    _cleanup_strv_ char **argv = NULL;
    _cleanup_proc_ struct proc_result result = {0};
    static const char *const inspect[] = {"docker", "image", "inspect", "--format", "{{.Id}}"};
    for (size_t i = 0; i < ELEMENTS(inspect); i++) {
        strv_push(&argv, inspect[i]);
    }
    for (; references != NULL && *references != NULL; references++) {
        strv_push(&argv, *references);
    }
    const struct proc proc = {.argv = (const char *const *)argv, .ok_status = 1, .deadline = run_deadline(run, 60)};
    return strv_length(argv) == ELEMENTS(inspect) ? 1 : proc_run(&proc, &result, err) < 0 ? -1 : result.status == 0;
}

static int images_done(struct run *run, struct error **err)
{
    _cleanup_strv_ char **references = NULL;
    _cleanup_strv_ char **archives = NULL;
    list_archives(run, &references, &archives);
    return in_docker(run, references, err);
}

static int images_apply(struct run *run, struct error **err)
{
    _cleanup_strv_ char **references = NULL;
    _cleanup_strv_ char **archives = NULL;
    list_archives(run, &references, &archives);
    for (size_t i = 0; references != NULL && references[i] != NULL; i++) {
        char *one[] = {references[i], NULL};
        int there = in_docker(run, one, err);
        if (there < 0) {
            return -1;
        }
        if (there == 0 &&
            proc_exec(run->deadline, err, "docker", "load", "--quiet", "--input", archives[i], NULL) < 0) {
            return error_wrap(err, "loading %s", references[i]);
        }
    }
    return 0;
}

const struct step step_load_images = {"load container images", images_done, images_apply, NULL};
