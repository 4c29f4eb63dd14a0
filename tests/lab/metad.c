/* The metadata server as a program of its own, for the lab's network namespace. */
#include <arpa/inet.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "lib/core/interrupt.h"
#include "lib/core/util.h"
#include "lib/system/program.h"
#include "tests/lab/shared/metad.h"

static const char usage[] = "Usage: metad [--listen ADDR:PORT] [--manage ADDR:PORT] [--data FILE.json]\n"
                            "  --listen  where metadata is served (default 127.0.0.1:80; port 0: any free one)\n"
                            "  --manage  where it is changed, /v1/data and /v1/mapping (default 127.0.0.1:9611)\n"
                            "  --data    {\"data\": {...}, \"mapping\": {IP: {name: data path}}} to begin with\n";

struct place {
    char address[INET_ADDRSTRLEN];
    uint16_t port;
};

static int parse_place(const char *text, struct place *place, struct error **err)
{
    const char *colon = strrchr(text, ':');
    long port = 0;
    if (colon == NULL || colon - text >= (long)sizeof place->address || !str_number(colon + 1, 0, 65535, &port)) {
        return error_new(err, STATUS_USAGE, "\"%s\" is not ADDRESS:PORT", text);
    }
    memset(place->address, 0, sizeof place->address);
    memcpy(place->address, text, (size_t)(colon - text));
    place->port = (uint16_t)port;
    return 0;
}

static int serve(const struct place *listen, const struct place *manage, const char *data, struct error **err)
{
    if (interrupt_open(err) < 0) {
        return -1;
    }
    _cleanup_metad_ struct metad *metad = NULL;
    if (metad_start(&metad, listen->address, listen->port, manage->address, manage->port, err) < 0 ||
        (data != NULL && metad_load(metad, data, err) < 0)) {
        return -1;
    }
    printf("metadata on %s:%u, management on %s:%u\n", listen->address, metad_port(metad), manage->address,
           metad_manage_port(metad));
    (void)fflush(stdout);
    struct pollfd signal = {.fd = interrupt_fd(), .events = POLLIN};
    while (!interrupted()) {
        (void)poll(&signal, 1, -1);
    }
    return 0;
}

static int run(int argc, char **argv, struct error **err)
{
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},
        {"manage", required_argument, NULL, 'm'},
        {"data", required_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct place listen = {"127.0.0.1", 80};
    struct place manage = {"127.0.0.1", 9611};
    const char *data = NULL;
    int r = 0;
    for (int c = 0; r == 0 && (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (c) {
        case 'l':
            r = parse_place(optarg, &listen, err);
            break;
        case 'm':
            r = parse_place(optarg, &manage, err);
            break;
        case 'd':
            data = optarg;
            break;
        case 'h':
            (void)fputs(usage, stdout);
            return 0;
        default:
            return error_new(err, STATUS_USAGE, "see --help");
        }
    }
    return r < 0 ? -1 : serve(&listen, &manage, data, err);
}

int main(int argc, char **argv)
{
    _cleanup_error_ struct error *err = NULL;
    if (program_start(&err) < 0 || run(argc, argv, &err) < 0) {
        (void)fprintf(stderr, "metad: %s\n", err->message);
        return (int)err->status;
    }
    return 0;
}
