/* A machine: systemd-nspawn on an overlay of the image's layers. As in AppCenter, the system disk goes with the VM (the
 * client's stays) and /data outlives it. */
#ifndef LAB_MACHINE_H
#define LAB_MACHINE_H

#include "lib/system/proc.h"
#include "tests/lab/lab/lab.h"

/* Starts a new VM for the machine: new instance id, fresh system disk, same /data. The network must have been entered.
 */
int machine_start(const struct lab *lab, struct machine *machine, struct error **err);
/* Until its systemd has reached the default target. Call once after machine_start, in the same process. */
int machine_wait(const struct lab *lab, struct machine *machine, struct deadline deadline, struct error **err);
/* Orderly power-off, SIGKILL at the deadline; then the instance is gone. */
void machine_power_off(const struct lab *lab, struct machine *machine, struct deadline deadline);
/* As when the power fails: everything in it is killed at once. The instance is gone. */
void machine_cut(const struct lab *lab, struct machine *machine);
/* What was written to its system disk is lost, as with a new image. The machine must be off. */
int machine_drop_system_disk(const struct lab *lab, const struct machine *machine, struct error **err);
/* Deletes its disks. The machine must be off. */
int machine_erase(const struct lab *lab, const struct machine *machine, struct error **err);

/* COMMAND as root through a shell inside, as AppCenter runs services; stdout is kept in RESULT. */
int machine_run(const struct machine *machine, const char *command, struct deadline deadline,
                struct proc_result *result, struct error **err);
/* ARGV inside, with this process' own stdin, stdout and stderr; replaces the process. A shell when ARGV is empty. */
int machine_exec(const struct machine *machine, char *const *argv, struct error **err);

/* Makes the layer that is laid over the image in the lab only: network at boot, what this host's kernel rights require.
 */
int machine_lab_layer(const struct lab *lab, char **path, struct error **err);

#endif
