#include "hooks/engine/lock.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/unit/hooks/engine_fixture.h"

/* A process that holds the lock until its end of the pipe is closed. */
struct holder {
    pid_t pid;
    int go;
};

static struct holder hold(const char *event)
{
    int ready[2] = {-1, -1};
    int go[2] = {-1, -1};
    assert_true(pipe2(ready, O_CLOEXEC) == 0 && pipe2(go, O_CLOEXEC) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        int lock = -1;
        bool waited = false;
        char c = 0;
        run.event = event;
        (void)close(go[1]);
        if (lock_take(&run, deadline_in(60000), &lock, &waited, NULL) == 0 && write(ready[1], "x", 1) == 1) {
            (void)!read(go[0], &c, 1);
        }
        _exit(0);
    }
    char c = 0;
    assert_int_equal(read(ready[0], &c, 1), 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    (void)close(go[0]);
    return (struct holder){pid, go[1]};
}

static void release(struct holder holder)
{
    (void)close(holder.go);
    assert_int_equal(waitpid(holder.pid, NULL, 0), holder.pid);
}

static void a_free_lock_is_taken_without_waiting(void **state)
{
    (void)state;
    _cleanup_close_ int lock = -1;
    bool waited = true;
    assert_int_equal(lock_take(&run, deadline_in(0), &lock, &waited, NULL), 0);
    assert_false(waited);
}

static void the_holder_is_named_when_the_deadline_passes(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    _cleanup_close_ int lock = -1;
    bool waited = false;
    struct holder holder = hold("upgrade");
    _cleanup_free_ char *name = xasprintf("`upgrade` (pid %d)", (int)holder.pid);
    assert_int_equal(lock_take(&run, deadline_in(50), &lock, &waited, &err), -1);
    assert_int_equal(err->status, STATUS_LOCKED);
    assert_non_null(strstr(err->message, name));
    release(holder);
}

static void the_lock_is_taken_when_its_holder_is_killed(void **state)
{
    (void)state;
    _cleanup_close_ int lock = -1;
    bool waited = false;
    struct holder holder = hold("start");
    assert_int_equal(kill(holder.pid, SIGKILL), 0);
    assert_int_equal(lock_take(&run, deadline_in(60000), &lock, &waited, NULL), 0);
    release(holder);
    assert_true(lock >= 0);
}

/* One that could not write its name, on a full disk, leaves that of an earlier event. */
static void a_name_of_a_process_that_is_gone_is_not_given(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    _cleanup_close_ int lock = -1;
    bool waited = false;
    _cleanup_free_ char *path = run_state_path(&run, "lock");
    struct holder gone = hold("destroy");
    release(gone);
    struct holder holder = hold("start");
    _cleanup_free_ char *stale = xasprintf("`destroy` (pid %d)\n", (int)gone.pid);
    assert_int_equal(file_put_private(path, stale, NULL), 0);
    assert_int_equal(lock_take(&run, deadline_in(50), &lock, &waited, &err), -1);
    assert_null(strstr(err->message, "destroy"));
    release(holder);
}

/* The lock is the directory: what lies in the place of the file, or none of it, changes nothing. */
static void no_file_is_needed(void **state)
{
    (void)state;
    _cleanup_free_ char *path = run_state_path(&run, "lock");
    _cleanup_close_ int lock = -1;
    bool waited = false;
    assert_int_equal(dir_make(path, 0700, NULL), 0);
    struct holder holder = hold("start");
    assert_int_equal(lock_take(&run, deadline_in(50), &lock, &waited, NULL), -1);
    release(holder);
    assert_int_equal(lock_take(&run, deadline_in(60000), &lock, &waited, NULL), 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_free_lock_is_taken_without_waiting),
        TEST(the_holder_is_named_when_the_deadline_passes),
        TEST(the_lock_is_taken_when_its_holder_is_killed),
        TEST(a_name_of_a_process_that_is_gone_is_not_given),
        TEST(no_file_is_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
