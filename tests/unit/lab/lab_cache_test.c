/* What labs leave in their cache: the oldest goes, but nothing that is in use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/core/util.h"
#include "lib/system/file.h"
#include "lib/system/tree.h"
#include "tests/lab/shared/cache.h"

static char directory[32];

static int enter(void **state)
{
    (void)state;
    (void)strcpy(directory, "/tmp/cache-XXXXXX");
    return mkdtemp(directory) == NULL || chdir(directory) < 0 ? -1 : 0;
}

static int leave(void **state)
{
    (void)state;
    return chdir("/") < 0 ? -1 : tree_remove(directory, NULL);
}

static void write_text(const char *path, const char *text)
{
    const struct file_spec spec = {path, text, strlen(text), 0644, (uid_t)-1, (gid_t)-1};
    assert_int_equal(file_put(&spec, NULL, NULL), 0);
}

static void used_at(const char *path, time_t when)
{
    const struct timespec times[2] = {{.tv_sec = when}, {.tv_sec = when}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* WHEN 0: it was never finished. */
static void image(const char *name, time_t when)
{
    _cleanup_free_ char *file = xasprintf("%s/etc/file", name);
    _cleanup_free_ char *log = xasprintf("%s.log", name);
    _cleanup_free_ char *complete = xasprintf("%s.complete", name);
    write_text(file, "x");
    write_text(log, "");
    if (when > 0) {
        write_text(complete, "");
        used_at(complete, when);
    }
}

static void expect(const char *path, bool there)
{
    if ((access(path, F_OK) == 0) != there) {
        fail_msg("%s is %s", path, there ? "gone" : "there");
    }
}

static void test_oldest_go(void **state)
{
    (void)state;
    image("image-a", 1000);
    image("image-b", 5000);
    image("image-c", 3000);
    image("image-d", 4000);
    image("image-e", 2000);
    image("image-f", 0);
    assert_int_equal(cache_prune(".", "labs/*/lab.json", NULL), 0);
    expect("image-a", false);
    expect("image-a.log", false);
    expect("image-a.complete", false);
    expect("image-b/etc/file", true);
    expect("image-c.complete", true);
    expect("image-d.log", true);
    expect("image-e", false);
    expect("image-f", false);
}

static void test_use_counts(void **state)
{
    (void)state;
    const char *const names[] = {"images-v1.20.2-a", "images-v1.20.2-b", "images-v1.20.2-c", "images-v1.20.3-d"};
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        assert_int_equal(mkdir(names[i], 0755), 0);
        used_at(names[i], 1000 + (time_t)i);
    }
    write_text("kubernetes-v1.20.2/.complete", "");
    cache_use(names[0]);
    assert_int_equal(cache_prune(".", "labs/*/lab.json", NULL), 0);
    expect(names[0], true);
    expect(names[1], false);
    expect(names[2], true);
    expect(names[3], true);
    expect("kubernetes-v1.20.2/.complete", true);
}

static void test_none_in_use(void **state)
{
    (void)state;
    const char *const names[] = {"image-a", "image-ab", "image-c", "image-d", "image-e"};
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        image(names[i], 1000 + (time_t)i);
    }
    _cleanup_free_ char *layers = xasprintf("{\"layers\": [\"%s/image-a\", \"x\"]}", directory);
    write_text("labs/one/lab.json", layers);
    assert_int_equal(cache_prune(directory, "labs/*/lab.json", NULL), 0);
    expect("image-a/etc/file", true);
    expect("image-a.complete", true);
    expect("image-ab", false);
    expect("image-c", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_oldest_go, enter, leave),
        cmocka_unit_test_setup_teardown(test_use_counts, enter, leave),
        cmocka_unit_test_setup_teardown(test_none_in_use, enter, leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
