/* What the lab says is missing of the machine it is to run on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "lib/core/util.h"
#include "lib/system/file.h"
#include "lib/system/tree.h"
#include "tests/lab/lab/machine/host.h"

static char root[32];

static void put(const char *path, const char *text)
{
    _cleanup_free_ char *full = xasprintf("%s%s", root, path);
    const struct file_spec spec = {full, text, strlen(text), 0755, (uid_t)-1, (gid_t)-1};
    assert_int_equal(file_put(&spec, NULL, NULL), 0);
}

/* A host of version 1 control groups that has all, in a sandbox without CAP_SYS_RESOURCE. */
static int enter(void **state)
{
    (void)state;
    static const char *const programs[] = {"systemd-nspawn", "nsenter", "ip", "iptables", "mmdebstrap", "ssh-keygen"};
    static const char *const controllers[] = {"cpu", "cpuset", "memory", "pids", "freezer"};
    (void)strcpy(root, "/tmp/host-XXXXXX");
    if (mkdtemp(root) == NULL) {
        return -1;
    }
    put("/proc/self/status", "Name:\tlab\nCapEff:\t000001fffeffffff\n");
    put("/proc/filesystems", "nodev\tproc\nnodev\toverlay\n\text4\n");
    for (size_t i = 0; i < ELEMENTS(programs); i++) {
        _cleanup_free_ char *path = xasprintf("/bin/%s", programs[i]);
        put(path, "");
    }
    for (size_t i = 0; i < ELEMENTS(controllers); i++) {
        _cleanup_free_ char *path = xasprintf("/sys/fs/cgroup/%s/cgroup.procs", controllers[i]);
        put(path, "1\n");
    }
    return 0;
}

static int leave(void **state)
{
    (void)state;
    return tree_remove(root, NULL);
}

/* MISSING NULL: nothing; else what the message must have. */
static void check(const char *missing)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *path = xasprintf("/nowhere:%s/bin", root);
    int r = host_check(root, path, &err);
    if (missing == NULL ? r != 0 : r == 0 || strstr(err->message, missing) == NULL) {
        fail_msg("%s, not: %s", r == 0 ? "nothing is missing" : err->message, missing == NULL ? "nothing" : missing);
    }
}

static void test_all_there(void **state)
{
    (void)state;
    check(NULL);
}

static void test_version_2(void **state)
{
    (void)state;
    _cleanup_free_ char *groups = xasprintf("%s/sys/fs/cgroup", root);
    assert_int_equal(tree_remove(groups, NULL), 0);
    check("control group controller cpu: neither version 1 nor 2");
    put("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory hugetlb pids rdma misc\n");
    check(NULL);
    put("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids\n");
    check("control group controller memory: /sys/fs/cgroup/cgroup.controllers lacks it");
}

static void test_capabilities(void **state)
{
    (void)state;
    put("/proc/self/status", "Name:\tlab\nCapEff:\t00000000a80425fb\n");
    check("CAP_SYS_ADMIN, for namespaces and mounts");
    check("CAP_NET_ADMIN, for the lab's network");
}

static void test_kernel_and_programs(void **state)
{
    (void)state;
    put("/proc/filesystems", "nodev\tproc\n\text4\n");
    _cleanup_free_ char *nspawn = xasprintf("%s/bin/systemd-nspawn", root);
    assert_int_equal(unlink(nspawn), 0);
    check("file system overlay: modprobe overlay");
    check("program systemd-nspawn: apt-get install systemd-container");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_there, enter, leave),
        cmocka_unit_test_setup_teardown(test_version_2, enter, leave),
        cmocka_unit_test_setup_teardown(test_capabilities, enter, leave),
        cmocka_unit_test_setup_teardown(test_kernel_and_programs, enter, leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
