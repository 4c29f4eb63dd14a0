#include "tests/lab/lab/cluster/app.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "tests/lab/lab/cluster/package.h"
#include "tests/lab/lab/form/form.h"
#include "tests/lab/lab/form/locale.h"

int app_load(struct lab *lab, struct error **err)
{
    return form_load(lab->app, &lab->form, err) == 0 && locale_load(lab->app, &lab->locale, err) == 0
               ? package_load(lab->app, lab->values, &lab->package, err)
               : -1;
}

int app_choose(struct lab *lab, const char *directory, struct error **err)
{
    char *real = realpath(directory, NULL);
    if (real == NULL) {
        return error_errno(err, STATUS_USAGE, errno, "--package %s", directory);
    }
    free(lab->app);
    lab->app = real;
    json_decref(STEAL(lab->form));
    json_decref(STEAL(lab->locale));
    json_decref(STEAL(lab->package));
    return app_load(lab, err);
}

bool app_is_product(const struct lab *lab)
{
    _cleanup_free_ char *product = path_join(lab->source, LAB_APP);
    return strcmp(lab->app, product) == 0;
}

int app_put_confd(const struct lab *lab, const char *directory, struct error **err)
{
    _cleanup_free_ char *to = lab_path(lab, "layer/etc/confd");
    _cleanup_free_ char *resources = path_join(to, "conf.d");
    _cleanup_free_ char *ours = path_join(resources, "k8s-hooks.toml");
    if (dir_make(resources, 0755, err) != 0) {
        return -1;
    }
    /* overlayfs: a character device 0/0 hides what a lower layer has of that name */
    if (!app_is_product(lab) && mknod(ours, S_IFCHR, 0) != 0 && errno != EEXIST) {
        return error_errno(err, STATUS_FILE, errno, "hiding the image's %s", ours);
    }
    return directory == NULL ? 0 : proc_exec(deadline_in(60000), err, "cp", "-rLT", directory, to, NULL);
}
