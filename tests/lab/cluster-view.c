/* cluster-view NAME ROLE [SID]: the metadata one host of a cluster of tests/golden sees, as JSON. */
#include <stdio.h>

#include "lib/core/util.h"
#include "lib/system/program.h"
#include "tests/lab/shared/cluster.h"

int main(int argc, char **argv)
{
    long sid = 1;
    if (argc < 3 || argc > 4 || (argc == 4 && !str_number(argv[3], 1, 1000000, &sid))) {
        (void)fprintf(stderr, "usage: cluster-view NAME|FILE ROLE [SID]\n");
        return STATUS_USAGE;
    }
    _cleanup_error_ struct error *err = NULL;
    _cleanup_json_ json_t *cluster = cluster_load(argv[1], &err);
    if (cluster == NULL) {
        (void)fprintf(stderr, "cluster-view: %s\n", err->message);
        return (int)err->status;
    }
    _cleanup_json_ json_t *view = cluster_view(cluster, argv[2], (int)sid);
    if (view == NULL) {
        (void)fprintf(stderr, "cluster-view: %s has no %s with sid %ld\n", argv[1], argv[2], sid);
        return STATUS_FAILED;
    }
    (void)json_dumpf(view, stdout, JSON_INDENT(2));
    (void)putchar('\n');
    if (program_end(&err) < 0) {
        (void)fprintf(stderr, "cluster-view: %s\n", err->message);
        return (int)err->status;
    }
    return STATUS_OK;
}
