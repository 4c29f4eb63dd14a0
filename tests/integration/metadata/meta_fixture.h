/* Two metadata servers that know this machine, and a client of both: for the tests of the client. */
#ifndef META_FIXTURE_H
#define META_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "app/metadata/meta.h"
#include "lib/core/json.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"
#include "tests/lab/shared/metad.h"

enum { LONG = 60000 }; /* ms; no test waits this long unless it fails */

struct fixture {
    char directory[32];
    struct metad *servers[2];
    char *urls[3]; /* of the servers, NULL-terminated */
    char *cache;
    struct conf conf;
    struct meta *meta;
};

static inline void give_view(struct metad *metad)
{
    _cleanup_json_ json_t *data =
        json_pack("{s:{s:{s:{s:s}, s:{s:{s:{s:s}}}, s:{s:s}}}}", "clusters", "cl-1", "env", "max_pods", "60", "hosts",
                  "node", "i-1", "ip", "127.0.0.1", "cluster", "cluster_id", "cl-1");
    _cleanup_json_ json_t *mapping = metad_vm_mapping("cl-1", "node", "i-1");
    metad_set(metad, "/", data);
    metad_map(metad, "127.0.0.1", mapping);
}

static inline int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    *state = f;
    strcpy(f->directory, "/tmp/meta_test.XXXXXX");
    if (mkdtemp(f->directory) == NULL) {
        return -1;
    }
    for (size_t i = 0; i < ELEMENTS(f->servers); i++) {
        if (metad_start(&f->servers[i], "127.0.0.1", 0, "127.0.0.1", 0, NULL) < 0) {
            return -1;
        }
        f->urls[i] = xasprintf("http://127.0.0.1:%u/", metad_port(f->servers[i]));
        give_view(f->servers[i]);
    }
    f->cache = xasprintf("%s/metadata.json", f->directory);
    f->conf.metadata.servers = f->urls;
    f->conf.metadata.timeout_ms = LONG;
    f->conf.metadata.deadline_ms = LONG;
    f->conf.metadata.cache = f->cache;
    return meta_open(&f->meta, &f->conf, NULL, NULL);
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;
    meta_freep(&f->meta);
    for (size_t i = 0; i < ELEMENTS(f->servers); i++) {
        metad_stopp(&f->servers[i]);
        free(f->urls[i]);
    }
    int r = proc_exec(deadline_in(LONG), NULL, "rm", "-rf", f->directory, NULL);
    free(f->cache);
    free(f);
    return r;
}

/* The client with other time limits. */
static inline void reopen(struct fixture *f, int timeout_ms, int deadline_ms)
{
    meta_freep(&f->meta);
    f->conf.metadata.timeout_ms = timeout_ms;
    f->conf.metadata.deadline_ms = deadline_ms;
    assert_int_equal(meta_open(&f->meta, &f->conf, NULL, NULL), 0);
}

static inline void fault_both(struct fixture *f, struct metad_fault fault)
{
    metad_fault(f->servers[0], &fault);
    metad_fault(f->servers[1], &fault);
}

static inline const char *leaf(const json_t *tree, const char *directory, const char *name)
{
    return json_text(json_object_get(tree, directory), name);
}

static inline bool absent(const char *path)
{
    return access(path, F_OK) < 0;
}

static inline void set_leaf(struct metad *metad, const char *path, const char *text)
{
    _cleanup_json_ json_t *value = json_string(text);
    metad_set(metad, path, value);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

#endif
