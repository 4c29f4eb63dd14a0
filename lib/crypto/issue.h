/* Client certificates from the cluster's own CA, and server certificates that are their own CA. */
#ifndef LIB_CRYPTO_ISSUE_H
#define LIB_CRYPTO_ISSUE_H

#include "lib/core/error.h"

/* A new P-256 key and a client certificate for it, signed by the CA in CA_CERT and CA_KEY (PEM files), valid as
 * long as the CA itself. NAME and GROUP become the common name and the organisation, which Kubernetes takes as
 * user and group (kubernetes.io/docs/reference/access-authn-authz/authentication). The caller frees *cert (PEM), wipes
 * and frees *key (PEM, PKCS#8). STATUS_CRYPTO. */
int issue_client(const char *ca_cert, const char *ca_key, const char *name, const char *group, char **cert, char **key,
                 struct error **err);

/* A new P-256 key and a server certificate for 127.0.0.1, signed by itself, valid for DAYS: for a program on this host
 * whose clients are given the certificate. Results and errors as above. */
int issue_loopback_server(const char *name, int days, char **cert, char **key, struct error **err);

#endif
