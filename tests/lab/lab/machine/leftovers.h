/* What a lab left that was killed before it could write down what it made. */
#ifndef LAB_LEFTOVERS_H
#define LAB_LEFTOVERS_H

#include "tests/lab/lab/lab.h"

/* The directory that systemd-nspawn shares mounts with MACHINE through, which stays when systemd-nspawn is killed. For
 * after its end. */
void leftovers_remove_shared(const struct lab *lab, const struct machine *machine);

/* Ends every process in the lab's network but our own, and every one in a control group of its machines; then removes
 * those groups, and what leftovers_remove_shared() does of every machine, also of one that the state does not know. For
 * after what the state knows has ended, and before the network is removed. */
void leftovers_end(const struct lab *lab);

#endif
