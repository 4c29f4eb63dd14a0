/* Runs a program and kills it, with all its children, at a chosen moment: before a system call that changes something,
 * or in the middle of a write. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/core/util.h"
#include "tests/lab/killer/tracer.h"

static const char usage[] =
    "Usage: killer [--root DIR] [--at N [--half]] [--points FILE] [--disk DIR --upper DIR] -- PROGRAM [ARGUMENT...]\n"
    "  --root    the program's root directory\n"
    "  --at      kill before the Nth call that changes something; without, it runs to its end\n"
    "  --half    the Nth call is a write: half of it is done\n"
    "  --points  list these calls there: NUMBER NAME BYTES WHAT\n"
    "  --disk    keep what is synced there: all that a power cut leaves; --upper is where the changes of --root lie\n"
    "Exit status: the program's; 137 when it was killed.\n";

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"root", required_argument, NULL, 'r'},
        {"at", required_argument, NULL, 'a'},
        {"half", no_argument, NULL, 'h'},
        {"points", required_argument, NULL, 'p'},
        {"disk", required_argument, NULL, 'd'},
        {"upper", required_argument, NULL, 'u'},
        {NULL, 0, NULL, 0},
    };
    struct tracer tracer = {.root = ""};
    bool wrong = false;
    for (int c; (c = getopt_long(argc, argv, "+", options, NULL)) != -1;) {
        switch (c) {
        case 'r':
            tracer.root = optarg;
            break;
        case 'a':
            wrong = wrong || !str_number(optarg, 1, 100000000, &tracer.kill_at);
            break;
        case 'h':
            tracer.half = true;
            break;
        case 'p':
            tracer.points = fopen(optarg, "we");
            wrong = wrong || tracer.points == NULL;
            break;
        case 'd':
            tracer.disk = optarg;
            break;
        case 'u':
            tracer.upper = optarg;
            break;
        default:
            wrong = true;
        }
    }
    if (wrong || optind == argc || (tracer.disk == NULL) != (tracer.upper == NULL)) {
        (void)fputs(usage, stderr);
        return STATUS_USAGE;
    }
    tracer.argv = argv + optind;
    _cleanup_error_ struct error *err = NULL;
    if (tracer_run(&tracer, &err) < 0) {
        (void)fprintf(stderr, "killer: %s\n", err->message);
        return 125;
    }
    if (tracer.points != NULL && fclose(tracer.points) != 0) {
        (void)fprintf(stderr, "killer: cannot write the points: %s\n", strerror(errno));
        return 125;
    }
    return tracer.status;
}
