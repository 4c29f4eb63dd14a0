/* The cloud's API, as the cluster's hosts reach it: tests/lab/shared/cloudapi.h beside the metadata server. */
#ifndef LAB_CLOUD_H
#define LAB_CLOUD_H

#include "tests/lab/lab/lab.h"

#define LAB_CLOUD_PORT "7777"

/* Starts the server where it does not run. The network must have been entered. */
int cloud_up(struct lab *lab, struct error **err);

/* What it knows from now on: the cluster's key, its vxnets and its machines. */
int cloud_publish(const struct lab *lab, struct error **err);

#endif
