#include "bake/conf/versions.h"

#include <string.h>

#include "lib/core/util.h"

/* image.conf's reader accepts nothing but v1.MINOR.PATCH. */
static long minor_of(const char *kubernetes)
{
    return str_starts(kubernetes, "v1.") ? strtol(kubernetes + 3, NULL, 10) : 0;
}

const char *kubeadm_api(const char *kubernetes)
{
    long minor = minor_of(kubernetes);
    return minor < 22 ? "v1beta2" : minor < 31 ? "v1beta3" : "v1beta4";
}

const char *container_runtime(const char *kubernetes)
{
    return minor_of(kubernetes) < 24 ? "dockershim" : "cri-dockerd";
}

const char *cri_socket(const char *kubernetes)
{
    return minor_of(kubernetes) < 24 ? "/var/run/dockershim.sock" : "unix:///var/run/cri-dockerd.sock";
}

json_t *versions_json(const struct bake_conf *conf)
{
    json_t *images = json_object();
    for (size_t i = 0; i < conf->n_images; i++) {
        _cleanup_free_ char *name = xstrdup(conf->images[i].name);
        for (char *p = strchr(name, '-'); p != NULL; p = strchr(p, '-')) {
            *p = '_';
        }
        json_object_set_new(images, name, json_string(conf->images[i].reference));
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "kubernetes", conf->kubernetes, "kubeadm_api",
                     kubeadm_api(conf->kubernetes), "container_runtime", container_runtime(conf->kubernetes),
                     "cri_socket", cri_socket(conf->kubernetes), "images", images);
}
