/* Kubernetes discovery for a Prometheus that is built without it: the targets of each role with the labels that
 * prometheus/prometheus v2.26, discovery/kubernetes, gives them, as files of file_sd. */
#ifndef LAB_IMAGES_PROMETHEUS_DISCOVERY_H
#define LAB_IMAGES_PROMETHEUS_DISCOVERY_H

#include <stdbool.h>

enum role { NODE, ENDPOINTS, POD, ROLES };
extern const char *const role_names[ROLES];

/* Follows what the roles in WANTED need, and keeps DIRECTORY/ROLE.json; returns once each is there. */
void discovery_start(const bool *wanted, const char *directory);

#endif
