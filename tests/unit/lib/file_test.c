#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/system/file.h"
#include "lib/system/tree.h"

static char directory[32];

static int enter(void **state)
{
    (void)state;
    (void)strcpy(directory, "/tmp/file-XXXXXX");
    return mkdtemp(directory) == NULL || chdir(directory) < 0 ? -1 : 0;
}

static int leave(void **state)
{
    (void)state;
    return chdir("/") < 0 ? -1 : tree_remove(directory, NULL);
}

static struct file_spec spec(const char *path, const char *text)
{
    return (struct file_spec){path, text, strlen(text), 0644, (uid_t)-1, (gid_t)-1};
}

static bool put(const char *path, const char *text)
{
    const struct file_spec s = spec(path, text);
    bool changed = false;
    _cleanup_error_ struct error *err = NULL;
    if (file_put(&s, &changed, &err) < 0) {
        fail_msg("%s", err->message);
    }
    return changed;
}

static void expect_text(const char *path, const char *text)
{
    _cleanup_free_ char *data = NULL;
    size_t len = 0;
    assert_int_equal(file_read(path, 0, &data, &len, NULL), 0);
    assert_int_equal(len, strlen(text));
    assert_string_equal(data, text);
}

static int entries(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    closedir(dir);
    return n;
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static void a_file_is_written_once(void **state)
{
    (void)state;
    assert_true(put("a/b/c", "text\n"));
    assert_false(put("a/b/c", "text\n"));
    assert_true(put("a/b/c", "Text\n"));
    expect_text("a/b/c", "Text\n");
    assert_true(put("a/b/c", ""));
    assert_false(put("a/b/c", ""));
    expect_text("a/b/c", "");
    assert_int_equal(entries("a/b"), 1);
}

static void mode_and_owner_count(void **state)
{
    (void)state;
    struct file_spec s = spec("f", "secret");
    mode_t before = umask(077);
    assert_true(put("f", "secret"));
    assert_true(put("d/e/f", ""));
    umask(before);
    assert_int_equal(mode_of("f"), 0644);
    assert_int_equal(mode_of("d/e"), 0755);
    s.mode = 0600;
    assert_int_equal(file_same(&s, NULL), 0);
    assert_int_equal(file_put(&s, NULL, NULL), 0);
    assert_int_equal(mode_of("f"), 0600);
    assert_int_equal(file_same(&s, NULL), 1);
    s.uid = geteuid() + 1;
    assert_int_equal(file_same(&s, NULL), 0);
    s.uid = geteuid();
    assert_int_equal(file_same(&s, NULL), 1);
}

static void similar_but_different_texts_are_not_equal(void **state)
{
    (void)state;
    put("f", "12345");
    static const char *const others[] = {"1234", "123456", "12346", ""};
    for (size_t i = 0; i < ELEMENTS(others); i++) {
        const struct file_spec s = spec("f", others[i]);
        assert_int_equal(file_same(&s, NULL), 0);
    }
    const struct file_spec absent = spec("f/below/a/file", "");
    assert_int_equal(file_same(&absent, NULL), 0);
}

static void a_link_is_replaced_and_its_target_is_kept(void **state)
{
    (void)state;
    put("target", "same");
    assert_int_equal(symlink("target", "link"), 0);
    assert_true(put("link", "same"));
    struct stat st;
    assert_int_equal(lstat("link", &st), 0);
    assert_true(S_ISREG(st.st_mode));
    put("link", "other");
    expect_text("target", "same");
}

static void what_a_killed_writer_left_is_gone_after_the_next(void **state)
{
    (void)state;
    put("f", "old");
    put(".f.new", "half writ");
    assert_true(put("f", "new"));
    expect_text("f", "new");
    assert_int_equal(entries("."), 1);
}

static void a_link_in_place_of_the_temporary_file_is_not_written_through(void **state)
{
    (void)state;
    put("victim", "untouched");
    assert_int_equal(symlink("victim", ".f.new"), 0);
    assert_true(put("f", "1"));
    assert_int_equal(link("victim", ".f.new"), 0);
    assert_true(put("f", "2"));
    assert_int_equal(mkfifo(".f.new", 0600), 0);
    assert_true(put("f", "3"));
    expect_text("f", "3");
    expect_text("victim", "untouched");
    assert_int_equal(entries("."), 2);
}

static bool write_in_turns(const char *first, const char *second)
{
    for (int i = 0; i < 50; i++) {
        const struct file_spec s = spec("f", i % 2 == 0 ? first : second);
        _cleanup_free_ char *data = NULL;
        size_t len = 0;
        if (file_put(&s, NULL, NULL) < 0 || file_read("f", 0, &data, &len, NULL) < 0 || len != 100000 ||
            strspn(data, data[0] == 'a' ? "a" : "b") != len) {
            return false;
        }
    }
    return true;
}

/* Each sees whole files only, one's or the other's, and nothing is left beside. */
static void two_writers_do_not_mix(void **state)
{
    (void)state;
    static char texts[2][100001];
    memset(texts[0], 'a', 100000);
    memset(texts[1], 'b', 100000);
    pid_t child = fork();
    assert_true(child >= 0);
    bool whole = child == 0 ? write_in_turns(texts[1], texts[0]) : write_in_turns(texts[0], texts[1]);
    if (child == 0) {
        _exit(whole ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(whole);
    assert_int_equal(status, 0);
    assert_int_equal(entries("."), 1);
}

static void a_write_that_fails_leaves_the_old_file(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(mkdir("f", 0755), 0);
    put("f/in", "");
    const struct file_spec s = spec("f", "text");
    assert_int_equal(file_put(&s, NULL, &err), -1);
    assert_int_equal(err->status, STATUS_FILE);
    assert_non_null(strstr(err->message, "cannot write f"));
    assert_int_equal(entries("."), 1);
    const struct file_spec below = spec("f/in/file", "text");
    error_freep(&err);
    assert_int_equal(file_put(&below, NULL, &err), -1);
    assert_non_null(strstr(err->message, "f/in"));
}

static void a_file_of_another_program_replaces(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    put("f", "old");
    put("from", "new");
    assert_int_equal(file_replace("f", "from", 0755, NULL), 0);
    expect_text("f", "new");
    assert_int_equal(mode_of("f"), 0755);
    assert_int_equal(entries("."), 1);
    assert_int_equal(file_replace("f", "from", 0700, &err), -1);
    assert_int_equal(err->status, STATUS_FILE);
    assert_non_null(strstr(err->message, "cannot put from in the place of f"));
    expect_text("f", "new");
    assert_int_equal(mode_of("f"), 0755);
}

static void reading_tells_absence_and_excess(void **state)
{
    (void)state;
    _cleanup_free_ char *data = NULL;
    size_t len = 0;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(file_read("none", 0, &data, &len, &err), -1);
    assert_int_equal(errno, ENOENT);
    error_freep(&err);
    put("f", "12345");
    assert_int_equal(file_read("f", 4, &data, &len, &err), -1);
    assert_non_null(strstr(err->message, "more than 4 bytes"));
    assert_null(data);
    assert_int_equal(file_read("f", 5, &data, &len, NULL), 0);
    assert_string_equal(data, "12345");
    error_freep(&err);
    assert_int_equal(file_read(".", 0, &data, &len, &err), -1);
}

static void removing_twice_is_fine(void **state)
{
    (void)state;
    bool changed = false;
    put("f", "");
    assert_int_equal(file_remove("f", &changed, NULL), 0);
    assert_true(changed);
    assert_int_equal(file_remove("f", &changed, NULL), 0);
    assert_false(changed);
    assert_int_equal(file_remove("none/f", &changed, NULL), 0);
}

static void directories_are_made_with_their_mode(void **state)
{
    (void)state;
    assert_int_equal(dir_make("a/b", 0700, NULL), 0);
    assert_int_equal(mode_of("a"), 0755);
    assert_int_equal(mode_of("a/b"), 0700);
    assert_int_equal(dir_make("a/b", 0711, NULL), 0);
    assert_int_equal(mode_of("a/b"), 0711);
    _cleanup_error_ struct error *err = NULL;
    put("f", "");
    assert_int_equal(dir_make("f", 0755, &err), -1);
    assert_int_equal(err->status, STATUS_FILE);
}

static void links_are_made_once(void **state)
{
    (void)state;
    bool changed = false;
    char target[16] = {0};
    assert_int_equal(link_make("there", "a/link", &changed, NULL), 0);
    assert_true(changed);
    assert_int_equal(link_make("there", "a/link", &changed, NULL), 0);
    assert_false(changed);
    assert_int_equal(link_make("there/on", "a/link", &changed, NULL), 0);
    _cleanup_free_ char *now = link_read("a/link");
    assert_string_equal(now, "there/on");
    assert_true(link_is("a/link", "there/on"));
    assert_false(link_is("a/link", "there"));
    assert_false(link_is("a", "there"));
    assert_null(link_read("absent"));
    assert_int_equal(errno, ENOENT);
    assert_true(changed);
    assert_int_equal(readlink("a/link", target, sizeof target - 1), 8);
    assert_string_equal(target, "there/on");
    assert_int_equal(mkdir("empty", 0755), 0);
    assert_int_equal(link_make("x", "empty", &changed, NULL), 0);
    assert_int_equal(readlink("empty", target, sizeof target), 1);
    assert_int_equal(link_make("x", "a", &changed, NULL), -1);
    put("f", "");
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(link_make("x", "f", &changed, &err), -1);
    assert_non_null(strstr(err->message, "a file is there"));
}

static void paths_are_joined_by_one_slash(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {NULL, "/etc/x", "/etc/x"}, {"", "/etc/x", "/etc/x"},    {"/", "etc/x", "/etc/x"},
        {"/r", "/etc", "/r/etc"},   {"/r//", "//etc", "/r/etc"}, {"r", "x", "r/x"},
    };
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_free_ char *path = path_join(cases[i][0], cases[i][1]);
        assert_string_equal(path, cases[i][2]);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_written_once),
        TEST(mode_and_owner_count),
        TEST(similar_but_different_texts_are_not_equal),
        TEST(a_link_is_replaced_and_its_target_is_kept),
        TEST(what_a_killed_writer_left_is_gone_after_the_next),
        TEST(a_link_in_place_of_the_temporary_file_is_not_written_through),
        TEST(two_writers_do_not_mix),
        TEST(a_write_that_fails_leaves_the_old_file),
        TEST(a_file_of_another_program_replaces),
        TEST(reading_tells_absence_and_excess),
        TEST(removing_twice_is_fine),
        TEST(directories_are_made_with_their_mode),
        TEST(links_are_made_once),
        TEST(paths_are_joined_by_one_slash),
    };
    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
