#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/crypto/crypto.h"
#include "lib/crypto/seal.h"
#include "lib/system/proc.h"

static const char text[] = "apiVersion: v1\nkind: Config\n";

static char directory[] = "/tmp/seal_test.XXXXXX";

static char *in_directory(const char *name)
{
    return xasprintf("%s/%s", directory, name);
}

static char *read_text(const char *path)
{
    _cleanup_fclose_ FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *content = xcalloc(16384, 1);
    assert_true(fread(content, 1, 16383, file) > 0);
    return content;
}

static char *public_key(const char *name)
{
    _cleanup_free_ char *path = xasprintf("%s/%s.pub", directory, name);
    return read_text(path);
}

/* FORM is what ssh-keygen -m takes: PEM is PKCS#1, PKCS8, RFC4716 is OpenSSH's own form. */
static int make_key(const char *name, const char *bits, const char *form, const char *passphrase)
{
    _cleanup_free_ char *path = in_directory(name);
    return proc_exec(deadline_in(300000), NULL, "ssh-keygen", "-q", "-t", "rsa", "-b", bits, "-m", form, "-N",
                     passphrase, "-C", "a comment", "-f", path, NULL);
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(directory) == NULL || make_key("pkcs1", "2048", "PEM", "") < 0 ||
           make_key("pkcs8", "3072", "PKCS8", "") < 0 || make_key("openssh", "2048", "RFC4716", "") < 0 ||
           make_key("locked", "2048", "RFC4716", "secret") < 0 || make_key("locked_pem", "2048", "PEM", "secret") < 0;
}

static int tear_down(void **state)
{
    (void)state;
    return proc_exec(deadline_in(300000), NULL, "rm", "-rf", directory, NULL);
}

static char *sealed_for(const char *name)
{
    _cleanup_free_ char *key = public_key(name);
    char *sealed = NULL;
    assert_int_equal(seal(key, text, strlen(text), &sealed, NULL), 0);
    return sealed;
}

static void assert_refused(const char *name, const char *sealed, const char *expected)
{
    _cleanup_free_ char *path = in_directory(name);
    _cleanup_error_ struct error *err = NULL;
    char *opened = NULL;
    size_t len = 0;
    assert_int_equal(unseal(path, sealed, &opened, &len, &err), -1);
    assert_int_equal(err->status, STATUS_CRYPTO);
    if (expected != NULL && strstr(err->message, expected) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", expected, err->message);
    }
}

static void keys_of_each_form_open_what_was_sealed_for_them(void **state)
{
    (void)state;
    static const char *const names[] = {"pkcs1", "pkcs8", "openssh"};
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        _cleanup_free_ char *sealed = sealed_for(names[i]);
        _cleanup_free_ char *path = in_directory(names[i]);
        _cleanup_secret_ char *opened = NULL;
        size_t len = 0;
        assert_null(strchr(sealed, '\n'));
        assert_int_equal(unseal(path, sealed, &opened, &len, NULL), 0);
        assert_int_equal(len, strlen(text));
        assert_string_equal(opened, text);
    }
}

static void the_empty_and_the_large_survive(void **state)
{
    (void)state;
    _cleanup_free_ char *key = public_key("openssh");
    _cleanup_free_ char *path = in_directory("openssh");
    static const size_t sizes[] = {0, 1, 65536};
    for (size_t i = 0; i < ELEMENTS(sizes); i++) {
        _cleanup_free_ char *big = xcalloc(sizes[i] + 1, 1);
        memset(big, 'k', sizes[i]);
        _cleanup_free_ char *sealed = NULL;
        _cleanup_secret_ char *opened = NULL;
        size_t len = 0;
        assert_int_equal(seal(key, big, sizes[i], &sealed, NULL), 0);
        assert_int_equal(unseal(path, sealed, &opened, &len, NULL), 0);
        assert_int_equal(len, sizes[i]);
        assert_memory_equal(opened, big, len);
    }
}

static void the_same_text_is_never_sealed_alike(void **state)
{
    (void)state;
    _cleanup_free_ char *a = sealed_for("openssh");
    _cleanup_free_ char *b = sealed_for("openssh");
    assert_string_not_equal(a, b);
}

static void another_key_is_refused(void **state)
{
    (void)state;
    _cleanup_free_ char *sealed = sealed_for("openssh");
    assert_refused("pkcs1", sealed, "sealed for another key");
}

/* One bit of every byte in turn: version, fingerprint, wrapped key, nonce, text and tag. */
static void every_changed_byte_is_noticed(void **state)
{
    (void)state;
    _cleanup_free_ char *sealed = sealed_for("openssh");
    _cleanup_free_ unsigned char *data = NULL;
    size_t len = 0;
    assert_int_equal(base64_decode(sealed, &data, &len, NULL), 0);
    assert_int_equal(len, 8 + 32 + 2 + 256 + 12 + strlen(text) + 16);
    for (size_t i = 0; i < len; i++) {
        data[i] ^= 1;
        _cleanup_free_ char *changed = base64_encode(data, len);
        assert_refused("openssh", changed, NULL);
        data[i] ^= 1;
    }
}

static void every_cut_is_noticed(void **state)
{
    (void)state;
    _cleanup_free_ char *sealed = sealed_for("openssh");
    _cleanup_free_ unsigned char *data = NULL;
    size_t len = 0;
    assert_int_equal(base64_decode(sealed, &data, &len, NULL), 0);
    for (size_t i = 0; i < len; i++) {
        _cleanup_free_ char *cut = base64_encode(data, i);
        assert_refused("openssh", cut, NULL);
    }
    assert_refused("openssh", "not base64!", "base64");
}

static void a_passphrase_is_refused_without_asking(void **state)
{
    (void)state;
    _cleanup_free_ char *sealed = sealed_for("locked");
    assert_refused("locked", sealed, "passphrase");
    assert_refused("locked_pem", sealed, "passphrase");
}

static void a_cut_key_file_is_refused(void **state)
{
    (void)state;
    _cleanup_free_ char *sealed = sealed_for("openssh");
    static const char *const names[] = {"pkcs1", "openssh"};
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        _cleanup_free_ char *path = in_directory(names[i]);
        _cleanup_free_ char *key = read_text(path);
        for (size_t len = 0; len < strlen(key) - 40; len += 97) {
            _cleanup_free_ char *cut = in_directory("cut");
            FILE *file = fopen(cut, "w");
            assert_non_null(file);
            assert_int_equal(fwrite(key, 1, len, file), len);
            assert_int_equal(fclose(file), 0);
            assert_refused("cut", sealed, NULL);
        }
    }
}

static void other_public_keys_are_refused(void **state)
{
    (void)state;
    _cleanup_free_ char *key = public_key("openssh");
    _cleanup_free_ char *cut = xstrndup(key, 200);
    const char *const wrong[] = {"", "ssh-rsa", "ssh-rsa AAAA", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", cut};
    for (size_t i = 0; i < ELEMENTS(wrong); i++) {
        _cleanup_error_ struct error *err = NULL;
        char *sealed = NULL;
        assert_int_equal(seal(wrong[i], text, strlen(text), &sealed, &err), -1);
        assert_int_equal(err->status, STATUS_CRYPTO);
    }
    assert_int_equal(make_key("small", "1024", "RFC4716", ""), 0);
    _cleanup_free_ char *small = public_key("small");
    _cleanup_error_ struct error *err = NULL;
    char *sealed = NULL;
    assert_int_equal(seal(small, text, strlen(text), &sealed, &err), -1);
    assert_non_null(strstr(err->message, "1024 bits"));
}

static void the_fingerprint_is_that_of_ssh_keygen(void **state)
{
    (void)state;
    _cleanup_free_ char *path = in_directory("pkcs8");
    const char *const argv[] = {"ssh-keygen", "-l", "-f", path, NULL};
    const struct proc proc = {.argv = argv, .keep_output = true, .deadline = deadline_in(300000)};
    _cleanup_proc_ struct proc_result result = {0};
    assert_int_equal(proc_run(&proc, &result, NULL), 0);
    _cleanup_strv_ char **words = strv_split(result.output);
    _cleanup_free_ char *key = public_key("pkcs8");
    _cleanup_free_ char *fingerprint = NULL;
    assert_int_equal(ssh_fingerprint(key, &fingerprint, NULL), 0);
    assert_string_equal(fingerprint, words[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_each_form_open_what_was_sealed_for_them),
        cmocka_unit_test(the_empty_and_the_large_survive),
        cmocka_unit_test(the_same_text_is_never_sealed_alike),
        cmocka_unit_test(another_key_is_refused),
        cmocka_unit_test(every_changed_byte_is_noticed),
        cmocka_unit_test(every_cut_is_noticed),
        cmocka_unit_test(a_passphrase_is_refused_without_asking),
        cmocka_unit_test(a_cut_key_file_is_refused),
        cmocka_unit_test(other_public_keys_are_refused),
        cmocka_unit_test(the_fingerprint_is_that_of_ssh_keygen),
    };
    return cmocka_run_group_tests_name("seal", tests, set_up, tear_down);
}
