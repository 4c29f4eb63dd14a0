#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bake/bake.h"
#include "bake/root/hash.h"
#include "bake/root/place.h"
#include "bake/root/scan.h"
#include "bake/state.h"
#include "lib/system/file.h"
#include "lib/system/tree.h"

#define EPOCH 1609459200
#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static char directory[32];
static struct root root = {.fd = -1};

static int enter(void **state)
{
    (void)state;
    (void)strcpy(directory, "/tmp/bake-XXXXXX");
    if (geteuid() != 0 || mkdtemp(directory) == NULL || chdir(directory) < 0 || mkdir("root", 0755) < 0) {
        return -1; /* files of an image are root's */
    }
    return root_open(&root, "root", EPOCH, NULL);
}

static int leave(void **state)
{
    (void)state;
    root_close(&root);
    return chdir("/") < 0 ? -1 : tree_remove(directory, NULL);
}

static void write_text(const char *path, const char *text)
{
    const struct file_spec spec = {path, text, strlen(text), 0644, (uid_t)-1, (gid_t)-1};
    assert_int_equal(file_put(&spec, NULL, NULL), 0);
}

static char *read_text(const char *path)
{
    char *text = NULL;
    size_t len = 0;
    return file_read(path, 0, &text, &len, NULL) < 0 ? xstrdup("") : text;
}

static void expect_text(const char *path, const char *expected)
{
    _cleanup_free_ char *text = read_text(path);
    assert_string_equal(text, expected);
}

static int put_stream(struct place *place, const char *to, const char *text, const char *sha256, struct error **err)
{
    write_text("source", text);
    _cleanup_close_ int fd = open("source", O_RDONLY | O_CLOEXEC);
    return place_stream(place, to, 0755, fd, sha256, err);
}

static void test_file(void **state)
{
    (void)state;
    struct stat st;
    _cleanup_place_ struct place place = {.root = &root};
    assert_int_equal(put_stream(&place, "/opt/bin/helm", "program", NULL, NULL), 0);
    assert_int_equal(stat("root/opt/bin/helm", &st), -1); /* not before the commit */
    assert_int_equal(place_commit(&place, NULL), 0);
    assert_int_equal(stat("root/opt/bin/helm", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(st.st_mtime, EPOCH);
    expect_text("root/opt/bin/helm", "program");
}

static void test_wrong_hash_leaves_nothing(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    {
        _cleanup_place_ struct place place = {.root = &root};
        assert_int_equal(place_data(&place, "/opt/new/one", 0644, "1", 1, NULL), 0);
        assert_int_equal(put_stream(&place, "/opt/new/two", "not empty", EMPTY_HASH, &err), -1);
    }
    assert_int_equal(err->status, STATUS_CRYPTO);
    assert_non_null(strstr(err->message, "/opt/new/two"));
    assert_non_null(strstr(err->message, "expected " EMPTY_HASH ", found "));
    assert_int_equal(access("root/opt", F_OK), -1);
}

static void test_full_disk_leaves_nothing(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *large = xcalloc(1, 2 << 20);
    memset(large, 'x', (2 << 20) - 1);
    assert_int_equal(mkdir("root/small", 0755), 0);
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", "root/small", "tmpfs", 0, "size=1m") < 0) {
        skip(); /* not where mounts are forbidden */
    }
    root_close(&root);
    assert_int_equal(root_open(&root, "root", EPOCH, NULL), 0); /* with the new mount */
    {
        _cleanup_place_ struct place place = {.root = &root};
        assert_int_equal(place_data(&place, "/first", 0644, "1", 1, NULL), 0);
        assert_int_equal(put_stream(&place, "/small/dir/large", large, NULL, &err), -1);
    }
    int left = access("root/first", F_OK) == 0 || access("root/small/dir", F_OK) == 0;
    assert_int_equal(umount("root/small"), 0);
    assert_false(left);
    assert_int_equal(err->status, STATUS_FILE);
    assert_non_null(strstr(err->message, "cannot write /small/dir/large after "));
    assert_non_null(strstr(err->message, "No space left on device"));
}

/* Whatever the size of an artifact: it streams by. */
static void test_memory(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip();
#endif
    struct rusage usage;
    _cleanup_close_ int fd = open("large", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, 256L << 20), 0);
    _cleanup_place_ struct place place = {.root = &root};
    assert_int_equal(place_stream(&place, "/large", 0644, fd, NULL, NULL), 0);
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    assert_true(usage.ru_maxrss < 64L * 1024);
}

static void test_tree_is_all_or_nothing(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(mkdir("tree", 0755), 0);
    assert_int_equal(mkdir("root/z", 0755), 0);
    write_text("tree/a", "new");
    write_text("tree/z", "a file where the root has a directory");
    write_text("root/a", "old");
    {
        _cleanup_place_ struct place place = {.root = &root};
        assert_int_equal(place_tree(&place, "/", "tree", &err), -1);
    }
    assert_non_null(strstr(err->message, "/z is a directory"));
    expect_text("root/a", "old");
    assert_int_equal(unlink("tree/z"), 0);
    _cleanup_place_ struct place place = {.root = &root};
    assert_int_equal(symlink("/usr/lib/cni", "tree/bin"), 0);
    assert_int_equal(place_tree(&place, "/", "tree", NULL), 0);
    assert_int_equal(place_commit(&place, NULL), 0);
    expect_text("root/a", "new");
    char target[64] = "";
    assert_int_equal(readlink("root/bin", target, sizeof target - 1), strlen("/usr/lib/cni"));
    assert_string_equal(target, "/usr/lib/cni");
}

static void test_links_stay_inside(void **state)
{
    (void)state;
    assert_int_equal(mkdir("root/outside", 0755), 0);
    assert_int_equal(mkdir("outside", 0755), 0);
    _cleanup_free_ char *up = xasprintf("%s/../..%s/outside", directory, directory);
    assert_int_equal(symlink("/outside", "root/absolute"), 0);
    assert_int_equal(symlink("../../../../outside", "root/relative"), 0);
    assert_int_equal(symlink(up, "root/host"), 0);
    _cleanup_place_ struct place place = {.root = &root};
    assert_int_equal(place_data(&place, "/absolute/a", 0644, "a", 1, NULL), 0);
    assert_int_equal(place_data(&place, "/relative/b", 0644, "b", 1, NULL), 0);
    assert_int_equal(place_data(&place, "/host/c", 0644, "c", 1, NULL), -1); /* leads to nothing inside */
    assert_int_equal(place_commit(&place, NULL), 0);
    expect_text("root/outside/a", "a");
    expect_text("root/outside/b", "b");
    assert_int_equal(rmdir("outside"), 0); /* still empty */
}

static char *hash_of(const char *tree)
{
    _cleanup_(hash_freep) struct hash *hash = hash_new();
    assert_int_equal(tree_hash(tree, hash, NULL), 0);
    return hash_end(hash);
}

static void test_tree_hash(void **state)
{
    (void)state;
    struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    assert_int_equal(mkdir("tree", 0755), 0);
    write_text("tree/a", "1");
    _cleanup_free_ char *first = hash_of("tree");
    assert_int_equal(utimensat(AT_FDCWD, "tree/a", old, 0), 0);
    _cleanup_free_ char *touched = hash_of("tree");
    assert_string_equal(first, touched);
    assert_int_equal(chmod("tree/a", 0700), 0);
    _cleanup_free_ char *mode = hash_of("tree");
    assert_string_not_equal(first, mode);
    write_text("tree/a", "2");
    _cleanup_free_ char *content = hash_of("tree");
    assert_string_not_equal(first, content);
}

static void test_state(void **state)
{
    (void)state;
    char *paths[] = {"/a", "/b", NULL};
    char *kept[] = {"/b", NULL};
    _cleanup_json_ json_t *record = NULL;
    _cleanup_json_ json_t *again = NULL;
    assert_int_equal(state_load(&root, &record, NULL), 0);
    assert_false(state_has(record, &root, "artifact x", "k"));
    write_text("root/a", "");
    write_text("root/b", "");
    assert_int_equal(state_set(record, &root, "artifact x", "k", paths, NULL), 0);
    assert_int_equal(state_load(&root, &again, NULL), 0);
    assert_true(state_has(again, &root, "artifact x", "k"));
    assert_false(state_has(again, &root, "artifact x", "other inputs"));
    _cleanup_strv_ char **own = state_own_paths(again, "artifact x", kept);
    assert_int_equal(strv_length(own), 1);
    assert_string_equal(own[0], "/a");
    assert_int_equal(unlink("root/a"), 0);
    assert_false(state_has(again, &root, "artifact x", "k")); /* taken away behind our back */
    write_text("root/var/lib/k8s-bake/state.json", "{");
    _cleanup_json_ json_t *broken = NULL;
    assert_int_equal(state_load(&root, &broken, NULL), -1);
}

static const char *const leaks[][2] = {
    {"/etc/machine-id", "0123456789abcdef0123456789abcdef\n"},
    {"/var/lib/dbus/machine-id", "0123456789abcdef0123456789abcdef\n"},
    {"/etc/hostname", "builder\n"},
    {"/etc/ssh/ssh_host_ed25519_key", "key"},
    {"/etc/docker/key.json", "{}"},
    {"/var/lib/systemd/random-seed", "seed"},
    {"/var/log/dpkg.log", "line"},
    {"/var/log/journal/x/system.journal", "line"},
    {"/var/lib/apt/lists/deb.debian.org_Packages", "list"},
    {"/var/cache/apt/archives/a.deb", "deb"},
    {"/root/.bash_history", "export SECRET=1"},
    {"/root/.docker/config.json", "{}"},
    {"/root/.ssh/id_rsa", "key"},
    {"/root/.ssh/authorized_keys", "ssh-rsa AAAA"},
    {"/home/debian/.ash_history", "ls"},
};

static void test_scan_and_clean(void **state)
{
    (void)state;
    struct options options = {0};
    struct bake_conf conf = {.clean = {.values = (char *[]){"/opt/*.tmp", NULL}, .where = "image.conf:1"}};
    struct bake bake = {.options = &options, .conf = &conf, .root = root};
    for (size_t i = 0; i < ELEMENTS(leaks); i++) {
        _cleanup_free_ char *path = path_join("root", leaks[i][0]);
        _cleanup_error_ struct error *err = NULL;
        write_text(path, leaks[i][1]);
        assert_int_equal(scan_root(&root, &err), -1);
        assert_int_equal(err->status, STATUS_CHECK_REFUSED);
        if (strstr(err->message, leaks[i][0]) == NULL) {
            fail_msg("%s is not found: %s", leaks[i][0], err->message);
        }
    }
    write_text("root/opt/x.tmp", "");
    write_text("root/opt/x.txt", "");
    assert_int_equal(clean_root(&bake, NULL), 0);
    assert_int_equal(access("root/opt/x.tmp", F_OK), -1);
    assert_int_equal(access("root/opt/x.txt", F_OK), 0);
    assert_int_equal(access("root/var/log/journal/x", F_OK), 0); /* directories stay */
    expect_text("root/etc/machine-id", "");
    _cleanup_error_ struct error *err = NULL;
    if (scan_root(&root, &err) < 0) {
        fail_msg("%s", err->message);
    }
}

static void expect_find(const char *path, const char *text, const char *what)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *here = path_join("root", path);
    write_text(here, text);
    assert_int_equal(scan_root(&root, &err), -1);
    if (strstr(err->message, path) == NULL || strstr(err->message, what) == NULL) {
        fail_msg("%s: %s is not found: %s", path, what, err->message);
    }
    assert_int_equal(unlink(here), 0);
}

static void test_secrets_that_nobody_cleans(void **state)
{
    (void)state;
    expect_find("/opt/app/server.pem", "x\n-----BEGIN RSA PRIVATE KEY-----\nMII\n", "private key");
    expect_find("/etc/shadow", "root:$6$salt$hash:1::::::\nbin:*:1::::::\n", "password for root");
    expect_find("/etc/shadow", "root::1::::::\n", "no password at all for root");
    expect_find("/etc/qingcloud/client.yaml", "secret_access_key: x\n", "cloud API");
    expect_find("/usr/bin/.helm" PLACE_SUFFIX, "half", "interrupted bake");
    write_text("root/usr/share/doc/test.pem", "-----BEGIN PRIVATE KEY-----\n"); /* a package's own */
    write_text("root/etc/shadow", "root:*:1::::::\n");
    assert_int_equal(scan_root(&root, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_file, enter, leave),
        cmocka_unit_test_setup_teardown(test_wrong_hash_leaves_nothing, enter, leave),
        cmocka_unit_test_setup_teardown(test_full_disk_leaves_nothing, enter, leave),
        cmocka_unit_test_setup_teardown(test_memory, enter, leave),
        cmocka_unit_test_setup_teardown(test_tree_is_all_or_nothing, enter, leave),
        cmocka_unit_test_setup_teardown(test_links_stay_inside, enter, leave),
        cmocka_unit_test_setup_teardown(test_tree_hash, enter, leave),
        cmocka_unit_test_setup_teardown(test_state, enter, leave),
        cmocka_unit_test_setup_teardown(test_scan_and_clean, enter, leave),
        cmocka_unit_test_setup_teardown(test_secrets_that_nobody_cleans, enter, leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
