/* A cluster DNS small enough to be read: knows the API server's service, refuses every other name, answers the probes
 * of kubeadm's Deployment (/health on 8080, /ready on 8181). Linked statically. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADER = 12, TYPE_A = 1, CLASS_IN = 1, NXDOMAIN = 3, ANSWER = 16, PACKET = 512 };

static const char known[] = "kubernetes.default.svc.cluster.local";
static const unsigned char address[4] = {10, 96, 0, 1};

static void end(int signal)
{
    (void)signal;
    _exit(0);
}

static int listen_on(int type, unsigned short port)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_ANY)}};
    int on = 1;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&here, sizeof here) != 0 || (type == SOCK_STREAM && listen(fd, 16) != 0)) {
        perror("coredns");
        _exit(1);
    }
    return fd;
}

/* The first question's name with dots; where it ends in the packet, or 0 when it is no whole question. */
static size_t question(const unsigned char *packet, size_t len, char *name, size_t size)
{
    size_t at = HEADER;
    size_t used = 0;
    while (at < len && packet[at] != 0) {
        size_t label = packet[at++];
        if (label > 63 || at + label >= len || used + label + 2 > size) {
            return 0;
        }
        if (used > 0) {
            name[used++] = '.';
        }
        memcpy(name + used, packet + at, label);
        used += label;
        at += label;
    }
    name[used] = '\0';
    return at + 5 <= len ? at + 5 : 0;
}

/* The packet becomes its own answer; its length, 0 for none. RFC 1035. */
static size_t answer(unsigned char *packet, size_t len)
{
    char name[256];
    size_t end_of_question = len < HEADER ? 0 : question(packet, len, name, sizeof name);
    if (end_of_question == 0) {
        return 0;
    }
    int ours = strcasecmp(name, known) == 0;
    int address_asked = packet[end_of_question - 3] == TYPE_A;
    packet[2] = (unsigned char)(0x84 | (packet[2] & 1)); /* an answer, authoritative */
    packet[3] = ours ? 0 : NXDOMAIN;
    memset(packet + 6, 0, 6);
    if (!ours || !address_asked) {
        return end_of_question;
    }
    static const unsigned char record[ANSWER - 4] = {0xc0, HEADER, 0, TYPE_A, 0, CLASS_IN, 0, 0, 0, 30, 0, 4};
    memcpy(packet + end_of_question, record, sizeof record);
    memcpy(packet + end_of_question + sizeof record, address, sizeof address);
    packet[7] = 1;
    return end_of_question + ANSWER;
}

static void serve_name(int fd)
{
    unsigned char packet[PACKET + ANSWER];
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    ssize_t len = recvfrom(fd, packet, PACKET, 0, (struct sockaddr *)&from, &size);
    size_t reply = len > 0 ? answer(packet, (size_t)len) : 0;
    if (reply > 0) {
        (void)sendto(fd, packet, reply, 0, (struct sockaddr *)&from, size);
    }
}

static void serve_probe(int listener)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK";
    char request[1024];
    int fd = accept(listener, NULL, NULL);
    struct timeval patience = {.tv_sec = 1};
    if (fd < 0) {
        return;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (recv(fd, request, sizeof request, 0) > 0) {
        (void)send(fd, ok, sizeof ok - 1, MSG_NOSIGNAL);
    }
    close(fd);
}

int main(void)
{
    struct sigaction on_end = {.sa_handler = end};
    struct pollfd fds[] = {{listen_on(SOCK_DGRAM, 53), POLLIN, 0},
                           {listen_on(SOCK_STREAM, 8080), POLLIN, 0},
                           {listen_on(SOCK_STREAM, 8181), POLLIN, 0}};
    if (sigaction(SIGTERM, &on_end, NULL) != 0) {
        return 1;
    }
    while (poll(fds, 3, -1) > 0) {
        if (fds[0].revents != 0) {
            serve_name(fds[0].fd);
        }
        for (int i = 1; i < 3; i++) {
            if (fds[i].revents != 0) {
                serve_probe(fds[i].fd);
            }
        }
    }
    return 1;
}
