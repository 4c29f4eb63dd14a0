/* The client of the cloud's API: signed GET requests, answers as JSON, lists gathered over their pages.
 * docs.qingcloud.com/api/common: signature, error_code. The user's quota is 2000 calls an hour: never call in a
 * periodic check. */
#ifndef APP_CLOUD_CLOUD_H
#define APP_CLOUD_CLOUD_H

#include <stddef.h>
#include <time.h>

#include <jansson.h>

#include "app/facts/facts.h"
#include "app/status.h"
#include "lib/core/error.h"
#include "lib/core/util.h"

struct cloud_account {
    const char *protocol, *host;
    int port;
    const char *zone;
    const char *access_key_id, *secret_access_key;
};

/* The cluster's own; the strings are those of FACTS. */
struct cloud_account cloud_account_of(const struct facts *facts);

struct cloud_parameter {
    const char *name, *value;
};

/* The whole query, signature included, for PARAMETERS and those every call has. It opens the account for a minute: not
 * to be logged. The caller frees. */
char *cloud_query(const struct cloud_account *account, const char *action, const struct cloud_parameter *parameters,
                  size_t count, time_t now);

enum { CLOUD_IDS = 100 }; /* numbered parameters of one call: as many as a page has entries */

struct cloud; /* a connection */

/* What ACCOUNT points at must outlive the connection. */
int cloud_open(struct cloud **cloud, const struct cloud_account *account, struct error **err);
void cloud_free(struct cloud *cloud);
void cloud_freep(struct cloud **cloud);

/* One call; *answer is a new reference, with ret_code 0. What may pass by itself (no connection, half an answer, a busy
 * server) is tried three times. STATUS_CLOUD_KEY: the key is refused; STATUS_CLOUD_QUOTA; STATUS_CLOUD_UNREACHABLE: no
 * usable answer before DEADLINE, or an error of another kind; STATUS_INTERRUPTED. Messages name action, host, code and
 * the API's own text, no key. */
int cloud_call(struct cloud *cloud, const char *action, const struct cloud_parameter *parameters, size_t count,
               struct deadline deadline, json_t **answer, struct error **err);

struct cloud_list {
    const char *action;                 /* "DescribeVxnets" */
    const char *set;                    /* "vxnet_set": where the answer has the list */
    const char *filter;                 /* "vxnets": with IDS becomes "vxnets.1=..." */
    char *const *ids;                   /* NULL or empty: no filter */
    const struct cloud_parameter *more; /* ended by one without a name; NULL: none */
};

/* All entries of a list, page by page, with CLOUD_IDS of the ids in a call. What the API does not know is not in it.
 * *list is a new reference. */
int cloud_describe(struct cloud *cloud, const struct cloud_list *what, struct deadline deadline, json_t **list,
                   struct error **err);

#endif
