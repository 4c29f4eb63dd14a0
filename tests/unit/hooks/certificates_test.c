#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "hooks/checks/checks.h"
#include "hooks/clients/kubeconfig.h"
#include "hooks/files/certificates.h"
#include "lib/system/file.h"
#include "lib/system/proc.h"

static char root[] = "/tmp/certificates_test.XXXXXX";

static struct conf conf;
static const struct role role = {.name = "master", .state = "/data/kubernetes/hooks"};
static const struct run run = {.role = &role, .root = root, .conf = &conf};

static char *in_root(const char *path)
{
    return xasprintf("%s%s", root, path);
}

static void put(const char *path, const char *text)
{
    _cleanup_free_ char *full = in_root(path);
    const struct file_spec spec = {
        .path = full, .data = text, .len = strlen(text), .mode = 0600, .uid = geteuid(), .gid = getegid()};
    assert_int_equal(file_put(&spec, NULL, NULL), 0);
}

static void make_certificate(const char *path, const char *name, const char *days)
{
    put(path, "");
    _cleanup_free_ char *full = in_root(path);
    _cleanup_free_ char *key = in_root("/key.pem");
    _cleanup_free_ char *subject = xasprintf("/CN=%s", name);
    assert_int_equal(proc_exec(deadline_in(300000), NULL, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                               "-keyout", key, "-out", full, "-days", days, "-subj", subject, NULL),
                     0);
}

/* Sets its end to two days ago. The signature is void then; nobody looks at it here. */
static void end_certificate(const char *path)
{
    _cleanup_free_ char *full = in_root(path);
    _cleanup_fclose_ FILE *file = fopen(full, "r+");
    assert_non_null(file);
    X509 *cert = PEM_read_X509(file, NULL, NULL, NULL);
    assert_non_null(cert);
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), -2L * 86400));
    assert_true(i2d_re_X509_tbs(cert, NULL) > 0); /* forgets the encoding it was read from */
    rewind(file);
    assert_int_equal(PEM_write_X509(file, cert), 1);
    X509_free(cert);
}

static char *read_text(const char *path)
{
    _cleanup_free_ char *full = in_root(path);
    char *text = NULL;
    size_t len = 0;
    assert_int_equal(file_read(full, 0, &text, &len, NULL), 0);
    return text;
}

/* As kubeadm writes it, with the certificate of CERT_PATH for the user. */
static void make_kubeconfig(const char *path, const char *cert_path)
{
    _cleanup_free_ char *cert = read_text(cert_path);
    _cleanup_free_ char *data = base64_encode(cert, strlen(cert));
    _cleanup_free_ char *key = base64_encode("the key", 7);
    _cleanup_free_ char *text =
        xasprintf("apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: %s\n"
                  "    server: https://192.168.0.2:6443\n  name: kubernetes\ncontexts:\n- context:\n    cluster: "
                  "kubernetes\n    user: admin\n  name: admin@kubernetes\ncurrent-context: admin@kubernetes\nkind: "
                  "Config\nusers:\n- name: admin\n  user:\n    client-certificate-data: %s\n    client-key-data: %s\n",
                  data, data, key);
    put(path, text);
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(root) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    return proc_exec(deadline_in(300000), NULL, "rm", "-rf", root, NULL);
}

static struct finding probe(void)
{
    struct finding finding = {0};
    const struct check_context context = {&run, check_certificates.limits, deadline_in(300000), NULL};
    check_certificates.probe(&context, &finding);
    return finding;
}

static void without_certificates_the_check_warns(void **state)
{
    (void)state;
    struct finding finding = probe();
    assert_int_equal(finding.verdict, VERDICT_WARNS);
    free(finding.reason);
}

static void a_kubeconfig_is_taken_apart(void **state)
{
    (void)state;
    make_certificate("/etc/kubernetes/pki/ca.crt", "kubernetes", "3650");
    make_kubeconfig("/etc/kubernetes/admin.conf", "/etc/kubernetes/pki/ca.crt");
    _cleanup_free_ char *path = in_root("/etc/kubernetes/admin.conf");
    _cleanup_free_ char *pem = read_text("/etc/kubernetes/pki/ca.crt");
    struct kubeconfig config __attribute__((cleanup(kubeconfig_free))) = {0};
    assert_int_equal(kubeconfig_read(path, &config, NULL), 0);
    assert_string_equal(config.server, "https://192.168.0.2:6443");
    assert_string_equal(config.ca, pem);
    assert_string_equal(config.cert, pem);
    assert_string_equal(config.key, "the key");
}

static void a_kubeconfig_may_be_json(void **state)
{
    (void)state;
    static const char text[] =
        "{\"kind\":\"Config\",\"clusters\":[{\"name\":\"x\",\"cluster\":{\"server\":\"https://10.0.0.1:6443\","
        "\"certificate-authority-data\":\"Y2E=\"}}],\"users\":[{\"user\":{\"client-certificate-data\":\"Y2VydA==\","
        "\"client-key-data\":\"a2V5\"}}]}";
    struct kubeconfig config __attribute__((cleanup(kubeconfig_free))) = {0};
    assert_int_equal(kubeconfig_parse(text, &config, NULL), 0);
    assert_string_equal(config.server, "https://10.0.0.1:6443");
    assert_string_equal(config.ca, "ca");
    assert_string_equal(config.cert, "cert");
    assert_string_equal(config.key, "key");
}

static void a_file_that_is_not_a_kubeconfig_is_refused(void **state)
{
    (void)state;
    struct kubeconfig config;
    assert_int_equal(kubeconfig_parse("", &config, NULL), -1);
    assert_int_equal(kubeconfig_parse("server: https://x\nclient-key-data: ???\n", &config, NULL), -1);
    assert_int_equal(kubeconfig_parse("server: \"https://x\"", &config, NULL), 0);
    assert_string_equal(config.server, "https://x");
    assert_null(config.ca);
    struct kube *kube = NULL;
    assert_int_equal(kubeconfig_open(&config, &kube, NULL), -1);
    kubeconfig_free(&config);
}

static void all_are_found_and_the_first_to_end_is_known(void **state)
{
    (void)state;
    make_certificate("/etc/kubernetes/pki/apiserver.crt", "kube-apiserver", "200");
    make_certificate("/etc/kubernetes/pki/etcd/server.crt", "etcd", "20");
    make_certificate("/var/lib/kubelet/pki/kubelet-client-current.pem", "system:node:master-1", "100");
    struct certificates all __attribute__((cleanup(certificates_free)));
    certificates_find(&run, &all);
    assert_int_equal(all.n, 5);
    const struct certificate *first = certificates_first_to_end(&all);
    assert_string_equal(first->path, "/etc/kubernetes/pki/etcd/server.crt");
    assert_string_equal(first->info.subject, "etcd");
    struct finding finding = probe();
    assert_int_equal(finding.verdict, VERDICT_WARNS);
    assert_non_null(strstr(finding.reason, "/etc/kubernetes/pki/etcd/server.crt"));
    free(finding.reason);
}

static void an_unreadable_certificate_fails_the_check(void **state)
{
    (void)state;
    put("/etc/kubernetes/pki/front-proxy-ca.crt", "cut");
    struct finding finding = probe();
    assert_int_equal(finding.verdict, VERDICT_FAILS);
    assert_non_null(strstr(finding.reason, "front-proxy-ca.crt"));
    free(finding.reason);
    _cleanup_free_ char *path = in_root("/etc/kubernetes/pki/front-proxy-ca.crt");
    assert_int_equal(unlink(path), 0);
}

static void an_expired_certificate_fails_the_check(void **state)
{
    (void)state;
    end_certificate("/etc/kubernetes/pki/etcd/server.crt");
    struct finding finding = probe();
    assert_int_equal(finding.verdict, VERDICT_FAILS);
    assert_non_null(strstr(finding.reason, "expired"));
    free(finding.reason);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_certificates_the_check_warns),
        cmocka_unit_test(a_kubeconfig_is_taken_apart),
        cmocka_unit_test(a_kubeconfig_may_be_json),
        cmocka_unit_test(a_file_that_is_not_a_kubeconfig_is_refused),
        cmocka_unit_test(all_are_found_and_the_first_to_end_is_known),
        cmocka_unit_test(an_unreadable_certificate_fails_the_check),
        cmocka_unit_test(an_expired_certificate_fails_the_check),
    };
    return cmocka_run_group_tests_name("certificates", tests, set_up, tear_down);
}
