/* What a machine has beside our programs, as a program of its own (standin/standin.h). */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/core/util.h"
#include "lib/system/unit.h"
#include "tests/lab/standin/standin.h"

enum { CALL_MS = 60000 };

static const char usage[] =
    "Usage: standin --root DIR --state DIR --run DIR [--cert FILE --key FILE] [--started PROGRAM]\n"
    "  --root   the machine's root directory\n"
    "  --state  its units, images and containers: see tests/lab/standin/standin.h\n"
    "  --run    its /run: systemd/private and docker.sock are made there\n"
    "  --cert   and --key: serve the health of scheduler and controller manager with these\n"
    "  --started  is run with the name of each unit that starts, and does what that does then\n"
    "       standin start|stop|restart UNIT: as systemctl(1), by the socket in /run\n";

static int call(const char *verb, const char *unit, struct error **err)
{
    struct units *units __attribute__((cleanup(units_freep))) = NULL;
    int (*const job)(struct units *, const char *, struct deadline, struct error **) =
        strcmp(verb, "start") == 0  ? unit_start
        : strcmp(verb, "stop") == 0 ? unit_stop
                                    : unit_restart;
    return units_open(&units, deadline_in(CALL_MS), err) < 0 ? -1 : job(units, unit, deadline_in(CALL_MS), err);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"root", required_argument, NULL, 'r'},
        {"state", required_argument, NULL, 's'},
        {"run", required_argument, NULL, 'u'},
        {"cert", required_argument, NULL, 'c'},
        {"key", required_argument, NULL, 'k'},
        {"started", required_argument, NULL, 'b'},
        {NULL, 0, NULL, 0},
    };
    struct standin standin = {0};
    bool wrong = false;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        const char **to = c == 'r'   ? &standin.root
                          : c == 's' ? &standin.state
                          : c == 'u' ? &standin.run
                          : c == 'c' ? &standin.cert
                          : c == 'k' ? &standin.key
                          : c == 'b' ? &standin.started
                                     : NULL;
        wrong = wrong || to == NULL;
        if (to != NULL) {
            *to = optarg;
        }
    }
    _cleanup_error_ struct error *err = NULL;
    if (!wrong && optind + 2 == argc && standin.root == NULL) {
        if (call(argv[optind], argv[optind + 1], &err) < 0) {
            (void)fprintf(stderr, "standin: %s\n", err->message);
        }
        return err == NULL ? STATUS_OK : (int)err->status;
    }
    if (wrong || optind != argc || standin.root == NULL || standin.state == NULL || standin.run == NULL) {
        (void)fputs(usage, stderr);
        return STATUS_USAGE;
    }
    if (systemd_serve(&standin, &err) < 0 || docker_serve(&standin, &err) < 0 || health_serve(&standin, &err) < 0) {
        (void)fprintf(stderr, "standin: %s\n", err->message);
        return STATUS_FAILED;
    }
    (void)puts("ready");
    (void)fflush(stdout);
    for (;;) {
        (void)pause();
    }
}
