/* Connections whose answer waits. */
#ifndef TESTS_LAB_SHARED_CLOUDAPI_HELD_H
#define TESTS_LAB_SHARED_CLOUDAPI_HELD_H

#include <microhttpd.h>

#include "lib/core/util.h"

struct held_list;

struct held_list *held_start(void);
/* Suspends CONNECTION until the deadline. */
void held_add(struct held_list *list, struct MHD_Connection *connection, struct deadline until);
void held_release(struct held_list *list); /* all of them now */
void held_stop(struct held_list *list);    /* the same; frees LIST */

#endif
