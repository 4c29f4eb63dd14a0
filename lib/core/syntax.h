/* Spellings that many settings share. Each function accepts the whole of S or nothing of it; none resolves a name. */
#ifndef LIB_CORE_SYNTAX_H
#define LIB_CORE_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal digits without a leading zero, LOW..HIGH. */
bool syntax_number(const char *s, long low, long high, int *value);

/* LEN characters, all out of SET. */
bool syntax_word(const char *s, size_t low, size_t high, const char *set);

/* A platform's identifier (instance, node, cluster, vxnet, zone): letters, digits, "-", "_", ".", 63 at most; it begins
 * and ends with a letter or digit. The same as the value of a Kubernetes label. */
bool syntax_id(const char *s);

/* Dotted decimal. *ADDRESS (may be NULL) is in host byte order. */
bool syntax_ipv4(const char *s, uint32_t *address);

/* A.B.C.D/N, N from 0 to 32. ADDRESS is as written, its host bits kept. */
bool syntax_cidr(const char *s, uint32_t *address, int *prefix);
bool cidr_overlap(uint32_t a, int a_prefix, uint32_t b, int b_prefix);

/* RFC 1123: labels of lower-case letters, digits and inner "-", 63 each, 253 in all; the last label is not a number, so
 * that no mistyped address passes for a name. */
bool syntax_dns_name(const char *s);

/* A DNS name, in capitals too, or an IPv4 address. */
bool syntax_host(const char *s);

/* host:port; *host is the caller's. *host and *port are set on success only. */
bool syntax_host_port(const char *s, char **host, int *port);

/* host or host:port. */
bool syntax_host_maybe_port(const char *s);

/* http:// or https://, a host, maybe a port, maybe a slash at the end: Docker does not start with a mirror that has a
 * path. */
bool syntax_http_url(const char *s);

#endif
