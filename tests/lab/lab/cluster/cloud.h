/* The cloud's API, as the cluster's hosts reach it: tests/lab/shared/cloudapi.h beside the metadata server. */
#ifndef LAB_CLOUD_H
#define LAB_CLOUD_H

#include "tests/lab/lab/lab.h"

#define LAB_CLOUD_PORT "7777"

/* Starts the server where it does not run. The network must have been entered. */
int cloud_up(struct lab *lab, struct error **err);

/* What it knows from now on: the cluster's key, its vxnets and its machines. */
int cloud_publish(const struct lab *lab, struct error **err);

/* Of the machine's instance, as the cloud numbers them. */
int cloud_instance_class(const struct lab *lab, const struct machine *machine);

/* Ends the server and takes the volumes' devices off. The machines must be off. */
void cloud_down(struct lab *lab);

/* A call with the cluster's key, as its owner's console makes them: PARAMETERS are "name=value", ended by NULL. *ANSWER
 * is a new reference. The network must have been entered. */
int cloud_request(const struct lab *lab, const char *action, char *const *parameters, json_t **answer,
                  struct error **err);

#endif
