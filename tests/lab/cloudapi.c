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

static const char usage[] =
    "Usage: cloudapi [--listen ADDR:PORT] --data FILE.json [--state FILE.json [--disks DIR]] [--faults FILE.json]\n"
    "  --listen  default 127.0.0.1:0, any free port; the one taken is printed\n"
    "  --data    keys, zones, vxnets, nics and instances: see tests/lab/shared/cloudapi.h;\n"
    "            read again when it changes\n"
    "  --state   where what calls make is kept\n"
    "  --disks   directory of the volumes' files; an attached one is a loop device\n"
    "  --faults  of actions, see there; beside the data, need not exist, read again when it\n"
    "            changes\n"
    "  --forward take the load balancers' addresses, and pass their connections on to the instances\n";

/* A machine waits for its card without asking the API for it. */
enum { JOBS_MS = 300 };

struct options {
    char address[INET_ADDRSTRLEN];
    long port;
    const char *data, *state, *disks, *faults;
    bool forward;
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

/* A file that is not there, or is being written, changes nothing but that no file means no faults. */
static void read_faults(struct cloudapi *api, const char *path)
{
    if (path != NULL) {
        _cleanup_json_ json_t *faults = json_load_file(path, 0, NULL);
        if (faults != NULL || access(path, F_OK) != 0) {
            cloudapi_faults(api, faults);
        }
    }
}

static bool names(const struct inotify_event *event, const char *path)
{
    const char *slash = path == NULL ? NULL : strrchr(path, '/');
    return path != NULL && event->len > 0 && strcmp(event->name, slash == NULL ? path : slash + 1) == 0;
}

static void read_again(struct cloudapi *api, const struct options *options, const struct inotify_event *event)
{
    if (names(event, options->data)) {
        _cleanup_json_ json_t *now = load(options->data, NULL);
        if (now != NULL) {
            cloudapi_data(api, now);
        }
    } else if (names(event, options->faults)) {
        read_faults(api, options->faults);
    }
}

/* Serves what the files hold, until a signal ends it. */
static int follow(struct cloudapi *api, int changes, const struct options *options, struct error **err)
{
    for (;;) {
        _Alignas(struct inotify_event) char events[4096];
        int changed = interrupt_wait_readable(changes, deadline_in(JOBS_MS), NULL);
        if (changed < 0) {
            return 0;
        }
        cloudapi_settle_jobs(api);
        ssize_t n = read(changes, events, sizeof events);
        if (n < 0 && errno != EAGAIN) {
            return error_errno(err, STATUS_FILE, errno, "watching %s", options->data);
        }
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *event = (const struct inotify_event *)(events + at);
            read_again(api, options, event);
            at += (ssize_t)(sizeof *event + event->len);
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
    if (changes < 0 || inotify_add_watch(changes, dirname(directory), IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE) < 0) {
        return error_errno(err, STATUS_FILE, errno, "watching %s", options->data);
    }
    if (cloudapi_start(&api, options->address, (uint16_t)options->port, data, err) < 0 ||
        (options->state != NULL && cloudapi_keep(api, options->state, options->disks, err) < 0)) {
        return -1;
    }
    read_faults(api, options->faults);
    if (options->forward) {
        cloudapi_forward(api);
    }
    printf("cloud API on %s:%u\n", options->address, cloudapi_port(api));
    (void)fflush(stdout);
    int r = follow(api, changes, options, err);
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
        {"listen", required_argument, NULL, 'l'}, {"data", required_argument, NULL, 'd'},
        {"state", required_argument, NULL, 's'},  {"disks", required_argument, NULL, 'D'},
        {"faults", required_argument, NULL, 'f'}, {"forward", no_argument, NULL, 'F'},
        {"help", no_argument, NULL, 'h'},         {0},
    };
    struct options options = {.address = "127.0.0.1"};
    for (int c = 0; (c = getopt_long(argc, argv, "h", known, NULL)) != -1;) {
        if (c == 'h') {
            (void)fputs(usage, stdout);
            return 0;
        }
        const char **const texts[] = {
            ['d'] = &options.data, ['s'] = &options.state, ['D'] = &options.disks, ['f'] = &options.faults};
        if (c > 0 && (size_t)c < ELEMENTS(texts) && texts[c] != NULL) {
            *texts[c] = optarg;
        }
        options.forward = options.forward || c == 'F';
        if (c == '?' || (c == 'l' && parse_place(optarg, &options, err) < 0)) {
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
