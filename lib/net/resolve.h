/* Names to addresses: the C library's resolver, which knows no deadline, in a thread of its own. */
#ifndef LIB_NET_RESOLVE_H
#define LIB_NET_RESOLVE_H

#include <netdb.h>

#include "lib/core/error.h"
#include "lib/core/util.h"

/* TCP addresses of HOST and PORT; an address needs no resolver. The caller frees *LIST with freeaddrinfo. FAILURE,
 * STATUS_DEADLINE or STATUS_INTERRUPTED; the thread of a look-up that was given up ends by itself. */
int resolve(const char *host, const char *port, struct deadline deadline, int failure, struct addrinfo **list,
            struct error **err);

#endif
