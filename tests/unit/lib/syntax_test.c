#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lib/core/syntax.h"
#include "lib/core/util.h"

static char *repeat(const char *s, size_t times)
{
    struct buffer b = {0};
    for (size_t i = 0; i < times; i++) {
        buffer_puts(&b, s);
    }
    return b.data;
}

static void numbers_are_plain_decimals(void **state)
{
    (void)state;
    int n = -1;
    static const char *const bad[] = {"",  "-1", "+1", "01", " 1", "1 ", "1x", "0x1", "11", "99999999999999999999",
                                      "１"};
    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        assert_false(syntax_number(bad[i], 0, 10, &n));
        assert_int_equal(n, -1);
    }
    assert_true(syntax_number("0", 0, 10, &n));
    assert_int_equal(n, 0);
    assert_true(syntax_number("10", 0, 10, &n));
    assert_int_equal(n, 10);
}

static void ids_are_label_values(void **state)
{
    (void)state;
    _cleanup_free_ char *longest = repeat("a", 63);
    _cleanup_free_ char *longer = repeat("a", 64);
    assert_true(syntax_id("i-abc_1.2"));
    assert_true(syntax_id(longest));
    static const char *const bad[] = {"", "-a", "a-", "a b", "a\n", "a/b", "é", "a,b=c"};
    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        assert_false(syntax_id(bad[i]));
    }
    assert_false(syntax_id(longer));
}

static void cidrs_are_an_address_and_a_prefix(void **state)
{
    (void)state;
    uint32_t address = 0;
    int prefix = 0;
    assert_true(syntax_cidr("172.30.0.1/16", &address, &prefix));
    assert_int_equal(address, 0xAC1E0001);
    assert_int_equal(prefix, 16);
    assert_true(syntax_cidr("0.0.0.0/0", &address, &prefix));
    static const char *const bad[] = {"",
                                      "10.0.0.0",
                                      "10.0.0.0/",
                                      "10.0.0.0/33",
                                      "10.0.0/8",
                                      "10.0.0.0/8/8",
                                      "10.0.0.0/ 8",
                                      "010.0.0.0/8",
                                      "256.0.0.0/8",
                                      "fe80::/10"};
    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        assert_false(syntax_cidr(bad[i], &address, &prefix));
    }
}

static void networks_overlap_when_one_holds_the_other(void **state)
{
    (void)state;
    assert_true(cidr_overlap(0x0A000000, 8, 0x0A600000, 16));
    assert_true(cidr_overlap(0x0A600000, 16, 0x0A000000, 8));
    assert_false(cidr_overlap(0x0A600000, 16, 0x0AF40000, 16));
    assert_true(cidr_overlap(0, 0, 0xFFFFFFFF, 32));
}

static void dns_names_are_rfc_1123(void **state)
{
    (void)state;
    _cleanup_free_ char *label = repeat("a", 63);
    _cleanup_free_ char *long_label = repeat("a", 64);
    _cleanup_free_ char *name = xasprintf("%s.%s.%s.%.61s", label, label, label, label);
    _cleanup_free_ char *long_name = xasprintf("%s.%s.%s.%.62s", label, label, label, label);
    static const char *const good[] = {"a", "k8s.cluster.local", "1and1.example", "xn--fiqs8s"};
    static const char *const bad[] = {"",    ".",   "a.",  ".a",      "a..b", "-a",      "a-",        "a_b",
                                      "A.b", "a b", "a\n", "é.local", "a:1",  "1.2.3.4", "example.5", "*.a"};
    for (size_t i = 0; i < ELEMENTS(good); i++) {
        assert_true(syntax_dns_name(good[i]));
    }
    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        assert_false(syntax_dns_name(bad[i]));
    }
    assert_true(syntax_dns_name(label));
    assert_false(syntax_dns_name(long_label));
    assert_int_equal(strlen(name), 253);
    assert_true(syntax_dns_name(name));
    assert_false(syntax_dns_name(long_name));
}

static void hosts_have_a_port_or_not(void **state)
{
    (void)state;
    _cleanup_free_ char *host = NULL;
    int port = 0;
    assert_true(syntax_host_port("es.example.com:9200", &host, &port));
    assert_string_equal(host, "es.example.com");
    assert_int_equal(port, 9200);
    free(STEAL(host));
    assert_true(syntax_host_port("192.168.0.1:1", &host, &port));
    assert_string_equal(host, "192.168.0.1");
    static const char *const bad[] = {"",           "a",          "a:",    ":1",       "a:0",          "a:65536",
                                      "a:1:2",      "http://a:1", "a:1/x", "1.2.3:80", "1.2.3.256:80", "a :1",
                                      "[::1]:9200", "a:1\n",      "u@a:1"};
    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        _cleanup_free_ char *none = NULL;
        assert_false(syntax_host_port(bad[i], &none, &port));
        assert_null(none);
    }
    assert_true(syntax_host_maybe_port("Hub.Example.COM"));
    assert_true(syntax_host_maybe_port("hub:5000"));
    assert_false(syntax_host_maybe_port("hub:"));
    assert_false(syntax_host_maybe_port("hub/path"));
}

static void urls_are_http_and_bare(void **state)
{
    (void)state;
    static const char *const good[] = {"http://a", "https://registry.docker-cn.com", "https://a:5000/",
                                       "http://1.2.3.4:80"};
    static const char *const bad[] = {
        "",           "a",           "ftp://a",      "HTTP://a",    "http://",      "http:///x",   "http://a b",
        "http://a?q", "http://a/#f", "http://u:p@a", "http://a/%2", "http://a/%zz", "http://a/\"", "http://a/{{x}}",
        "http://a\n", "http://a:0",  "http://é/",    "http://a/b",  "http://a//"};
    for (size_t i = 0; i < ELEMENTS(good); i++) {
        assert_true(syntax_http_url(good[i]));
    }
    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        assert_false(syntax_http_url(bad[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_plain_decimals),
        cmocka_unit_test(ids_are_label_values),
        cmocka_unit_test(cidrs_are_an_address_and_a_prefix),
        cmocka_unit_test(networks_overlap_when_one_holds_the_other),
        cmocka_unit_test(dns_names_are_rfc_1123),
        cmocka_unit_test(hosts_have_a_port_or_not),
        cmocka_unit_test(urls_are_http_and_bare),
    };
    return cmocka_run_group_tests_name("syntax", tests, NULL, NULL);
}
