/* Begin and end of each kind of fault. */
#ifndef LAB_FAULTS_KINDS_H
#define LAB_FAULTS_KINDS_H

#include "tests/lab/lab/faults/fault.h"

int metadata_slow(const struct fault_target *target, struct error **err);
int metadata_half(const struct fault_target *target, struct error **err);
int metadata_wrong(const struct fault_target *target, struct error **err);
int metadata_good(const struct fault_target *target, struct error **err);
int metadata_down(const struct fault_target *target, struct error **err);
int metadata_back(const struct fault_target *target, struct error **err);

int cloud_slow(const struct fault_target *target, struct error **err);
int cloud_quota(const struct fault_target *target, struct error **err);
int cloud_refused(const struct fault_target *target, struct error **err);
int cloud_good(const struct fault_target *target, struct error **err);

int machine_kill(const struct fault_target *target, struct error **err);
int machine_power_cut(const struct fault_target *target, struct error **err);
int machine_power_back(const struct fault_target *target, struct error **err);
int machine_net_cut(const struct fault_target *target, struct error **err);
int machine_net_back(const struct fault_target *target, struct error **err);
int machine_disk_full(const struct fault_target *target, struct error **err);
int machine_disk_back(const struct fault_target *target, struct error **err);
int machine_clock_off(const struct fault_target *target, struct error **err);
int machine_clock_back(const struct fault_target *target, struct error **err);
int machine_docker_hung(const struct fault_target *target, struct error **err);
int machine_docker_back(const struct fault_target *target, struct error **err);

#define FAKETIME "/run/k8s-lab/libfaketime.so.1" /* in a machine whose clock is off */

#endif
