/* The cloud API's client against the stand-in that verifies each signature with code of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "app/cloud/cloud.h"
#include "lib/core/json.h"
#include "tests/lab/shared/cloudapi.h"

#define KEY "ABCDEFGHIJKLMNOPQRST"
#define SECRET "0123456789abcdefghijABCDEFGHIJ0123456789"

enum { WAIT_MS = 120000 };

static struct cloudapi *api;
static struct cloud_account account = {"http", "127.0.0.1", 0, "pek3a", KEY, SECRET};

static json_t *data_with_vxnets(int count)
{
    json_t *vxnets = json_array();
    for (int i = 0; i < count; i++) {
        _cleanup_free_ char *id = xasprintf("vxnet-%05d", i);
        json_array_append_new(vxnets, json_pack("{s:s, s:s}", "vxnet_id", id, "vpc_router_id", "rtr-1"));
    }
    return json_pack("{s:{s:s}, s:[s], s:o, s:[{s:s,s:s,s:s},{s:s,s:s,s:s}], s:[{s:s}]}", "keys", KEY, SECRET, "zones",
                     "pek3a", "vxnets", vxnets, "nics", "nic_id", "n1", "instance_id", "i-1", "vxnet_id", "vxnet-00000",
                     "nic_id", "n2", "instance_id", "i-2", "vxnet_id", "vxnet-00000", "instances", "instance_id",
                     "i-1");
}

static int set_up(void **state)
{
    (void)state;
    _cleanup_json_ json_t *data = data_with_vxnets(3);
    if (cloudapi_start(&api, "127.0.0.1", 0, data, NULL) < 0) {
        return -1;
    }
    account.port = cloudapi_port(api);
    account.access_key_id = KEY;
    account.secret_access_key = SECRET;
    account.zone = "pek3a";
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cloudapi_stop(api);
    return 0;
}

static struct cloud *connect_api(void)
{
    struct cloud *cloud = NULL;
    assert_int_equal(cloud_open(&cloud, &account, NULL), 0);
    return cloud;
}

static void assert_call_fails(struct deadline deadline, int status, const char *needle)
{
    _cleanup_(cloud_freep) struct cloud *cloud = connect_api();
    _cleanup_json_ json_t *answer = NULL;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(cloud_call(cloud, "DescribeVxnets", NULL, 0, deadline, &answer, &err), -1);
    assert_null(answer);
    if (err->status != status || strstr(err->message, needle) == NULL) {
        fail_msg("status %d, \"%s\" instead of %d, \"%s\"", (int)err->status, err->message, (int)status, needle);
    }
    assert_null(strstr(err->message, account.access_key_id));
    assert_null(strstr(err->message, account.secret_access_key));
    assert_null(strstr(err->message, "signature="));
}

static void set_fault(enum cloudapi_fault_kind kind, int code, const char *text, unsigned count)
{
    const struct cloudapi_fault fault = {kind, code, text, count};
    cloudapi_fault(api, &fault);
}

/* docs.qingcloud.com/api/common/signature.html has this request and its signature. */
static void the_published_example_is_signed_as_published(void **state)
{
    (void)state;
    const struct cloud_account example = {"https", "h", 443, "pek1", "QYACCESSKEYIDEXAMPLE", "SECRETACCESSKEY"};
    const struct cloud_parameter parameters[] = {{"count", "1"},
                                                 {"vxnets.1", "vxnet-0"},
                                                 {"instance_type", "small_b"},
                                                 {"instance_name", "demo"},
                                                 {"image_id", "centos64x86a"},
                                                 {"login_mode", "passwd"},
                                                 {"login_passwd", "QingCloud20130712"}};
    _cleanup_free_ char *query = cloud_query(&example, "RunInstances", parameters, ELEMENTS(parameters), 1377613810);
    assert_string_equal(query,
                        "access_key_id=QYACCESSKEYIDEXAMPLE&action=RunInstances&count=1&image_id=centos64x86a"
                        "&instance_name=demo&instance_type=small_b&login_mode=passwd&login_passwd=QingCloud20130712"
                        "&signature_method=HmacSHA256&signature_version=1&time_stamp=2013-08-27T14%3A30%3A10Z"
                        "&version=1&vxnets.1=vxnet-0&zone=pek1"
                        "&signature=32bseYy39DOlatuewpeuW5vpmW51sD1A%2FJdGynqSpP8%3D");
}

static void values_of_any_kind_are_signed_right(void **state)
{
    (void)state;
    _cleanup_(cloud_freep) struct cloud *cloud = connect_api();
    static const char *const values[] = {"", " ", "a b+c", "中文", "a=b&c", "~-._*'()!", "%41", "\x01\n\"", "a;b/?:@"};
    for (size_t i = 0; i < ELEMENTS(values); i++) {
        const struct cloud_parameter search = {"search_word", values[i]};
        _cleanup_json_ json_t *answer = NULL;
        _cleanup_error_ struct error *err = NULL;
        if (cloud_call(cloud, "DescribeVxnets", &search, 1, deadline_in(WAIT_MS), &answer, &err) < 0) {
            fail_msg("\"%s\": %s", values[i], err->message);
        }
    }
    assert_int_equal(cloudapi_signed(api), ELEMENTS(values));
}

static void a_list_is_gathered_from_all_its_pages(void **state)
{
    (void)state;
    _cleanup_json_ json_t *data = data_with_vxnets(250);
    cloudapi_data(api, data);
    _cleanup_(cloud_freep) struct cloud *cloud = connect_api();
    _cleanup_json_ json_t *list = NULL;
    assert_int_equal(cloud_describe(cloud, &(struct cloud_list){"DescribeVxnets", "vxnet_set", NULL, NULL, NULL},
                                    deadline_in(WAIT_MS), &list, NULL),
                     0);
    assert_int_equal(json_array_size(list), 250);
    for (size_t i = 0; i < 250; i++) {
        _cleanup_free_ char *id = xasprintf("vxnet-%05zu", i);
        assert_string_equal(json_text(json_array_get(list, i), "vxnet_id"), id);
    }
    assert_int_equal(cloudapi_requests(api), 3);
}

static void a_filter_is_a_numbered_list(void **state)
{
    (void)state;
    _cleanup_(cloud_freep) struct cloud *cloud = connect_api();
    _cleanup_json_ json_t *vxnets = NULL;
    _cleanup_json_ json_t *nics = NULL;
    char *ids[] = {(char *)"vxnet-00002", (char *)"vxnet-absent", (char *)"vxnet-00000", NULL};
    char *instances[] = {(char *)"i-2", NULL};
    assert_int_equal(cloud_describe(cloud, &(struct cloud_list){"DescribeVxnets", "vxnet_set", "vxnets", ids, NULL},
                                    deadline_in(WAIT_MS), &vxnets, NULL),
                     0);
    assert_int_equal(json_array_size(vxnets), 2);
    assert_int_equal(cloud_describe(cloud,
                                    &(struct cloud_list){"DescribeNics", "nic_set", "instances", instances, NULL},
                                    deadline_in(WAIT_MS), &nics, NULL),
                     0);
    assert_int_equal(json_array_size(nics), 1);
    assert_string_equal(json_text(json_array_get(nics, 0), "nic_id"), "n2");
}

static void ids_are_queried_a_hundred_at_a_time(void **state)
{
    (void)state;
    _cleanup_json_ json_t *data = data_with_vxnets(300);
    cloudapi_data(api, data);
    _cleanup_(cloud_freep) struct cloud *cloud = connect_api();
    _cleanup_json_ json_t *list = NULL;
    _cleanup_strv_ char **ids = NULL;
    for (size_t i = 0; i < 250; i++) {
        _cleanup_free_ char *id = xasprintf("vxnet-%05zu", i);
        strv_push(&ids, id);
    }
    assert_int_equal(cloud_describe(cloud, &(struct cloud_list){"DescribeVxnets", "vxnet_set", "vxnets", ids, NULL},
                                    deadline_in(WAIT_MS), &list, NULL),
                     0);
    assert_int_equal(json_array_size(list), 250);
    assert_int_equal(cloudapi_requests(api), 3);
}

/* A refusal names the first id that is not known, and the answer has none of the others. */
static void an_unknown_id_hides_no_other(void **state)
{
    (void)state;
    _cleanup_(cloud_freep) struct cloud *cloud = connect_api();
    _cleanup_json_ json_t *list = NULL;
    char *ids[] = {(char *)"vxnet-00002", (char *)"vxnet-absent", (char *)"vxnet-00000", NULL};
    set_fault(CLOUDAPI_ERROR, 2100, "ResourceNotFound, resource [vxnet-absent] does not exist", 1);
    assert_int_equal(cloud_describe(cloud, &(struct cloud_list){"DescribeVxnets", "vxnet_set", "vxnets", ids, NULL},
                                    deadline_in(WAIT_MS), &list, NULL),
                     0);
    assert_int_equal(json_array_size(list), 2);
}

/* Halving costs two calls an unknown id: once, also where the deadline comes in between. */
static void unknown_ids_are_not_queried_again(void **state)
{
    (void)state;
    _cleanup_(cloud_freep) struct cloud *cloud = connect_api();
    _cleanup_strv_ char **ids = NULL;
    for (int i = 0; i < 100; i++) {
        _cleanup_free_ char *id = xasprintf("vxnet-gone%d", i);
        strv_push(&ids, id);
    }
    const struct cloud_list vxnets = {"DescribeVxnets", "vxnet_set", "vxnets", ids, NULL};
    set_fault(CLOUDAPI_ERROR, 2100, "ResourceNotFound", 0);
    for (int i = 0; i < 2; i++) {
        _cleanup_json_ json_t *list = NULL;
        assert_int_equal(cloud_describe(cloud, &vxnets, deadline_in(WAIT_MS), &list, NULL), 0);
        assert_int_equal(json_array_size(list), 0);
        assert_int_equal(cloudapi_requests(api), 199);
    }
}

static void a_wrong_key_has_the_status_of_the_key(void **state)
{
    (void)state;
    account.secret_access_key = "0000000000000000000000000000000000000000";
    assert_call_fails(deadline_in(WAIT_MS), STATUS_CLOUD_KEY, "the API key is refused: 1200");
    account.secret_access_key = SECRET;
    account.access_key_id = "ZZZZZZZZZZZZZZZZZZZZ";
    assert_call_fails(deadline_in(WAIT_MS), STATUS_CLOUD_KEY, "the API key is refused: 1200");
    assert_int_equal(cloudapi_requests(api), 2);
    assert_int_equal(cloudapi_signed(api), 0);
}

static void refusals_have_their_status(void **state)
{
    (void)state;
    static const struct {
        int code;
        int status;
        const char *needle;
    } cases[] = {{1300, STATUS_CLOUD_KEY, "clock"},
                 {1400, STATUS_CLOUD_KEY, "1400"},
                 {2500, STATUS_CLOUD_QUOTA, "2500"},
                 {1100, STATUS_CLOUD_UNREACHABLE, "1100"}};
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        unsigned before = cloudapi_requests(api);
        set_fault(CLOUDAPI_ERROR, cases[i].code, "the reason\nwhy", 0);
        assert_call_fails(deadline_in(WAIT_MS), cases[i].status, cases[i].needle);
        assert_call_fails(deadline_in(WAIT_MS), cases[i].status, "\"the reason\\nwhy\"");
        assert_int_equal(cloudapi_requests(api) - before, 2);
    }
    set_fault(CLOUDAPI_ERROR, 1400, "PermissionDenied, resource [vol-1] lease info not ready yet, please try later", 0);
    assert_call_fails(deadline_in(WAIT_MS), STATUS_CLOUD_UNREACHABLE, "lease info");
    set_fault(
        CLOUDAPI_ERROR, 1400,
        "PermissionDenied, resource [vol-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa] "
        "is being detached, please try later",
        0);
    assert_call_fails(deadline_in(WAIT_MS), STATUS_CLOUD_UNREACHABLE, "1400");
    set_fault(CLOUDAPI_HTTP, 429, "slow down", 0);
    assert_call_fails(deadline_in(WAIT_MS), STATUS_CLOUD_QUOTA, "429");
}

static void a_message_that_repeats_the_key_is_left_out(void **state)
{
    (void)state;
    set_fault(CLOUDAPI_ERROR, 1200, "access_key_id [" KEY "] is disabled", 0);
    assert_call_fails(deadline_in(WAIT_MS), STATUS_CLOUD_KEY, "left out");
}

static void transient_failures_are_retried(void **state)
{
    (void)state;
    static const struct {
        enum cloudapi_fault_kind kind;
        int code;
        const char *text;
    } faults[] = {{CLOUDAPI_ERROR, 5100, "busy"},
                  {CLOUDAPI_HALF, 0, NULL},
                  {CLOUDAPI_CLOSE, 0, NULL},
                  {CLOUDAPI_HTTP, 502, "<html>"}};
    for (size_t i = 0; i < ELEMENTS(faults); i++) {
        _cleanup_(cloud_freep) struct cloud *cloud = connect_api();
        _cleanup_json_ json_t *answer = NULL;
        unsigned before = cloudapi_requests(api);
        set_fault(faults[i].kind, faults[i].code, faults[i].text, 2);
        assert_int_equal(cloud_call(cloud, "DescribeVxnets", NULL, 0, deadline_in(WAIT_MS), &answer, NULL), 0);
        assert_int_equal(json_integer_value(json_object_get(answer, "total_count")), 3);
        assert_int_equal(cloudapi_requests(api) - before, 3);
        set_fault(faults[i].kind, faults[i].code, faults[i].text, 0);
        assert_call_fails(deadline_in(WAIT_MS), STATUS_CLOUD_UNREACHABLE, "the cloud API: ");
        assert_int_equal(cloudapi_requests(api) - before, 6);
    }
}

static void silence_ends_at_the_deadline(void **state)
{
    (void)state;
    set_fault(CLOUDAPI_HANG, 0, NULL, 0);
    /* the request must have come by then, also on a loaded machine */
    assert_call_fails(deadline_in(5000), STATUS_CLOUD_UNREACHABLE, "the cloud API: ");
    assert_int_equal(cloudapi_requests(api), 1);
}

static void nobody_there_is_unreachable(void **state)
{
    (void)state;
    _cleanup_json_ json_t *data = data_with_vxnets(0);
    struct cloudapi *gone = NULL;
    assert_int_equal(cloudapi_start(&gone, "127.0.0.1", 0, data, NULL), 0);
    account.port = cloudapi_port(gone);
    cloudapi_stop(gone);
    assert_call_fails(deadline_in(WAIT_MS), STATUS_CLOUD_UNREACHABLE, "127.0.0.1");
}

static void a_page_without_its_set_is_an_error(void **state)
{
    (void)state;
    _cleanup_(cloud_freep) struct cloud *cloud = connect_api();
    _cleanup_json_ json_t *list = NULL;
    _cleanup_error_ struct error *err = NULL;
    assert_int_equal(cloud_describe(cloud, &(struct cloud_list){"DescribeVxnets", "nic_set", NULL, NULL, NULL},
                                    deadline_in(WAIT_MS), &list, &err),
                     -1);
    assert_int_equal(err->status, STATUS_CLOUD_UNREACHABLE);
    assert_null(list);
}

static void not_found_is_an_empty_list(void **state)
{
    (void)state;
    _cleanup_(cloud_freep) struct cloud *cloud = connect_api();
    _cleanup_json_ json_t *list = NULL;
    _cleanup_error_ struct error *err = NULL;
    set_fault(CLOUDAPI_ERROR, 2100, "ResourceNotFound", 0);
    assert_int_equal(cloud_describe(cloud, &(struct cloud_list){"DescribeVxnets", "vxnet_set", NULL, NULL, NULL},
                                    deadline_in(WAIT_MS), &list, &err),
                     0);
    assert_null(err);
    assert_int_equal(json_array_size(list), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_example_is_signed_as_published),
        cmocka_unit_test_setup_teardown(values_of_any_kind_are_signed_right, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_list_is_gathered_from_all_its_pages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ids_are_queried_a_hundred_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_unknown_id_hides_no_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unknown_ids_are_not_queried_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_filter_is_a_numbered_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wrong_key_has_the_status_of_the_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refusals_have_their_status, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_message_that_repeats_the_key_is_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(transient_failures_are_retried, set_up, tear_down),
        cmocka_unit_test_setup_teardown(silence_ends_at_the_deadline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_there_is_unreachable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_page_without_its_set_is_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(not_found_is_an_empty_list, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("cloud", tests, NULL, NULL);
}
