/* A metadata tree that is read while somebody writes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "hooks/engine/run.h"
#include "hooks/steps/steps.h"
#include "lib/core/logger.h"
#include "lib/system/tree.h"
#include "tests/lab/shared/cluster.h"
#include "tests/lab/shared/metad.h"

static char directory[32];
static struct metad *metad;
static json_t *whole; /* what a node sees */
static char *servers[] = {NULL, NULL};
static struct conf conf = {.metadata = {.servers = servers, .timeout_ms = 60000}, .timeouts = {.token_s = 120}};
static const struct role node = {.name = "node", .state = "/state"};
static struct run run;

static void publish(const json_t *view)
{
    metad_set(metad, "/", view);
}

static int set_up(void **state)
{
    (void)state;
    (void)strcpy(directory, "/tmp/half.XXXXXX");
    if (mkdtemp(directory) == NULL || metad_start(&metad, "127.0.0.1", 0, "127.0.0.1", 0, NULL) < 0) {
        return -1;
    }
    _cleanup_json_ json_t *cluster = cluster_load("three-logs", NULL);
    _cleanup_json_ json_t *mapping = json_object();
    _cleanup_json_ json_t *view = cluster_view(cluster, "node", 1);
    whole = json_deep_copy(view);
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach (whole, key, value) {
        _cleanup_free_ char *path = xasprintf("/%s", key);
        json_object_set_new(mapping, key, json_string(path));
    }
    metad_map(metad, "127.0.0.1", mapping);
    servers[0] = xasprintf("http://127.0.0.1:%u", metad_port(metad));
    conf.metadata.deadline_ms = 120000;
    run =
        (struct run){.conf = &conf, .role = &node, .root = directory, .dry_run = true, .deadline = deadline_in(300000)};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    metad_stopp(&metad);
    json_decref(whole);
    free(servers[0]);
    free(STEAL(conf.metadata.cache));
    meta_freep(&run.meta);
    facts_freep(&run.facts);
    json_decref(run.tree);
    return tree_remove(directory, NULL);
}

/* The tree with a second node, of which all is there or only its address. */
static json_t *with_new_host(bool finished)
{
    json_t *view = json_deep_copy(whole);
    json_t *host = finished ? json_pack("{s:s, s:s, s:s}", "ip", "192.168.100.99", "sid", "99", "node_id", "cln-z")
                            : json_pack("{s:s}", "ip", "192.168.100.99");
    json_object_set_new(json_object_get(json_object_get(view, "hosts"), "node"), "i-z", host);
    return view;
}

static void *finish_later(void *data)
{
    json_t *view = data;
    (void)usleep(500000);
    publish(view);
    return NULL;
}

static void an_event_waits_until_the_tree_is_whole(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    _cleanup_json_ json_t *half = with_new_host(false);
    _cleanup_json_ json_t *finished = with_new_host(true);
    pthread_t writer;
    publish(half);
    assert_int_equal(pthread_create(&writer, NULL, finish_later, finished), 0);
    int r = run_facts(&run, METADATA_LIVE, &err);
    pthread_join(writer, NULL);
    if (r < 0) {
        fail_msg("%s", err->message);
    }
    assert_non_null(facts_node(run.facts, "node-99"));
}

static void an_incomplete_tree_is_refused_at_the_deadline(void **state)
{
    (void)state;
    static const int limits[] = {700, 10000,
                                 60000}; /* on a loaded machine the first may pass before there was an answer */
    _cleanup_error_ struct error *err = NULL;
    _cleanup_json_ json_t *half = with_new_host(false);
    publish(half);
    for (size_t i = 0; i < ELEMENTS(limits) && (err == NULL || err->status != STATUS_METADATA_INVALID); i++) {
        conf.metadata.deadline_ms = limits[i];
        meta_freep(&run.meta);
        error_freep(&err);
        int64_t started = clock_ms();
        assert_int_equal(run_facts(&run, METADATA_LIVE, &err), -1);
        assert_true(clock_ms() - started >= limits[i]);
    }
    assert_int_equal(err->status, STATUS_METADATA_INVALID);
    assert_non_null(strstr(err->message, "/hosts/node/i-z/node_id"));
}

static void *write_token_later(void *data)
{
    json_t *view = data;
    (void)usleep(300000);
    _cleanup_json_ json_t *half = with_new_host(false);
    publish(half);
    (void)usleep(500000);
    publish(view);
    return NULL;
}

static void the_wait_for_the_token_outlasts_a_half_written_host(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    _cleanup_json_ json_t *with_token = with_new_host(true);
    json_t *masters = json_object_get(json_object_get(whole, "hosts"), "master");
    assert_int_equal(json_object_del(json_object_iter_value(json_object_iter(masters)), "token"), 0);
    publish(whole);
    assert_int_equal(run_facts(&run, METADATA_LIVE, &err), 0);
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, write_token_later, with_token), 0);
    int r = step_wait_for_token.apply(&run, &err);
    pthread_join(writer, NULL);
    if (r < 0) {
        fail_msg("%s", err->message);
    }
    assert_non_null(facts_node(run.facts, "node-99"));
}

int main(void)
{
    log_open("test", NULL, NULL, LOG_LEVEL_WARNING);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_event_waits_until_the_tree_is_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_incomplete_tree_is_refused_at_the_deadline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_wait_for_the_token_outlasts_a_half_written_host, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("half-written metadata", tests, NULL, NULL);
}
