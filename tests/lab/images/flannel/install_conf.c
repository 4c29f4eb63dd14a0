#include "tests/lab/images/flannel/install_conf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/core/util.h"
#include "tests/lab/images/shared/cluster.h"
#include "tests/lab/images/shared/program.h"

int install_conf(const char *from, const char *to)
{
    _cleanup_free_ char *text = must_read(from);
    _cleanup_json_ json_t *conf = json_loads(text, 0, NULL);
    const json_t *plugins = json_object_get(conf, "plugins");
    if (text_at(conf, "name")[0] == '\0' || text_at(conf, "cniVersion")[0] == '\0' || json_array_size(plugins) == 0) {
        fail("%s: not a list of CNI plugins", from);
    }
    _cleanup_free_ char *beside = xasprintf("%s.new", to);
    FILE *file = fopen(beside, "we");
    if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0 || rename(beside, to) != 0) {
        fail("writing %s: %s", to, strerror(errno));
    }
    return 0;
}
