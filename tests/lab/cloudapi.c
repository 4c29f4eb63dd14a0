/* The cloud API's stand-in as a program of its own, for the lab's network namespace. */
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "lib/core/interrupt.h"
#include "lib/core/util.h"
#include "lib/system/program.h"
#include "tests/lab/shared/cloudapi.h"

static const char usage[] = "Usage: cloudapi [--listen ADDR:PORT] --data FILE.json [--error RET_CODE]\n"
                            "  --listen  default 127.0.0.1:0, any free port; the one taken is printed\n"
                            "  --data    keys, zones, vxnets, nics and instances: see tests/lab/shared/cloudapi.h\n"
                            "  --error   answer every request that is in order with this ret_code (2500: quota)\n";

struct options {
    char address[INET_ADDRSTRLEN];
    long port, error;
    const char *data;
};

static int serve(const struct options *options, struct error **err)
{
    json_error_t why;
    _cleanup_json_ json_t *data = json_load_file(options->data, 0, &why);
    if (data == NULL) {
        return error_new(err, STATUS_FILE, "%s:%d: %s", options->data, why.line, why.text);
    }
    _cleanup_cloudapi_ struct cloudapi *api = NULL;
    if (interrupt_open(err) < 0 || cloudapi_start(&api, options->address, (uint16_t)options->port, data, err) < 0) {
        return -1;
    }
    if (options->error != 0) {
        const struct cloudapi_fault fault = {CLOUDAPI_ERROR, (int)options->error, "as asked for", 0};
        cloudapi_fault(api, &fault);
    }
    printf("cloud API on %s:%u\n", options->address, cloudapi_port(api));
    (void)fflush(stdout);
    struct pollfd signal = {.fd = interrupt_fd(), .events = POLLIN};
    while (!interrupted()) {
        (void)poll(&signal, 1, -1);
    }
    printf("%u requests, %u of them in order\n", cloudapi_requests(api), cloudapi_signed(api));
    return 0;
}

static int parse_place(const char *text, struct options *options, struct error **err)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon - text >= (long)sizeof options->address ||
        !str_number(colon + 1, 0, 65535, &options->port)) {
        return error_new(err, STATUS_USAGE, "\"%s\" is not ADDRESS:PORT", text);
    }
    memset(options->address, 0, sizeof options->address);
    memcpy(options->address, text, (size_t)(colon - text));
    return 0;
}

static int run(int argc, char **argv, struct error **err)
{
    static const struct option known[] = {
        {"listen", required_argument, NULL, 'l'},
        {"data", required_argument, NULL, 'd'},
        {"error", required_argument, NULL, 'e'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct options options = {.address = "127.0.0.1"};
    for (int c = 0; (c = getopt_long(argc, argv, "h", known, NULL)) != -1;) {
        if (c == 'h') {
            (void)fputs(usage, stdout);
            return 0;
        }
        if (c == 'd') {
            options.data = optarg;
        }
        if (c == '?' || (c == 'l' && parse_place(optarg, &options, err) < 0) ||
            (c == 'e' && !str_number(optarg, 1, 9999, &options.error))) {
            return err != NULL && *err != NULL ? -1 : error_new(err, STATUS_USAGE, "see --help");
        }
    }
    return options.data == NULL ? error_new(err, STATUS_USAGE, "--data is needed; see --help") : serve(&options, err);
}

int main(int argc, char **argv)
{
    _cleanup_error_ struct error *err = NULL;
    if (program_start(&err) < 0 || run(argc, argv, &err) < 0) {
        (void)fprintf(stderr, "cloudapi: %s\n", err->message);
        return (int)err->status;
    }
    return 0;
}
