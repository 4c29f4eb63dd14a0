/* What a lab left that was killed before it could write down what it made. */
#ifndef LAB_LEFTOVERS_H
#define LAB_LEFTOVERS_H

#include "tests/lab/lab/lab.h"

/* Ends every process in the lab's network but our own, and every one in a control group of its machines; then removes
 * those groups. For after what the state knows has ended, and before the network is removed. */
void leftovers_end(const struct lab *lab);

#endif
