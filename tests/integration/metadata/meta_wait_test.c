/* The metadata client's long poll, and what ends it. */
#include "tests/integration/metadata/meta_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "lib/core/interrupt.h"

/* A client that waits in a thread of its own. */
struct waiter {
    pthread_t thread;
    struct meta *meta;
    int64_t ms;
    int result;
    json_t *tree;
    struct error *err;
};

static void *wait_for_news(void *context)
{
    struct waiter *waiter = context;
    waiter->result = meta_wait(waiter->meta, deadline_in(waiter->ms), &waiter->tree, &waiter->err);
    return NULL;
}

static void start_waiting(struct waiter *waiter, struct fixture *f, int64_t ms)
{
    *waiter = (struct waiter){.meta = f->meta, .ms = ms};
    _cleanup_json_ json_t *tree = NULL;
    assert_int_equal(meta_get(f->meta, deadline_in(LONG), &tree, NULL), 0);
    assert_int_equal(pthread_create(&waiter->thread, NULL, wait_for_news, waiter), 0);
    assert_true(metad_await_held(f->servers[0], 1, LONG));
}

static void a_change_ends_the_long_poll(void **state)
{
    struct fixture *f = *state;
    struct waiter waiter;
    start_waiting(&waiter, f, LONG);
    set_leaf(f->servers[0], "/clusters/cl-1/hosts/node/i-1/token", "abc");
    pthread_join(waiter.thread, NULL);
    _cleanup_json_ json_t *tree = waiter.tree;
    assert_int_equal(waiter.result, 0);
    assert_string_equal(leaf(tree, "host", "token"), "abc");
    assert_int_equal(metad_requests(f->servers[0]), 2);
}

static void a_change_that_came_before_is_not_missed(void **state)
{
    struct fixture *f = *state;
    _cleanup_json_ json_t *tree = NULL;
    assert_int_equal(meta_get(f->meta, deadline_in(LONG), &tree, NULL), 0);
    set_leaf(f->servers[0], "/clusters/cl-1/env/max_pods", "80");
    _cleanup_json_ json_t *news = NULL;
    assert_int_equal(meta_wait(f->meta, deadline_in(LONG), &news, NULL), 0);
    assert_string_equal(leaf(news, "env", "max_pods"), "80");
}

static void a_change_of_another_cluster_does_not_end_the_wait(void **state)
{
    struct fixture *f = *state;
    struct waiter waiter;
    start_waiting(&waiter, f, LONG);
    set_leaf(f->servers[0], "/clusters/cl-2/env/max_pods", "80");
    /* It requests again, with the new version. */
    assert_true(metad_await_held(f->servers[0], 1, LONG));
    set_leaf(f->servers[0], "/clusters/cl-1/env/max_pods", "100");
    pthread_join(waiter.thread, NULL);
    _cleanup_json_ json_t *tree = waiter.tree;
    assert_int_equal(waiter.result, 0);
    assert_string_equal(leaf(tree, "env", "max_pods"), "100");
}

static void nothing_new_is_the_deadline(void **state)
{
    struct fixture *f = *state;
    struct waiter waiter;
    start_waiting(&waiter, f, 5000); /* its request must have come by then, also on a loaded machine */
    pthread_join(waiter.thread, NULL);
    _cleanup_error_ struct error *err = waiter.err;
    assert_int_equal(waiter.result, -1);
    assert_int_equal(err->status, STATUS_DEADLINE);
    assert_null(waiter.tree);
}

static void a_dead_server_during_the_wait_hands_over_to_the_next(void **state)
{
    struct fixture *f = *state;
    struct waiter waiter;
    start_waiting(&waiter, f, LONG);
    set_leaf(f->servers[1], "/clusters/cl-1/env/max_pods", "120");
    metad_stopp(&f->servers[0]);
    pthread_join(waiter.thread, NULL);
    _cleanup_json_ json_t *tree = waiter.tree;
    assert_int_equal(waiter.result, 0);
    assert_string_equal(leaf(tree, "env", "max_pods"), "120");
}

static void the_first_wait_without_an_answer_before_is_a_get(void **state)
{
    struct fixture *f = *state;
    _cleanup_json_ json_t *tree = NULL;
    assert_int_equal(meta_wait(f->meta, deadline_in(LONG), &tree, NULL), 0);
    assert_string_equal(leaf(tree, "env", "max_pods"), "60");
}

/* In a process of its own, because a signal that was taken stays taken. */
static int wait_in_child(struct fixture *f, bool hold)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_(meta_freep) struct meta *meta = NULL;
    _cleanup_json_ json_t *tree = NULL;
    if (interrupt_open(NULL) < 0 || meta_open(&meta, &f->conf, NULL, NULL) < 0 ||
        (hold && meta_get(meta, deadline_in(LONG), &tree, NULL) < 0)) {
        return 1;
    }
    json_t *news = NULL;
    int r = hold ? meta_wait(meta, deadline_in(LONG), &news, &err) : meta_get(meta, deadline_in(LONG), &news, &err);
    return r == -1 && err->status == STATUS_INTERRUPTED && strstr(err->message, "SIGTERM") != NULL ? 0 : 2;
}

static void assert_ended_by_sigterm(struct fixture *f, bool hold)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(wait_in_child(f, hold));
    }
    bool held = metad_await_held(f->servers[0], 1, LONG);
    assert_int_equal(kill(pid, SIGTERM), 0);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(held);
    assert_int_equal(status, 0);
}

static void a_signal_ends_the_long_poll(void **state)
{
    assert_ended_by_sigterm(*state, true);
}

static void a_signal_ends_a_request(void **state)
{
    struct fixture *f = *state;
    metad_fault(f->servers[0], &(struct metad_fault){.kind = METAD_HANG});
    assert_ended_by_sigterm(f, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_change_ends_the_long_poll),
        TEST(a_change_that_came_before_is_not_missed),
        TEST(a_change_of_another_cluster_does_not_end_the_wait),
        TEST(nothing_new_is_the_deadline),
        TEST(a_dead_server_during_the_wait_hands_over_to_the_next),
        TEST(the_first_wait_without_an_answer_before_is_a_get),
        TEST(a_signal_ends_the_long_poll),
        TEST(a_signal_ends_a_request),
    };
    log_open("meta_wait_test", NULL, NULL, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests_name("long poll", tests, NULL, NULL);
}
