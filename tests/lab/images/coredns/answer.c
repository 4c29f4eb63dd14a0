#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/lab/images/coredns/coredns.h"

/* RFC 1035 */
enum { HEADER = 12, CLASS_IN = 1, POINTER_TO_QUESTION = 0xc00c };

struct question {
    char name[256]; /* lower case */
    uint16_t type, class;
    size_t end; /* of the question in the packet */
};

static bool read_question(const unsigned char *packet, size_t len, struct question *q)
{
    size_t at = HEADER;
    size_t used = 0;
    if (len < HEADER + 5 || packet[4] != 0 || packet[5] != 1) {
        return false;
    }
    while (at < len && packet[at] != 0) {
        size_t label = packet[at++];
        if (label > 63 || at + label >= len || used + label + 2 > sizeof q->name) {
            return false;
        }
        if (used > 0) {
            q->name[used++] = '.';
        }
        for (size_t i = 0; i < label; i++) {
            q->name[used++] = (char)tolower(packet[at++]);
        }
    }
    q->name[used] = '\0';
    if (at + 5 > len) {
        return false;
    }
    q->type = (uint16_t)(packet[at + 1] << 8 | packet[at + 2]);
    q->class = (uint16_t)(packet[at + 3] << 8 | packet[at + 4]);
    q->end = at + 5;
    return true;
}

static void put16(struct buffer *out, unsigned value)
{
    const unsigned char bytes[2] = {(unsigned char)(value >> 8), (unsigned char)value};
    buffer_append(out, bytes, 2);
}

static void put32(struct buffer *out, uint32_t value)
{
    put16(out, value >> 16);
    put16(out, value & 0xffff);
}

static void put_name(struct buffer *out, const char *name)
{
    while (*name != '\0') {
        size_t len = strcspn(name, ".");
        const unsigned char size = (unsigned char)len;
        buffer_append(out, &size, 1);
        buffer_append(out, name, len);
        name += len + (name[len] == '.');
    }
    buffer_append(out, "", 1);
}

static void put_record(struct buffer *out, const struct record *r, unsigned ttl)
{
    struct buffer data = {0};
    if (r->type == TYPE_A) {
        put32(&data, r->address);
    } else {
        if (r->type == TYPE_SRV) {
            put16(&data, 0);
            put16(&data, 100);
            put16(&data, r->port);
        }
        put_name(&data, r->target);
    }
    put16(out, POINTER_TO_QUESTION);
    put16(out, r->type);
    put16(out, CLASS_IN);
    put32(out, ttl);
    put16(out, (unsigned)data.len);
    buffer_append(out, data.data, data.len);
    buffer_free(&data);
}

static void put_head(struct buffer *out, const unsigned char *query, const struct question *q, int code, size_t answers)
{
    buffer_append(out, query, 2);
    const unsigned char flags[2] = {(unsigned char)(0x84 | (query[2] & 1)), (unsigned char)(0x80 | code)};
    buffer_append(out, flags, 2);
    put16(out, q == NULL ? 0 : 1);
    put16(out, (unsigned)answers);
    put32(out, 0);
    if (q != NULL) {
        buffer_append(out, query + HEADER, q->end - HEADER);
    }
}

static bool next_server(FILE *file, char *address, size_t size)
{
    char line[256];
    while (fgets(line, sizeof line, file) != NULL) {
        char server[64];
        struct in_addr in;
        if (sscanf(line, "nameserver %63s", server) == 1 && inet_pton(AF_INET, server, &in) == 1) {
            (void)snprintf(address, size, "%s", server);
            return true;
        }
    }
    return false;
}

static bool query_server(const char *address, const unsigned char *query, size_t len, struct buffer *out)
{
    unsigned char packet[4096];
    struct timeval wait = {.tv_sec = 2};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ssize_t n = -1;
    if (fd >= 0 && inet_pton(AF_INET, address, &to.sin_addr) == 1 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0 &&
        connect(fd, (struct sockaddr *)&to, sizeof to) == 0 && send(fd, query, len, 0) == (ssize_t)len) {
        n = recv(fd, packet, sizeof packet, 0);
    }
    if (n > HEADER && memcmp(packet, query, 2) == 0) {
        buffer_append(out, packet, (size_t)n);
    }
    if (fd >= 0) {
        close(fd);
    }
    return out->len > 0;
}

static bool forwarded(const struct corefile *conf, const unsigned char *query, size_t len, struct buffer *out)
{
    _cleanup_fclose_ FILE *file = conf->forward == NULL ? NULL : fopen(conf->forward, "re");
    char address[64];
    while (file != NULL && next_server(file, address, sizeof address)) {
        if (query_server(address, query, len, out)) {
            return true;
        }
    }
    return false;
}

void dns_answer(const struct corefile *conf, const unsigned char *query, size_t len, struct buffer *out)
{
    struct question q;
    struct records found = {0};
    int code = NOERROR;
    if (len < HEADER || (query[2] & 0x80) != 0) {
        return;
    }
    if (!read_question(query, len, &q)) {
        put_head(out, query, NULL, FORMERR, 0);
    } else if (q.class != CLASS_IN || (query[2] & 0x78) != 0) {
        put_head(out, query, &q, NOTIMP, 0);
    } else if (zone_find(q.name, q.type, &found, &code)) {
        put_head(out, query, &q, zone_ready() ? code : SERVFAIL, zone_ready() ? found.n : 0);
        for (size_t i = 0; i < found.n && zone_ready(); i++) {
            put_record(out, &found.list[i], conf->ttl);
        }
    } else if (!forwarded(conf, query, len, out)) {
        put_head(out, query, &q, SERVFAIL, 0);
    }
    free(found.list);
}
