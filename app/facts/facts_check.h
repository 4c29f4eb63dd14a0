/* Parts of facts_load: what fits no cluster although each value alone is right. For app/facts alone. */
#ifndef APP_FACTS_FACTS_CHECK_H
#define APP_FACTS_FACTS_CHECK_H

#include <stdbool.h>

#include "app/facts/facts.h"
#include "app/facts/parameters.h"

/* An IPv4 address that a host can have: not 0.0.0.0/8, loopback, link-local, multicast or above (RFC 6890). */
bool facts_host_address(const char *ip);

/* One master, no address twice: STATUS_METADATA_INVALID. */
int facts_check_hosts(const struct facts *facts, struct error **err);

/* api_external_domain goes into /etc/hosts of every machine: it must not hide a name that machines resolve. */
void facts_check_names(const struct facts *facts, struct problems *problems);

/* Services, pods, Docker's bridge and the hosts, ours and those we send to, are apart from each other: each would take
 * the other's packets. */
void facts_check_networks(const struct facts *facts, struct problems *problems);

#endif
