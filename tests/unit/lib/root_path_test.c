/* root_path beside the kernel's own resolution inside a root, openat2 with RESOLVE_IN_ROOT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/core/util.h"
#include "lib/system/file.h"
#include "lib/system/root_path.h"
#include "lib/system/tree.h"

static char directory[32];
static char *root;

static void put(const char *path)
{
    _cleanup_free_ char *full = path_join(root, path);
    const struct file_spec spec = {full, path, strlen(path), 0644, (uid_t)-1, (gid_t)-1};
    assert_int_equal(file_put(&spec, NULL, NULL), 0);
}

static void point(const char *path, const char *target)
{
    _cleanup_free_ char *full = path_join(root, path);
    assert_int_equal(symlink(target, full), 0);
}

static int enter(void **state)
{
    (void)state;
    (void)strcpy(directory, "/tmp/root_path-XXXXXX");
    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    root = xasprintf("%s/root", directory);
    put("/data/kubernetes/pki/ca.crt");
    put("/etc/hosts");
    put("/a/b/c/file");
    point("/etc/kubernetes", "/data/kubernetes");
    point("/etc/passwd-link", "/etc/passwd");
    point("/etc/hosts-link", "/etc/hosts");
    point("/a/up", "../../../../../a/b");
    point("/a/b/relative", "c/file");
    point("/a/chain", "up/relative");
    point("/out", directory);
    point("/new", "/not/yet/there");
    point("/loop", "/pool");
    point("/pool", "/loop");
    return 0;
}

static int leave(void **state)
{
    (void)state;
    free(root);
    return tree_remove(directory, NULL);
}

static int open_in_root(const char *path, bool follow)
{
    _cleanup_close_ int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct open_how how = {.flags = O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW), .resolve = RESOLVE_IN_ROOT};
    return (int)syscall(SYS_openat2, fd, path, &how, sizeof how);
}

static void finds_what_the_kernel_finds(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/",
        "/etc/hosts",
        "/etc/kubernetes/pki/ca.crt",
        "/etc/kubernetes",
        "/etc/kubernetes/",
        "/etc/passwd-link",
        "/a/chain",
        "/a/up/c",
        "/a/up/../b/c/file",
        "/etc/hosts-link",
        "/../../etc/hosts",
        "/a/./b//relative",
        "/out",
        "/out/root/a",
        "/loop",
        "/a/b/c/file/below",
        "/a/up/relative",
        "/absent",
    };
    for (size_t i = 0; i < 2 * ELEMENTS(paths); i++) {
        bool follow = i % 2 == 1;
        const char *path = paths[i / 2];
        struct stat expected;
        struct stat got;
        _cleanup_free_ char *found = root_path(root, path, follow);
        _cleanup_close_ int fd = open_in_root(path, follow);
        bool there = lstat(found, &got) == 0;
        if ((fd >= 0) != there || (there && (fstat(fd, &expected) < 0 || expected.st_ino != got.st_ino))) {
            fail_msg("%s (%s): %s %s", path, follow ? "followed" : "not followed", found,
                     there ? "is there" : "is not");
        }
    }
}

static void an_absent_path_stays_below_the_root(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"/etc/kubernetes/manifests/x.yaml", "/data/kubernetes/manifests/x.yaml"},
        {"/new/file", "/not/yet/there/file"},
        {"/out/file", NULL},
        {"/absent/../../../etc/x", "/etc/x"},
    };
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_free_ char *found = root_path(root, cases[i][0], false);
        _cleanup_free_ char *outside = xasprintf("%s/file", directory);
        _cleanup_free_ char *expected = path_join(root, cases[i][1] != NULL ? cases[i][1] : outside);
        assert_string_equal(found, expected);
    }
}

static void a_loop_is_refused_by_every_call(void **state)
{
    (void)state;
    _cleanup_free_ char *found = root_path(root, "/loop/file", false);
    assert_int_equal(open(found, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), -1);
    assert_int_equal(errno, ENOTDIR);
}

static void without_a_root_the_path_is_itself(void **state)
{
    (void)state;
    _cleanup_free_ char *found = root_path("", "/etc/../etc/hosts", true);
    assert_string_equal(found, "/etc/../etc/hosts");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_the_kernel_finds),
        cmocka_unit_test(an_absent_path_stays_below_the_root),
        cmocka_unit_test(a_loop_is_refused_by_every_call),
        cmocka_unit_test(without_a_root_the_path_is_itself),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
