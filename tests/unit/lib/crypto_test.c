#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/crypto/crypto.h"
#include "lib/system/proc.h"

static char directory[] = "/tmp/crypto_test.XXXXXX";

static char *in_directory(const char *name)
{
    return xasprintf("%s/%s", directory, name);
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(directory) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    return proc_exec(deadline_in(300000), NULL, "rm", "-rf", directory, NULL);
}

static void base64_is_that_of_rfc_4648(void **state)
{
    (void)state;
    static const struct {
        const char *plain, *coded;
    } vectors[] = {{"", ""},
                   {"f", "Zg=="},
                   {"fo", "Zm8="},
                   {"foo", "Zm9v"},
                   {"foob", "Zm9vYg=="},
                   {"fooba", "Zm9vYmE="},
                   {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < ELEMENTS(vectors); i++) {
        _cleanup_free_ char *coded = base64_encode(vectors[i].plain, strlen(vectors[i].plain));
        assert_string_equal(coded, vectors[i].coded);
        _cleanup_free_ unsigned char *plain = NULL;
        size_t len = 0;
        assert_int_equal(base64_decode(coded, &plain, &len, NULL), 0);
        assert_int_equal(len, strlen(vectors[i].plain));
        assert_memory_equal(plain, vectors[i].plain, len);
    }
}

static void base64_takes_line_breaks_and_nothing_else(void **state)
{
    (void)state;
    _cleanup_free_ unsigned char *plain = NULL;
    size_t len = 0;
    assert_int_equal(base64_decode("Zm9v\r\nYmFy\n", &plain, &len, NULL), 0);
    assert_int_equal(len, 6);
    static const char *const wrong[] = {"Zg=",   "Zg",   "Z===",     "Zh==", "Zm9=", "Zm 9v",
                                        "Zm9v=", "====", "Zg==Zg==", "Zm9*", "Zm-_", "Zm9vZ"};
    for (size_t i = 0; i < ELEMENTS(wrong); i++) {
        _cleanup_error_ struct error *err = NULL;
        unsigned char *none = NULL;
        assert_int_equal(base64_decode(wrong[i], &none, &len, &err), -1);
        assert_int_equal(err->status, STATUS_CRYPTO);
    }
}

static void hmac_is_that_of_rfc_4231(void **state)
{
    (void)state;
    /* Test case 2; the hexadecimal digest there, as base64. */
    _cleanup_free_ char *mac = hmac_sha256_base64("Jefe", "what do ya want for nothing?");
    assert_string_equal(mac, "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
}

static void sha256_is_that_of_fips_180(void **state)
{
    (void)state;
    static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    _cleanup_free_ char *digest = sha256_hex("abc", 3);
    assert_string_equal(digest, abc);
    _cleanup_free_ char *path = in_directory("abc");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs("abc", file) >= 0);
    assert_int_equal(fclose(file), 0);
    _cleanup_free_ char *of_file = NULL;
    assert_int_equal(sha256_file(path, &of_file, NULL), 0);
    assert_string_equal(of_file, abc);
    _cleanup_error_ struct error *err = NULL;
    char *none = NULL;
    assert_int_equal(sha256_file("/no/such/file", &none, &err), -1);
    assert_int_equal(err->status, STATUS_FILE);
}

static void tokens_are_valid_and_differ(void **state)
{
    (void)state;
    _cleanup_free_ char *a = NULL;
    _cleanup_free_ char *b = NULL;
    assert_int_equal(bootstrap_token_new(&a, NULL), 0);
    assert_int_equal(bootstrap_token_new(&b, NULL), 0);
    assert_true(bootstrap_token_valid(a));
    assert_true(bootstrap_token_valid(b));
    assert_string_not_equal(a, b);
    static const char *const wrong[] = {"",
                                        "abcdef",
                                        "abcdef.",
                                        "abcdef.0123456789abcde",
                                        "abcdef.0123456789abcdef0",
                                        "Abcdef.0123456789abcdef",
                                        "abcde.0123456789abcdef0",
                                        "abcdef.0123456789abcde\n"};
    for (size_t i = 0; i < ELEMENTS(wrong); i++) {
        assert_false(bootstrap_token_valid(wrong[i]));
    }
    assert_false(bootstrap_token_valid(NULL));
}

static void make_certificate(const char *cert, const char *days)
{
    _cleanup_free_ char *key = in_directory("key.pem");
    assert_int_equal(proc_exec(deadline_in(300000), NULL, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                               "-keyout", key, "-out", cert, "-days", days, "-subj", "/O=system:masters/CN=kube-x",
                               "-addext", "subjectAltName=DNS:k8s.cluster.local,IP:192.168.0.2,IP:fd00::1", NULL),
                     0);
}

static void a_certificate_is_read(void **state)
{
    (void)state;
    _cleanup_free_ char *path = in_directory("cert.pem");
    make_certificate(path, "40");
    _cleanup_(cert_info_free) struct cert_info info = {0};
    assert_int_equal(cert_read(path, &info, NULL), 0);
    assert_string_equal(info.subject, "kube-x");
    assert_int_equal(strv_length(info.names), 3);
    assert_true(strv_contains(info.names, "k8s.cluster.local"));
    assert_true(strv_contains(info.names, "192.168.0.2"));
    assert_true(strv_contains(info.names, "fd00::1"));
    assert_int_equal(info.not_after - info.not_before, 40 * 86400);
}

static void days_left_are_whole_and_negative_past_the_end(void **state)
{
    (void)state;
    const struct cert_info info = {.not_after = 1000000};
    assert_int_equal(cert_days_left(&info, 1000000 - 2 * 86400), 2);
    assert_int_equal(cert_days_left(&info, 1000000 - 2 * 86400 + 1), 1);
    assert_int_equal(cert_days_left(&info, 1000000), 0);
    assert_int_equal(cert_days_left(&info, 1000001), -1);
    assert_int_equal(cert_days_left(&info, 1000000 + 86400), -1);
    assert_int_equal(cert_days_left(&info, 1000001 + 86400), -2);
}

static void a_file_without_a_certificate_is_refused(void **state)
{
    (void)state;
    _cleanup_error_ struct error *err = NULL;
    struct cert_info info = {.not_after = 7};
    assert_int_equal(cert_parse("hello", 5, &info, &err), -1);
    assert_int_equal(err->status, STATUS_CRYPTO);
    error_freep(&err);
    assert_int_equal(cert_read("/no/such/cert", &info, &err), -1);
    assert_int_equal(err->status, STATUS_FILE);
    assert_int_equal(info.not_after, 7); /* outputs stay as they were on failure */
}

/* The pipeline of kubeadm's own documentation is the reference. */
static void the_ca_hash_is_that_of_kubeadm(void **state)
{
    (void)state;
    _cleanup_free_ char *path = in_directory("ca.pem");
    make_certificate(path, "1");
    _cleanup_free_ char *script = xasprintf("openssl x509 -pubkey -in %s | openssl pkey -pubin -outform der | "
                                            "openssl dgst -sha256 -hex | sed 's/.* //' | tr -d '\\n'",
                                            path);
    const char *const argv[] = {"sh", "-c", script, NULL};
    const struct proc proc = {.argv = argv, .keep_output = true, .deadline = deadline_in(600000)};
    _cleanup_proc_ struct proc_result result = {0};
    assert_int_equal(proc_run(&proc, &result, NULL), 0);
    _cleanup_free_ char *expected = xasprintf("sha256:%s", result.output);
    _cleanup_free_ char *hash = NULL;
    assert_int_equal(ca_public_key_hash(path, &hash, NULL), 0);
    assert_string_equal(hash, expected);
    assert_int_equal(strlen(hash), 7 + 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_is_that_of_rfc_4648),
        cmocka_unit_test(base64_takes_line_breaks_and_nothing_else),
        cmocka_unit_test(hmac_is_that_of_rfc_4231),
        cmocka_unit_test(sha256_is_that_of_fips_180),
        cmocka_unit_test(tokens_are_valid_and_differ),
        cmocka_unit_test(a_certificate_is_read),
        cmocka_unit_test(days_left_are_whole_and_negative_past_the_end),
        cmocka_unit_test(a_file_without_a_certificate_is_refused),
        cmocka_unit_test(the_ca_hash_is_that_of_kubeadm),
    };
    return cmocka_run_group_tests_name("crypto", tests, set_up, tear_down);
}
