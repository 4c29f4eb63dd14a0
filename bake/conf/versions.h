/* What follows from the versions in image.conf. */
#ifndef BAKE_CONF_VERSIONS_H
#define BAKE_CONF_VERSIONS_H

#include <jansson.h>

#include "bake/conf/image_conf.h"

#define VERSIONS_PATH "/opt/kubernetes/versions.json"

/* The API version of kubeadm's documents: "v1beta2" up to 1.21, "v1beta3" from 1.22, "v1beta4" from 1.31.
 * kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta3 */
const char *kubeadm_api(const char *kubernetes);

/* "dockershim" up to 1.23, "cri-dockerd" from 1.24, where the kubelet lost its own Docker code
 * (kubernetes.io/blog/2022/02/17/dockershim-faq), and the socket that belongs to it. */
const char *container_runtime(const char *kubernetes);
const char *cri_socket(const char *kubernetes);

/* versions.json as the hooks read it: kubernetes, kubeadm_api, container_runtime, cri_socket, images by name with "-"
 * as
 * "_". A new reference. */
json_t *versions_json(const struct bake_conf *conf);

#endif
