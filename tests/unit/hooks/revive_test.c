#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hooks/clients/docker_unused.h"
#include "hooks/clients/image_name.h"
#include "hooks/events/backoff.h"
#include "lib/core/util.h"

enum { NOW = 1700000000 };

static void a_check_without_attempts_is_tried_at_once(void **state)
{
    (void)state;
    _cleanup_json_ json_t *tries = json_object();
    assert_int_equal(backoff_wait(tries, "docker", NOW), 0);
    assert_int_equal(backoff_tries(tries, "docker", NOW), 0);
}

static void the_wait_grows_with_each_attempt(void **state)
{
    (void)state;
    static const int64_t waits[] = {60, 240, 960, 3600, 3600, 3600};
    _cleanup_json_ json_t *tries = json_object();
    int64_t now = NOW;
    for (size_t i = 0; i < ELEMENTS(waits); i++) {
        backoff_note(tries, "docker", now);
        assert_int_equal(backoff_tries(tries, "docker", now), i + 1);
        assert_int_equal(backoff_wait(tries, "docker", now), waits[i]);
        assert_int_equal(backoff_wait(tries, "docker", now + waits[i] - 1), 1);
        assert_int_equal(backoff_wait(tries, "docker", now + waits[i]), 0);
        now += waits[i];
    }
}

static void attempts_of_one_check_do_not_delay_another(void **state)
{
    (void)state;
    _cleanup_json_ json_t *tries = json_object();
    backoff_note(tries, "docker", NOW);
    assert_int_equal(backoff_wait(tries, "kubelet", NOW), 0);
}

static void attempts_are_forgotten_after_ten_minutes(void **state)
{
    (void)state;
    _cleanup_json_ json_t *tries = json_object();
    backoff_note(tries, "docker", NOW);
    assert_int_equal(backoff_tries(tries, "docker", NOW + 599), 1);
    assert_int_equal(backoff_tries(tries, "docker", NOW + 600), 0);
    backoff_note(tries, "docker", NOW + 600);
    assert_int_equal(backoff_wait(tries, "docker", NOW + 600), 60);
    for (int i = 0; i < 4; i++) {
        backoff_note(tries, "docker", NOW + 700);
    }
    assert_int_equal(backoff_tries(tries, "docker", NOW + 700 + 7199), 5);
    assert_int_equal(backoff_tries(tries, "docker", NOW + 700 + 7200), 0);
}

static void a_clock_set_back_does_not_delay_an_attempt(void **state)
{
    (void)state;
    _cleanup_json_ json_t *tries = json_object();
    backoff_note(tries, "docker", NOW);
    assert_int_equal(backoff_wait(tries, "docker", NOW - 86400), 0);
}

static void a_damaged_record_counts_as_no_attempts(void **state)
{
    (void)state;
    _cleanup_json_ json_t *tries = json_pack("{ss s{ss}}", "docker", "often", "kubelet", "tries", "many");
    assert_int_equal(backoff_wait(tries, "docker", NOW), 0);
    assert_int_equal(backoff_wait(tries, "kubelet", NOW), 0);
    backoff_note(tries, "docker", NOW);
    assert_int_equal(backoff_wait(tries, "docker", NOW), 60);
}

static void images_in_use_or_of_the_machine_image_are_kept(void **state)
{
    (void)state;
    _cleanup_json_ json_t *images =
        json_pack("[{ss s[s]} {ss s[s]} {ss s[ss]} {ss sn} {ss s[s]}]", "Id", "sha256:a", "RepoTags", "app:1", "Id",
                  "sha256:b", "RepoTags", "k8s.gcr.io/pause:3.2", "Id", "sha256:c", "RepoTags", "old:1", "old:2", "Id",
                  "sha256:d", "RepoTags", "Id", "sha256:e", "RepoTags", "k8s.gcr.io/pause:3.1");
    _cleanup_json_ json_t *containers = json_pack("[{ss}]", "ImageID", "sha256:a");
    _cleanup_json_ json_t *keep = json_pack("{ss}", "pause", "k8s.gcr.io/pause:3.2");
    _cleanup_strv_ char **unused = docker_unused_images(images, containers, keep, 0);
    assert_int_equal(strv_length(unused), 3);
    assert_string_equal(unused[0], "sha256:c");
    assert_string_equal(unused[1], "sha256:d");
    assert_string_equal(unused[2], "sha256:e");
    _cleanup_strv_ char **without_list = docker_unused_images(images, containers, NULL, 0);
    assert_int_equal(strv_length(without_list), 4);
    _cleanup_strv_ char **none = docker_unused_images(NULL, NULL, NULL, 0);
    assert_int_equal(strv_length(none), 0);
}

static void names_are_compared_in_their_full_form(void **state)
{
    (void)state;
    static const char *const same[][2] = {
        {"docker.io/fluent/fluent-bit:1.8", "fluent/fluent-bit:1.8"},
        {"busybox", "docker.io/library/busybox:latest"},
        {"index.docker.io/library/busybox:1.35", "busybox:1.35"},
        {"localhost/x", "localhost/x:latest"},
        {"registry:5000/x:1", "registry:5000/x:1"},
        {"k8s.gcr.io/pause@sha256:00", "k8s.gcr.io/pause@sha256:00"},
    };
    static const char *const different[][2] = {
        {"fluent/fluent-bit:1.8", "quay.io/fluent/fluent-bit:1.8"},
        {"busybox:1.35", "busybox"},
        {"docker.io/x/busybox", "busybox"},
        {"registry:5000/x", "x"},
        {"k8s.gcr.io/pause:3.2", "k8s.gcr.io/pause:3.1"},
    };
    for (size_t i = 0; i < ELEMENTS(same); i++) {
        assert_true(image_name_same(same[i][0], same[i][1]));
    }
    for (size_t i = 0; i < ELEMENTS(different); i++) {
        assert_false(image_name_same(different[i][0], different[i][1]));
    }
    _cleanup_json_ json_t *images =
        json_pack("[{ss s[s] si}]", "Id", "sha256:1", "RepoTags", "fluent/fluent-bit:1.8", "Created", 1000);
    _cleanup_json_ json_t *keep = json_pack("{ss}", "fluent_bit", "docker.io/fluent/fluent-bit:1.8");
    _cleanup_strv_ char **none = docker_unused_images(images, NULL, keep, 0);
    assert_null(none[0]);
    _cleanup_strv_ char **too_new = docker_unused_images(images, NULL, NULL, 999);
    assert_null(too_new[0]);
    _cleanup_strv_ char **old = docker_unused_images(images, NULL, NULL, 1000);
    assert_string_equal(old[0], "sha256:1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_compared_in_their_full_form),
        cmocka_unit_test(a_check_without_attempts_is_tried_at_once),
        cmocka_unit_test(the_wait_grows_with_each_attempt),
        cmocka_unit_test(attempts_of_one_check_do_not_delay_another),
        cmocka_unit_test(attempts_are_forgotten_after_ten_minutes),
        cmocka_unit_test(a_clock_set_back_does_not_delay_an_attempt),
        cmocka_unit_test(a_damaged_record_counts_as_no_attempts),
        cmocka_unit_test(images_in_use_or_of_the_machine_image_are_kept),
    };
    return cmocka_run_group_tests_name("revive", tests, NULL, NULL);
}
