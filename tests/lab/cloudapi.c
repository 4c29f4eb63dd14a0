/* The cloud API's stand-in as a program of its own, for the lab's network namespace. */
#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "lib/core/interrupt.h"
#include "lib/core/util.h"
#include "lib/system/program.h"
#include "tests/lab/shared/cloudapi.h"

static const char usage[] = "Usage: cloudapi [--listen ADDR:PORT] --data FILE.json [--error RET_CODE]\n"
                            "  --listen  default 127.0.0.1:0, any free port; the one taken is printed\n"
                            "  --data    keys, zones, vxnets, nics and instances: see tests/lab/shared/cloudapi.h;\n"
                            "            read again when it changes\n"
                            "  --error   answer every request that is in order with this ret_code (2500: quota)\n";

struct options {
    char address[INET_ADDRSTRLEN];
    long port, error;
    const char *data;
};

static json_t *load(const char *path, struct error **err)
{
    json_error_t why;
    json_t *data = json_load_file(path, 0, &why);
    if (data == NULL) {
        (void)error_new(err, STATUS_FILE, "%s:%d: %s", path, why.line, why.text);
    }
    return data;
}

/* Serves what the file holds, until a signal ends it. A file that is being written is passed over. */
static int follow(struct cloudapi *api, int changes, const char *path, json_t **data, struct error **err)
{
    for (;;) {
        char events[4096];
        int changed = interrupt_wait_readable(changes, deadline_never(), NULL);
        if (changed < 0) {
            return 0;
        }
        if (read(changes, events, sizeof events) < 0 && errno != EAGAIN) {
            return error_errno(err, STATUS_FILE, errno, "watching %s", path);
        }
        json_t *now = load(path, NULL);
        if (now != NULL) {
            cloudapi_data(api, now);
            json_decref(*data);
            *data = now;
        }
    }
}

static int serve(const struct options *options, struct error **err)
{
    _cleanup_json_ json_t *data = load(options->data, err);
    _cleanup_cloudapi_ struct cloudapi *api = NULL;
    _cleanup_free_ char *directory = xstrdup(options->data);
    _cleanup_close_ int changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (data == NULL || interrupt_open(err) < 0) {
        return -1;
    }
    if (changes < 0 || inotify_add_watch(changes, dirname(directory), IN_CLOSE_WRITE | IN_MOVED_TO) < 0) {
        return error_errno(err, STATUS_FILE, errno, "watching %s", options->data);
    }
    if (cloudapi_start(&api, options->address, (uint16_t)options->port, data, err) < 0) {
        return -1;
    }
    if (options->error != 0) {
        const struct cloudapi_fault fault = {CLOUDAPI_ERROR, (int)options->error, "as requested", 0};
        cloudapi_fault(api, &fault);
    }
    printf("cloud API on %s:%u\n", options->address, cloudapi_port(api));
    (void)fflush(stdout);
    int r = follow(api, changes, options->data, &data, err);
    printf("%u requests, %u of them in order\n", cloudapi_requests(api), cloudapi_signed(api));
    return r;
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
