/* The cluster and API key with which these tests ask the cloud server. */
#ifndef TESTS_INTEGRATION_CLOUD_ACCOUNT_H
#define TESTS_INTEGRATION_CLOUD_ACCOUNT_H

#include "app/facts/facts.h"

#define KEY "ABCDEFGHIJKLMNOPQRST"
#define SECRET "0123456789abcdefghijABCDEFGHIJ0123456789"

/* Of a cluster with the machines HOSTS, an array; the first asks. */
#define CLOUD_FACTS(HOSTS)                                                                                             \
    {                                                                                                                  \
        .cluster = {.id = (char *)"cl-1",                                                                              \
                    .api_host = (char *)"127.0.0.1",                                                                   \
                    .api_protocol = (char *)"http",                                                                    \
                    .zone = (char *)"pek3a"},                                                                          \
        .hosts = (HOSTS), .n_hosts = ELEMENTS(HOSTS), .self = &(HOSTS)[0],                                             \
        .parameters = {.access_key_id = (char *)KEY, .secret_access_key = (char *)SECRET},                             \
    }

#endif
