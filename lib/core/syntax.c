#include "lib/core/syntax.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "lib/core/util.h"

#define DIGITS "0123456789"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

bool syntax_number(const char *s, long low, long high, int *value)
{
    long n = 0;
    if ((s[0] == '0' && s[1] != '\0') || !str_number(s, low, high, &n)) {
        return false;
    }
    *value = (int)n;
    return true;
}

bool syntax_word(const char *s, size_t low, size_t high, const char *set)
{
    size_t len = strlen(s);
    return len >= low && len <= high && strspn(s, set) == len;
}

static bool alphanumeric(char c)
{
    return c != '\0' && strchr(DIGITS LOWER UPPER, c) != NULL;
}

bool syntax_id(const char *s)
{
    return syntax_word(s, 1, 63, DIGITS LOWER UPPER "-_.") && alphanumeric(s[0]) && alphanumeric(s[strlen(s) - 1]);
}

bool syntax_ipv4(const char *s, uint32_t *address)
{
    struct in_addr in;
    if (inet_pton(AF_INET, s, &in) != 1) {
        return false;
    }
    if (address != NULL) {
        *address = ntohl(in.s_addr);
    }
    return true;
}

bool syntax_cidr(const char *s, uint32_t *address, int *prefix)
{
    const char *slash = strchr(s, '/');
    if (slash == NULL) {
        return false;
    }
    _cleanup_free_ char *ip = xstrndup(s, (size_t)(slash - s));
    return syntax_ipv4(ip, address) && syntax_number(slash + 1, 0, 32, prefix);
}

static uint32_t mask(int prefix)
{
    return prefix == 0 ? 0 : UINT32_MAX << (32 - prefix);
}

bool cidr_overlap(uint32_t a, int a_prefix, uint32_t b, int b_prefix)
{
    uint32_t wider = mask(a_prefix < b_prefix ? a_prefix : b_prefix);
    return (a & wider) == (b & wider);
}

static bool dns_label(const char *s, size_t len)
{
    return len >= 1 && len <= 63 && strspn(s, DIGITS LOWER "-") >= len && s[0] != '-' && s[len - 1] != '-';
}

bool syntax_dns_name(const char *s)
{
    if (strlen(s) > 253) {
        return false;
    }
    for (;;) {
        size_t len = strcspn(s, ".");
        if (!dns_label(s, len)) {
            return false;
        }
        if (s[len] == '\0') {
            return strspn(s, DIGITS) != len;
        }
        s += len + 1;
    }
}

bool syntax_host(const char *s)
{
    _cleanup_free_ char *lower = xstrdup(s);
    for (char *c = lower; *c != '\0'; c++) {
        if (*c >= 'A' && *c <= 'Z') {
            *c = (char)(*c - 'A' + 'a');
        }
    }
    return syntax_ipv4(s, NULL) || syntax_dns_name(lower);
}

bool syntax_host_port(const char *s, char **host, int *port)
{
    const char *colon = strrchr(s, ':');
    if (colon == NULL) {
        return false;
    }
    _cleanup_free_ char *name = xstrndup(s, (size_t)(colon - s));
    if (!syntax_host(name) || !syntax_number(colon + 1, 1, 65535, port)) {
        return false;
    }
    *host = STEAL(name);
    return true;
}

bool syntax_host_maybe_port(const char *s)
{
    _cleanup_free_ char *host = NULL;
    int port = 0;
    return syntax_host(s) || syntax_host_port(s, &host, &port);
}

/* RFC 3986: segments of pchar. */
bool syntax_http_url(const char *s)
{
    if (str_starts(s, "http://")) {
        s += strlen("http://");
    } else if (str_starts(s, "https://")) {
        s += strlen("https://");
    } else {
        return false;
    }
    size_t len = strcspn(s, "/");
    _cleanup_free_ char *authority = xstrndup(s, len);
    return syntax_host_maybe_port(authority) && (s[len] == '\0' || strcmp(s + len, "/") == 0);
}
