#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lab/images/coredns/coredns.h"
#include "tests/lab/images/shared/http.h"
#include "tests/lab/images/shared/program.h"
#include "tests/lab/images/shared/stream.h"

static struct corefile conf;
static atomic_ulong queries;

struct packet {
    int fd;
    struct sockaddr_in from;
    size_t len;
    unsigned char data[4096];
};

/* What does not fit a packet is asked for again over TCP. */
static void cut(struct buffer *answer)
{
    if (answer->len > 512) {
        answer->len = 12;
        answer->data[2] |= 2;
        memset(answer->data + 4, 0, 8);
    }
}

static void *answer_packet(void *data)
{
    struct packet *packet = data;
    _cleanup_buffer_ struct buffer answer = {0};
    dns_answer(&conf, packet->data, packet->len, &answer);
    cut(&answer);
    if (answer.len > 0) {
        (void)sendto(packet->fd, answer.data, answer.len, 0, (struct sockaddr *)&packet->from, sizeof packet->from);
    }
    free(packet);
    return NULL;
}

static void *answer_stream(void *data)
{
    struct stream *s = data;
    unsigned char size[2];
    unsigned char query[4096];
    size_t have = 0;
    if (stream_read(s, size, 2) == 2) {
        size_t want = (size_t)size[0] << 8 | size[1];
        for (ssize_t n = 1; want <= sizeof query && have < want && n > 0; have += n > 0 ? (size_t)n : 0) {
            n = stream_read(s, query + have, want - have);
        }
        _cleanup_buffer_ struct buffer answer = {0};
        dns_answer(&conf, query, have, &answer);
        const unsigned char len[2] = {(unsigned char)(answer.len >> 8), (unsigned char)answer.len};
        (void)(stream_write(s, len, 2) && stream_write(s, answer.data, answer.len));
    }
    stream_close(s);
    return NULL;
}

static void start(void *(*run)(void *), void *data)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, data) != 0) {
        fail("making a thread failed");
    }
    (void)pthread_detach(thread);
}

static void *serve_streams(void *data)
{
    int listener = *(const int *)data;
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        struct stream *s = fd < 0 ? NULL : stream_accept(fd, NULL, 5);
        if (s != NULL) {
            queries++;
            start(answer_stream, s);
        }
    }
    return NULL;
}

static int listen_udp(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr = {htonl(INADDR_ANY)}};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof here) != 0) {
        fail("listening on port 53: %s", strerror(errno));
    }
    return fd;
}

static void answer_probe(const struct http_request *request, struct http_reply *reply, void *data)
{
    const char *path = data;
    bool ready = strcmp(path, "/ready") != 0 || zone_ready();
    reply->type = "text/plain; version=0.0.4";
    reply->status = strcmp(request->path, path) != 0 ? 404 : ready ? 200 : 503;
    if (reply->status == 200 && strcmp(path, "/metrics") == 0) {
        buffer_printf(&reply->body,
                      "# TYPE coredns_build_info gauge\ncoredns_build_info{version=\"1.7.0\"} 1\n"
                      "# TYPE coredns_dns_requests_total counter\ncoredns_dns_requests_total %lu\n",
                      (unsigned long)queries);
    } else {
        buffer_puts(&reply->body, reply->status == 200 ? "OK" : "");
    }
}

int main(int argc, char **argv)
{
    struct flag flags[] = {{"conf", FLAG_FILE, true, NULL}, {NULL, FLAG_TEXT, false, NULL}};
    int udp = listen_udp();
    int tcp = listen_tcp(53);
    (void)argc;
    flags_parse(flags, argv);
    end_on_signals();
    corefile_read(flag_text(flags, "conf"), &conf);
    static char health[] = "/health";
    static char ready[] = "/ready";
    static char metrics[] = "/metrics";
    zone_open(conf.pods_insecure);
    const struct {
        int port;
        char *path;
    } served[] = {{conf.health, health}, {conf.ready, ready}, {conf.metrics, metrics}};
    for (size_t i = 0; i < ELEMENTS(served); i++) {
        if (served[i].port != 0) {
            http_serve(served[i].port, NULL, answer_probe, served[i].path);
        }
    }
    start(serve_streams, &tcp);
    for (;;) {
        struct packet *packet = xcalloc(1, sizeof *packet);
        socklen_t size = sizeof packet->from;
        ssize_t n = recvfrom(udp, packet->data, sizeof packet->data, 0, (struct sockaddr *)&packet->from, &size);
        packet->fd = udp;
        packet->len = n > 0 ? (size_t)n : 0;
        queries++;
        start(answer_packet, packet);
    }
}
