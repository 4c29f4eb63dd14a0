/* What CSI drivers mounted is unmounted, and nothing else; in a mount namespace of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"
#include "lib/system/file.h"
#include "lib/system/tree.h"

#define STAGED "kubelet/plugins/kubernetes.io/csi/pv/pvc-1/globalmount"
#define OF_POD "kubelet/pods/1/volumes/kubernetes.io~csi/pvc-1/mount"
#define SUBPATH "kubelet/pods/1/volume-subpaths/pvc-1/prometheus/0"
#define SECRET "kubelet/pods/1/volumes/kubernetes.io~secret/token"

static char root[] = "/tmp/unmount-volumes-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(root) != NULL && unshare(CLONE_NEWNS) == 0 &&
                   mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    _cleanup_free_ char *secret = path_join(root, SECRET);
    (void)umount2(secret, MNT_DETACH);
    return tree_remove(root, NULL);
}

/* FROM: a directory that is mounted there a second time; NULL: a file system of its own. */
static void mount_at(const char *from, const char *to)
{
    _cleanup_free_ char *source = from == NULL ? xstrdup("tmpfs") : path_join(root, from);
    _cleanup_free_ char *target = path_join(root, to);
    assert_int_equal(dir_make(target, 0755, NULL), 0);
    assert_int_equal(mount(source, target, from == NULL ? "tmpfs" : "none", from == NULL ? 0 : MS_BIND, NULL), 0);
}

static bool mounted(const char *at)
{
    struct stat directory;
    struct stat parent;
    _cleanup_free_ char *path = path_join(root, at);
    _cleanup_free_ char *above = xasprintf("%s/..", path);
    assert_int_equal(stat(path, &directory), 0);
    assert_int_equal(stat(above, &parent), 0);
    return directory.st_dev != parent.st_dev;
}

static void unmount_volumes(void)
{
    struct error *err = NULL;
    assert_int_equal(step_unmount_volumes.done(NULL, &err), 0);
    assert_int_equal(step_unmount_volumes.apply(NULL, &err), 0);
    assert_int_equal(step_unmount_volumes.done(NULL, &err), 1);
    assert_null(err);
}

static void test_volumes_are_unmounted_and_secrets_stay(void **state)
{
    (void)state;
    mount_at(NULL, STAGED);
    mount_at(STAGED, OF_POD);
    mount_at(OF_POD, SUBPATH);
    mount_at(NULL, SECRET);
    unmount_volumes();
    assert_false(mounted(STAGED));
    assert_false(mounted(OF_POD));
    assert_false(mounted(SUBPATH));
    assert_true(mounted(SECRET));
}

static void test_a_volume_in_use_stops_nothing(void **state)
{
    (void)state;
    mount_at(NULL, STAGED);
    _cleanup_free_ char *path = path_join(root, STAGED);
    _cleanup_close_ int used = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(used >= 0);
    unmount_volumes();
    assert_false(mounted(STAGED));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volumes_are_unmounted_and_secrets_stay),
        cmocka_unit_test(test_a_volume_in_use_stops_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
