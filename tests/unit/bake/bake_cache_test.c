/* The bake's cache: locks between bakes, what killed bakes left, base systems that are no longer used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bake/fetch/bake_cache.h"
#include "lib/core/util.h"
#include "lib/system/file.h"
#include "lib/system/tree.h"

#define DAY_S (24L * 60 * 60)

static char cache[32];

static int begin(void **state)
{
    (void)state;
    (void)snprintf(cache, sizeof cache, "/tmp/bake-cache-XXXXXX");
    return mkdtemp(cache) == NULL ? -1 : 0;
}

static int end(void **state)
{
    (void)state;
    return tree_remove(cache, NULL);
}

/* CACHE/KIND/NAME, last used AGE seconds ago. */
static void put(const char *kind, const char *name, long age)
{
    _cleanup_free_ char *path = cache_path(cache, kind, name, NULL);
    const struct file_spec spec = {.path = path, .data = "x", .len = 1, .mode = 0644};
    const struct timespec times[2] = {{.tv_sec = time(NULL) - age}, {.tv_sec = time(NULL) - age}};
    assert_int_equal(file_put(&spec, NULL, NULL), 0);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool there(const char *kind, const char *name)
{
    _cleanup_free_ char *path = xasprintf("%s/%s/%s", cache, kind, name);
    return access(path, F_OK) == 0;
}

static void test_a_lock_is_held_by_one(void **state)
{
    (void)state;
    _cleanup_close_ int first = -1;
    _cleanup_close_ int second = -1;
    assert_int_equal(cache_lock(cache, "a", LOCK_EX, &first, NULL), 0);
    assert_int_equal(cache_try_lock(cache, "a", &second, NULL), 0);
    assert_int_equal(second, -1);
    assert_int_equal(cache_try_lock(cache, "b", &second, NULL), 0);
    assert_true(second >= 0);
}

static void test_shared_locks_keep_out_an_exclusive_one(void **state)
{
    (void)state;
    _cleanup_close_ int first = -1;
    _cleanup_close_ int second = -1;
    _cleanup_close_ int third = -1;
    assert_int_equal(cache_lock(cache, "a", LOCK_SH, &first, NULL), 0);
    assert_int_equal(cache_lock(cache, "a", LOCK_SH, &second, NULL), 0);
    assert_int_equal(cache_try_lock(cache, "a", &third, NULL), 0);
    assert_int_equal(third, -1);
}

/* A child has the lock; it ends once a byte was written that says the parent is about to wait. */
static void test_lock_waits_for_another_process(void **state)
{
    (void)state;
    int ready[2];
    int go[2];
    char byte = 0;
    assert_int_equal(pipe2(ready, O_CLOEXEC) + pipe2(go, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        int lock = -1;
        bool failed = cache_lock(cache, "a", LOCK_EX, &lock, NULL) < 0 || write(ready[1], "x", 1) != 1 ||
                      read(go[0], &byte, 1) != 1 || usleep(300000) < 0;
        _exit(failed ? 1 : 0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    int64_t before = clock_ms(); /* the child's time begins with the byte */
    assert_int_equal(write(go[1], "x", 1), 1);
    _cleanup_close_ int lock = -1;
    assert_int_equal(cache_lock(cache, "a", LOCK_EX, &lock, NULL), 0);
    assert_true(clock_ms() - before >= 200);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_parts_of_killed_bakes_are_removed(void **state)
{
    (void)state;
    _cleanup_close_ int image = -1;
    put("images", "dead.tar.part", 0);
    put("images", "busy.tar.part", 0);
    put("images", "whole.tar", 0);
    put("base", "dead.tar.part", 0);
    put("part", "resumed.part", 0);
    put("unpack/helm.x1", "file", 0);
    assert_int_equal(cache_lock(cache, "busy.tar", LOCK_EX, &image, NULL), 0);
    assert_int_equal(cache_clean(cache, NULL), 0);
    assert_false(there("images", "dead.tar.part"));
    assert_true(there("images", "busy.tar.part"));
    assert_true(there("images", "whole.tar"));
    assert_false(there("base", "dead.tar.part"));
    assert_true(there("part", "resumed.part"));
    assert_false(there("unpack", "helm.x1"));
}

static void test_what_a_running_bake_unpacks_stays(void **state)
{
    (void)state;
    _cleanup_close_ int lock = -1;
    put("unpack/helm.x1", "file", 0);
    assert_int_equal(cache_lock(cache, "unpack", LOCK_SH, &lock, NULL), 0);
    assert_int_equal(cache_clean(cache, NULL), 0);
    assert_true(there("unpack/helm.x1", "file"));
}

static void test_an_empty_cache_is_clean(void **state)
{
    (void)state;
    assert_int_equal(cache_clean(cache, NULL), 0);
}

static void test_the_bases_used_last_are_kept(void **state)
{
    (void)state;
    _cleanup_close_ int lock = -1;
    _cleanup_free_ char *used = xasprintf("%s/base/a.tar", cache);
    put("base", "a.tar", 9 * DAY_S);
    put("base", "b.tar", 2 * DAY_S);
    put("base", "c.tar", 3 * DAY_S);
    put("base", "d.tar", 4 * DAY_S);
    put("base", "e.tar", 5 * DAY_S);
    assert_int_equal(cache_lock(cache, "e.tar", LOCK_EX, &lock, NULL), 0);
    cache_use_base(cache, used);
    assert_true(there("base", "a.tar"));
    assert_true(there("base", "b.tar"));
    assert_true(there("base", "c.tar"));
    assert_false(there("base", "d.tar"));
    assert_true(there("base", "e.tar")); /* another bake has it */
}

static void test_bases_of_today_are_kept(void **state)
{
    (void)state;
    static const char *const names[] = {"a.tar", "b.tar", "c.tar", "d.tar", "e.tar"};
    _cleanup_free_ char *used = xasprintf("%s/base/a.tar", cache);
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        put("base", names[i], 600 * (long)i);
    }
    cache_use_base(cache, used);
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        assert_true(there("base", names[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_lock_is_held_by_one, begin, end),
        cmocka_unit_test_setup_teardown(test_shared_locks_keep_out_an_exclusive_one, begin, end),
        cmocka_unit_test_setup_teardown(test_lock_waits_for_another_process, begin, end),
        cmocka_unit_test_setup_teardown(test_parts_of_killed_bakes_are_removed, begin, end),
        cmocka_unit_test_setup_teardown(test_what_a_running_bake_unpacks_stays, begin, end),
        cmocka_unit_test_setup_teardown(test_an_empty_cache_is_clean, begin, end),
        cmocka_unit_test_setup_teardown(test_the_bases_used_last_are_kept, begin, end),
        cmocka_unit_test_setup_teardown(test_bases_of_today_are_kept, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
